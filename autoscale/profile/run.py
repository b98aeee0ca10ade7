"""From an engine's address to its profile: plans the runs, measures them, fits, and says how well it fits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from autoscale.engine_profile import EngineProfile
from autoscale.profile import loaded
from autoscale.profile.client import EngineClient
from autoscale.profile.fit import fitted
from autoscale.profile.marks import ApartError, ProfileError
from autoscale.profile.runs import Point, Run, planned
from serving.metrics import VllmSeries

# The first of each kind of run pays for compiling and warming; the best of the others is the engine's own speed.
REPEATS = 3
LOADED_SECONDS = 20.0
_ATTEMPTS = 9
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


Plan = Callable[[int, int, int], Sequence[Run]]
"""From the engine's context length, `max_num_seqs` and `max_batched_tokens` to what is measured."""


async def measure(target: Target, say: Callable[[str], None], plan: Plan = planned) -> Measured:
    """Takes a minute or two of an engine that nobody else uses, alone and under load. Raises `ProfileError`."""
    async with EngineClient(target.url, target.key, time.time_ns()) as engine:
        model, max_model_len = await engine.model(target.model)
        before = await engine.metrics()
        blocks, block_tokens = _cache(before)
        _check_idle(before)
        runs = plan(max_model_len, target.max_num_seqs, target.max_batched_tokens)
        points = []
        for number, run in enumerate(runs, start=1):
            points.append(point := await _best(engine, run, model))
            say(f"[{number}/{len(runs)}] {_named(run)}: {point.seconds * 1000:.1f} ms")
        sizes = {"kv_cache_tokens": blocks * block_tokens, "block_tokens": block_tokens, "max_model_len": max_model_len}
        profile = await under_load(engine, model, _profile(target, points, sizes, model), say)
        _check_alone(before, await engine.metrics(), engine.answered)
    return Measured(profile, points)


async def under_load(
    engine: EngineClient, model: str, profile: EngineProfile, say: Callable[[str], None]
) -> EngineProfile:
    """With its costs as they are under load; as alone, and said why, where a load tells nothing."""
    say("[load] simulating what it carries: the first time compiles for half a minute")
    load = loaded.planned(profile, LOADED_SECONDS, seed=1)
    if load is None:
        say(f"[load] left out: the engine is too slow for a load in {LOADED_SECONDS:.0f} s; its costs are as alone")
        return profile
    say(f"[load] {len(load.at_seconds) / LOADED_SECONDS:.1f} requests/s for {LOADED_SECONDS:.0f} s")
    found = loaded.stretched(profile, load, await engine.load(load, model))
    if found is None:
        say(
            f"[load] left out: steps took more than {loaded.MOST_FACTOR:.0f} times what they take alone, which is"
            " something else on this machine; its costs are as alone. Profile again when the machine is free"
        )
        return profile
    say(f"[load] steps take {found.load_factor:.2f} times what they take alone")
    return found


def _profile(target: Target, points: Sequence[Point], sizes: Mapping[str, int], model: str) -> EngineProfile:
    costs = fitted(points, target.max_batched_tokens)
    told = {"model": model, "hardware": target.hardware, "date": time.strftime("%Y-%m-%d")}
    return EngineProfile.model_validate(
        {
            **costs._asdict(),
            **sizes,
            "max_num_seqs": target.max_num_seqs,
            "max_batched_tokens": target.max_batched_tokens,
            "measured": {name: value for name, value in told.items() if value},
        }
    )


async def _best(engine: EngineClient, run: Run, model: str) -> Point:
    """Of `REPEATS`; runs whose streams hardly overlapped are made again."""
    points: list[Point] = []
    for attempt in range(_ATTEMPTS):
        try:
            points.append(await engine.measure(run, model))
        except ApartError:
            if attempt == _ATTEMPTS - 1 and not points:
                raise
        if len(points) == REPEATS:
            break
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


def _check_idle(exposition: str) -> None:
    busy = _total(exposition, VllmSeries.RUNNING) + _total(exposition, VllmSeries.WAITING)
    if busy:
        raise ProfileError(f"the engine has {busy:.0f} requests already: profile one that nobody else uses")


def _check_alone(before: str, after: str, own: int) -> None:
    finished = _total(after, VllmSeries.FINISHED) - _total(before, VllmSeries.FINISHED)
    if finished > own:
        raise ProfileError(
            f"the engine answered {finished - own:.0f} requests of others meanwhile: profile one that nobody else uses"
        )


def _total(exposition: str, name: str) -> float:
    samples = (line.rsplit(" ", 1) for line in exposition.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return sum(float(value) for _, value in samples)
