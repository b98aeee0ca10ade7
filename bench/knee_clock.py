"""Drives the step model by the clock and hands its tokens to whoever reads them; it knows no wire."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from bench.knee_metrics import Series
from bench.knee_model import Entry, Generation, Profile, StepEngine


class Reader(Protocol):
    """Who waits for a generation."""

    def token(self, generation: Generation) -> None:
        """Its next token is out."""


class Engine:
    """Time 0 of the model is when this is made, within a running event loop."""

    def __init__(self, profile: Profile, model: str, max_model_len: int) -> None:
        self.model, self.max_model_len = model, max_model_len
        self._steps = StepEngine(profile)
        self._series = Series(model, profile.max_num_seqs * max_model_len)
        self._readers: dict[Generation, Reader] = {}
        self._loop = asyncio.get_running_loop()
        self._begun = time.perf_counter()
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, reader: Reader, prompt_tokens: int, output_tokens: int) -> tuple[Entry, Generation]:
        """A request that arrives now."""
        self._catch_up()
        generation = Generation(self._now(), prompt_tokens, output_tokens)
        entry = self._steps.offer(generation)
        if entry is Entry.TAKEN:
            self._readers[generation] = reader
            self._wait()
        return entry, generation

    def abort(self, generation: Generation) -> None:
        """Its client left."""
        self._steps.abort(generation)
        del self._readers[generation]
        self._series.aborted.inc()

    def metrics(self) -> bytes:
        """The exposition."""
        return self._series.text(self._steps)

    def _now(self) -> float:
        return time.perf_counter() - self._begun

    def _wait(self) -> None:
        end = self._steps.step_end
        if self._timer is None and end is not None:
            self._timer = self._loop.call_later(max(0.0, end - self._now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._catch_up()
        self._wait()

    def _catch_up(self) -> None:
        """Every step that should have ended by now; their times are the model's, not the clock's."""
        now = self._now()
        while (end := self._steps.step_end) is not None and end <= now:
            self._series.lag.observe(now - end)
            batch = self._steps.finish_step()
            self._series.generation_tokens.inc(len(batch))
            for generation in batch:
                self._emit(generation)

    def _emit(self, generation: Generation) -> None:
        if generation.emitted == 1:
            self._series.ttft.observe(generation.first - generation.arrived)
            self._series.prompt_tokens.inc(generation.prompt_tokens)
        reader = self._readers[generation]
        if generation.done:
            del self._readers[generation]
            self._series.finished.inc()
        reader.token(generation)
