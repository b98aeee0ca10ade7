"""From an engine's address to its profile: plans the runs, measures them, fits, and says how well it fits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from autoscale.engine_profile import EngineProfile
from autoscale.profile.client import EngineClient, ProfileError
from autoscale.profile.fit import fitted
from autoscale.profile.runs import Point, Run, planned
from serving.metrics import VllmSeries

# The first of each kind of run pays for compiling and warming; the best of the others is the engine's own speed.
_REPEATS = 3
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Target(NamedTuple):
    """What to profile. The two sizes are the engine's flags, which it does not tell; `hardware` is a note."""

    url: str
    key: str | None
    model: str | None
    max_num_seqs: int
    max_batched_tokens: int
    hardware: str


class Measured(NamedTuple):
    """A profile and the points that it was fitted to."""

    profile: EngineProfile
    points: list[Point]


async def measure(target: Target, say: Callable[[str], None]) -> Measured:
    """Takes a minute or two of an engine that nobody else uses. Raises `ProfileError`."""
    async with EngineClient(target.url, target.key, time.time_ns()) as engine:
        model, max_model_len = await engine.model(target.model)
        blocks, block_tokens = _cache(await engine.metrics())
        if not max_model_len:
            raise ProfileError(f"{target.url} does not tell its context length: is it a vLLM?")
        runs = planned(max_model_len, target.max_num_seqs, target.max_batched_tokens)
        points = []
        for number, run in enumerate(runs, start=1):
            points.append(point := await _best(engine, run, model))
            say(f"[{number}/{len(runs)}] {_named(run)}: {point.seconds * 1000:.1f} ms")
    fit = fitted(points, target.max_batched_tokens)
    told = {"model": model, "hardware": target.hardware, "date": time.strftime("%Y-%m-%d")}
    profile = EngineProfile(
        base_seconds=fit.base_seconds,
        prefill_seconds=fit.prefill_seconds,
        sequence_seconds=fit.sequence_seconds,
        context_seconds=fit.context_seconds,
        request_seconds=fit.request_seconds,
        kv_cache_tokens=blocks * block_tokens,
        max_num_seqs=target.max_num_seqs,
        max_batched_tokens=target.max_batched_tokens,
        block_tokens=block_tokens,
        measured={name: value for name, value in told.items() if value},
        residuals=fit.residuals,
    )
    return Measured(profile, points)


async def _best(engine: EngineClient, run: Run, model: str) -> Point:
    points = [await engine.measure(run, model) for _ in range(_REPEATS)]
    return min(points, key=lambda point: point.seconds)


def _named(run: Run) -> str:
    held_out = ", held out" if run.held_out else ""
    return f"{run.kind} {run.streams} x {run.prompt_tokens} tokens{held_out}"


def _cache(exposition: str) -> tuple[int, int]:
    """Blocks of the KV cache and tokens in one."""
    line = next((line for line in exposition.splitlines() if line.startswith(VllmSeries.CACHE_CONFIG)), "")
    labels = dict(_LABEL.findall(line))
    try:
        return int(labels["num_gpu_blocks"]), int(labels["block_size"])
    except (KeyError, ValueError):
        raise ProfileError(f"/metrics has no {VllmSeries.CACHE_CONFIG} with num_gpu_blocks: is it a vLLM?") from None
