"""The true figures of a knee engine: its model run over a schedule in virtual time; no load test has a part in it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.knee_model import Entry, Generation, Profile, StepEngine
from loadtest.slo import Slo
from loadtest.traffic.session import Session

Schedule = Callable[[float, int], Sequence[Session]]
"""The sessions of a probe: of an offered rate and a seed."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the model made of one request."""

    arrived: float
    first: float
    last: float
    output_tokens: int
    entry: Entry

    def good(self, slo: Slo) -> bool:
        """Within the limits, as the definition has it: TPOT over the tokens after the first."""
        if self.entry is not Entry.TAKEN:
            return False
        in_time = slo.ttft_seconds is None or self.first - self.arrived <= slo.ttft_seconds
        if slo.tpot_seconds is None or self.output_tokens < 2:
            return in_time
        return in_time and (self.last - self.first) / (self.output_tokens - 1) <= slo.tpot_seconds


@dataclass(frozen=True)
class Probe:
    """How attainment is taken: which arrivals count, against what, over which seeds."""

    slo: Slo
    seconds: float
    warmup_seconds: float = 0.0
    seeds: tuple[int, ...] = (0,)


def simulate(profile: Profile, sessions: Sequence[Session]) -> list[Served]:
    """Every request of the schedule, in order of arrival. A client keeps the history: each turn resends it.

    A refused turn ends its session.
    """
    engine = StepEngine(profile)
    due = [(session.at_seconds, session.index, 0, 0) for session in sessions]
    heapq.heapify(due)
    by_index = {session.index: session for session in sessions}
    open_turns: dict[int, tuple[Session, int]] = {}
    offered: list[tuple[Generation, Entry]] = []
    while due or engine.step_end is not None:
        if engine.step_end is not None and not (due and due[0][0] < engine.step_end):
            for generation in engine.finish_step():
                if generation.done:
                    _next_turn(generation, open_turns.pop(id(generation)), due)
            continue
        at, index, number, context = heapq.heappop(due)
        session = by_index[index]
        turn = session.turns[number]
        prompt = turn.input_tokens + (context or session.prefix_tokens)
        generation = Generation(at, prompt, turn.output_tokens)
        entry = engine.offer(generation)
        offered.append((generation, entry))
        if entry is Entry.TAKEN:
            open_turns[id(generation)] = (session, number)
    return [Served(one.arrived, one.first, one.last, one.output_tokens, entry) for one, entry in offered]


def attainment(profile: Profile, probe: Probe, schedule: Schedule, rate: float) -> float:
    """Good over all that arrived in the window, over all seeds together."""
    counted = [
        served.good(probe.slo)
        for seed in probe.seeds
        for served in simulate(profile, schedule(rate, seed))
        if probe.warmup_seconds <= served.arrived < probe.seconds
    ]
    return sum(counted) / len(counted) if counted else math.nan


def goodput(profile: Profile, probe: Probe, schedule: Schedule, quantile: float) -> float:
    """The offered rate at which attainment falls through `quantile`, within half a percent; 0 below one per second."""
    if attainment(profile, probe, schedule, 1.0) < quantile:
        return 0.0
    low, high = 1.0, 2.0
    while attainment(profile, probe, schedule, high) >= quantile:
        low, high = high, high * 2
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        if attainment(profile, probe, schedule, middle) >= quantile:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def stalled_attainment(profile: Profile, slo: Slo) -> float:
    """In closed form, for an engine that is never idle, whose slots never run out and whose steps are all alike.

    A stall holds back the step that it meets, and with it all that arrived during the step before; what arrives from
    then on has its token a step after that one. So arrivals of a stall and three steps, less TTFT's limit, are late.
    """
    assert slo.ttft_seconds is not None, "without a limit on TTFT no wait is late"
    late_seconds = profile.stall_seconds + 3 * profile.base_seconds - slo.ttft_seconds
    return 1 - max(0.0, late_seconds) / profile.stall_every_seconds


def _next_turn(ended: Generation, place: tuple[Session, int], due: list[tuple[float, int, int, int]]) -> None:
    session, number = place
    if number + 1 < len(session.turns):
        at = ended.last + session.turns[number + 1].think_seconds
        heapq.heappush(due, (at, session.index, number + 1, ended.prompt_tokens + ended.output_tokens))
