"""What a ScaledObject would have asked for on recorded answers, by KEDA's and the HPA's arithmetic.

The answers stay as they were recorded: load that more replicas would have taken away is still in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from autoscale.replay.recording import Recording
from autoscale.simulate.laws.law import Ask
from autoscale.simulate.laws.scaled import Scaled
from autoscale.simulate.world import Pods

SYNC_SECONDS = 15.0
_AT_ONCE = [{"type": "Pods", "value": 1_000_000, "periodSeconds": 1}]
Count = Literal["own", "recorded"]


class Step(NamedTuple):
    """One sync of the HPA, or a poll that woke or ended the workload. `recorded` None: nobody counted."""

    seconds: float
    wanted: int
    ready: int
    recorded: int | None
    readings: Mapping[str, float | None]
    """By trigger; None: an error. Empty: a poll's."""
    why: str
    """The trigger that made it change the count; "": it did not."""


class Replicas(Protocol):
    """How many replicas the decisions meet."""

    @property
    def obeys(self) -> bool:
        """Whether they become what is asked for."""

    def pods(self, seconds: float) -> Pods: ...

    def scale(self, seconds: float, replicas: int) -> None: ...


@dataclass
class Own:
    """They come and go as the ScaledObject asks; each is ready `start_seconds` after it was asked for."""

    begun: list[float]
    """When each was asked for, oldest first."""
    start_seconds: float
    obeys: bool = True

    def pods(self, seconds: float) -> Pods:
        ready = sum(at + self.start_seconds <= seconds for at in self.begun)
        return Pods(len(self.begun), 0, len(self.begun) - ready, ready)

    def scale(self, seconds: float, replicas: int) -> None:
        self.begun = self.begun[:replicas] + [seconds] * (replicas - len(self.begun))


@dataclass(frozen=True)
class Recorded:
    """They are what they were, whatever is asked for."""

    recording: Recording
    counts: Sequence[int]
    """At each step of the recording."""
    obeys: bool = False

    def pods(self, seconds: float) -> Pods:
        count = self.counts[self.recording.step(seconds)]
        return Pods(count, 0, 0, count)

    def scale(self, seconds: float, replicas: int) -> None:
        """No effect."""


def replay(document: Mapping[str, Any], recording: Recording, replicas: Replicas) -> list[Step]:
    """Every sync, and every poll that changed the count. Raises `SpecError`.

    Policies pace what is obeyed; where nothing is, the wish is asked for at once.
    """
    law = Scaled(str(document["metadata"]["name"]), document if replicas.obeys else _unpaced(document))
    steps: list[Step] = []
    unheeded = None
    for seconds, is_sync in _turns(law.poll_seconds, recording.span.end - recording.span.begin):
        before = replicas.pods(seconds)
        if is_sync:
            steps.append(_synced(law, recording, seconds, before, unheeded))
            replicas.scale(seconds, steps[-1].wanted)
            continue
        asked = law.poll(seconds, before, _ask(recording, seconds))
        if asked is not None:
            replicas.scale(seconds, asked)
            if asked != (steps[-1].wanted if steps else before.wanted):
                steps.append(_polled(recording, seconds, before, asked))
        unheeded = None if replicas.obeys else asked
    return steps


class Change(NamedTuple):
    """`reading` is the driving trigger's; None: a poll decided, or it could not be read."""

    seconds: float
    before: int
    after: int
    why: str
    reading: float | None


def changes(begin: int, steps: Sequence[Step]) -> Iterator[Change]:
    """Whenever another count than before was asked for; `begin` was there at first."""
    before = begin
    for step in steps:
        if step.wanted != before:
            yield Change(step.seconds, before, step.wanted, step.why, step.readings.get(step.why))
        before = step.wanted


def replica_hours(begin: int, counts: Sequence[tuple[float, int | None]], until: float) -> float:
    """Of counts by the second from which they hold; where one is unknown the last known one does."""
    total, held, since = 0.0, begin, 0.0
    for seconds, count in counts:
        total += held * (seconds - since)
        held, since = held if count is None else count, seconds
    return (total + held * (until - since)) / 3600


def _unpaced(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with its windows and without its policies."""
    advanced = document["spec"].get("advanced") or {}
    config = advanced.get("horizontalPodAutoscalerConfig") or {}
    behavior = config.get("behavior") or {}
    ways = {way: {**(behavior.get(way) or {}), "policies": _AT_ONCE} for way in ("scaleUp", "scaleDown")}
    config = {**config, "behavior": {**behavior, **ways}}
    spec = {**document["spec"], "advanced": {**advanced, "horizontalPodAutoscalerConfig": config}}
    return {**document, "spec": spec}


def _turns(poll_seconds: float, seconds: float) -> Iterator[tuple[float, bool]]:
    """Polls and syncs by time; of those at one time the poll is first."""
    polls = [(at * poll_seconds, False) for at in range(int(seconds / poll_seconds) + 1)]
    syncs = [(at * SYNC_SECONDS, True) for at in range(int(seconds / SYNC_SECONDS) + 1)]
    yield from sorted([*polls, *syncs])


def _synced(law: Scaled, recording: Recording, seconds: float, pods: Pods, unheeded: int | None) -> Step:
    """A poll's 0 or 1 that was not obeyed, because the count is what was recorded, still stands."""
    decision = law.sync(seconds, pods, _ask(recording, seconds))
    wanted = pods.wanted if decision.replicas is None else decision.replicas
    if unheeded is not None:
        wanted = unheeded
    return Step(seconds, wanted, pods.ready, _there(recording, seconds), decision.readings, decision.why)


def _polled(recording: Recording, seconds: float, pods: Pods, asked: int) -> Step:
    why = "activation" if asked > pods.wanted else "no activity"
    return Step(seconds, asked, pods.ready, _there(recording, seconds), {}, why)


def _ask(recording: Recording, seconds: float) -> Ask:
    return lambda query: list(recording.answers[query][recording.step(seconds)])


def _there(recording: Recording, seconds: float) -> int | None:
    return recording.replicas[recording.step(seconds)]
