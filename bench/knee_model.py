"""A step model of continuous batching on virtual time: what a knee engine does and when; it knows no clock, no wire."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Profile:
    """A step takes base + per_sequence * batch + per_prompt_token * prompt tokens admitted at its begin, seconds.

    With a share that fails or a limit that sheds, the model still decides by counting alone: nothing is random.
    """

    base_seconds: float = 0.012
    per_sequence_seconds: float = 0.0006
    per_prompt_token_seconds: float = 0.0
    max_num_seqs: int = 32
    shed_above: int | None = None
    """Requests in the engine, running and waiting, at which the next one is refused."""
    fail_share: float = 0.0
    stall_at_seconds: float = math.inf
    """When the engine first stands still, from its begin."""
    stall_seconds: float = 2.0
    stall_every_seconds: float = math.inf
    """From the begin of one stall to that of the next; must be longer than a stall and a step together."""

    def capacity_tokens_per_second(self) -> float:
        """Output with every slot taken and nothing to prefill."""
        return self.max_num_seqs / (self.base_seconds + self.per_sequence_seconds * self.max_num_seqs)

    def step_end(self, at: float, seconds: float) -> float:
        """When a step of this length is done that could begin `at`; a stall holds back what it meets."""
        stall = self._stall_from(at)
        if stall <= at:
            at = stall + self.stall_seconds
            stall += self.stall_every_seconds
        end = at + seconds
        return end + self.stall_seconds if stall < end else end

    def _stall_from(self, at: float) -> float:
        """The begin of the stall that holds `at`, or of the next one."""
        past = at - self.stall_at_seconds - self.stall_seconds
        if past < 0 or math.isinf(self.stall_at_seconds):
            return self.stall_at_seconds
        if math.isinf(self.stall_every_seconds):
            return math.inf
        return self.stall_at_seconds + (math.floor(past / self.stall_every_seconds) + 1) * self.stall_every_seconds


class Entry(Enum):
    """What became of a request at the door."""

    TAKEN = "taken"
    SHED = "shed"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Generation:
    """One request in the engine. Times are seconds from the engine's begin, NaN: not yet."""

    arrived: float
    prompt_tokens: int
    output_tokens: int
    emitted: int = 0
    first: float = math.nan
    last: float = math.nan

    @property
    def done(self) -> bool:
        """Its last token is out."""
        return self.emitted >= self.output_tokens


@dataclass
class StepEngine:
    """Slots, a first-come-first-served queue, and the step under way. Calls must come in order of time.

    Whoever drives it finishes every step that ends by `at` before it offers a request at `at`.
    """

    profile: Profile
    step_end: float | None = None
    """When the step under way ends; None while idle."""
    running: list[Generation] = field(default_factory=list)
    waiting: deque[Generation] = field(default_factory=deque)
    offered: int = 0

    def offer(self, generation: Generation) -> Entry:
        """Take the request, or refuse it; an idle engine begins a step with it."""
        self.offered += 1
        share = self.profile.fail_share
        if math.floor(self.offered * share) > math.floor((self.offered - 1) * share):
            return Entry.FAILED
        limit = self.profile.shed_above
        if limit is not None and len(self.running) + len(self.waiting) >= limit:
            return Entry.SHED
        self.waiting.append(generation)
        if self.step_end is None:
            self._begin_step(generation.arrived)
        return Entry.TAKEN

    def finish_step(self) -> Sequence[Generation]:
        """One token for each running request; the next step begins at once. Returns those that got one."""
        assert self.step_end is not None, "an idle engine has no step to finish"
        now, batch = self.step_end, self.running
        for generation in batch:
            if not generation.emitted:
                generation.first = now
            generation.emitted += 1
            generation.last = now
        self.running = [generation for generation in batch if not generation.done]
        self._begin_step(now)
        return batch

    def abort(self, generation: Generation) -> None:
        """Its client left. A step under way keeps its length."""
        if generation in self.waiting:
            self.waiting.remove(generation)
        elif generation in self.running:
            self.running = [other for other in self.running if other is not generation]

    def _begin_step(self, at: float) -> None:
        admitted = 0
        while self.waiting and len(self.running) < self.profile.max_num_seqs:
            admitted += self.waiting[0].prompt_tokens
            self.running.append(self.waiting.popleft())
        if not self.running:
            self.step_end = None
            return
        profile = self.profile
        seconds = profile.base_seconds + profile.per_sequence_seconds * len(self.running)
        self.step_end = profile.step_end(at, seconds + profile.per_prompt_token_seconds * admitted)
