"""What Prometheus has kept of a ScaledObject's queries, step by step, with its gaps; it decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from autoscale.decide.spec import ScaledObject, Trigger
from autoscale.live.prometheus import Prometheus

# Prometheus refuses a range of more than 11,000 points.
_POINTS = 10_000

Source = Callable[[str], Prometheus]
"""A client for a trigger's `serverAddress`."""


class RecordingError(ValueError):
    """The range cannot be replayed; the text names what is missing and what to do."""


class Span(NamedTuple):
    """From and until, Unix seconds, and between two answers."""

    begin: float
    end: float
    step_seconds: float

    @property
    def steps(self) -> int:
        return int((self.end - self.begin) / self.step_seconds) + 1

    def moment(self, step: int) -> str:
        return self.at(step * self.step_seconds)

    def at(self, seconds: float) -> str:
        """So many seconds after the beginning, as people write it."""
        return datetime.fromtimestamp(self.begin + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def check(self) -> None:
        """Raises `RecordingError`."""
        if self.end <= self.begin:
            raise RecordingError(f"the range ends at {self.moment(0)} or before: --to must be after --from")
        if self.step_seconds <= 0 or self.steps < 2:
            raise RecordingError(f"--step {self.step_seconds:g}: must be above 0 and shorter than the range")


@dataclass(frozen=True)
class Recording:
    """`answers`: by query, the values of all series at each step. `replicas`: None where nobody counted."""

    span: Span
    answers: Mapping[str, Sequence[tuple[float, ...]]]
    replicas: Sequence[int | None]
    late: int = 0
    """At so many steps only the last of the counting queries counted."""

    def step(self, seconds: float) -> int:
        """The newest one, so many seconds after the beginning."""
        return min(int(seconds / self.span.step_seconds + 1e-9), self.span.steps - 1)

    def counts(self) -> list[int]:
        """The replicas at every step; where nobody counted, as before. Raises `RecordingError` if nobody ever did."""
        last = next((count for count in self.replicas if count is not None), None)
        if last is None:
            raise RecordingError(
                "nobody counted the replicas in this range: give --replicas-query, or --begin with --count own"
            )
        filled = []
        for count in self.replicas:
            last = last if count is None else count
            filled.append(last)
        return filled


def fetch(
    document: Mapping[str, Any], spec: ScaledObject, source: Source, span: Span, counting: Sequence[str]
) -> Recording:
    """`spec` is the document's; `counting` are queries that count replicas, the best first.

    Raises `RecordingError` and `PrometheusError`.
    """
    span.check()
    answers: dict[str, Sequence[tuple[float, ...]]] = {}
    for trigger in spec.triggers:
        address = document["spec"]["triggers"][trigger.index]["metadata"]["serverAddress"]
        answers[trigger.query] = found = _range(source(address), trigger.query, span)
        if not trigger.ignores_null and not any(found):
            raise RecordingError(_nothing(trigger, source(address).address, span))
    first = document["spec"]["triggers"][0]["metadata"]["serverAddress"]
    counted = [[_count(values) for values in _range(source(first), query, span)] for query in counting]
    counts = [next((one for one in each if one is not None), None) for each in zip(*counted, strict=True)]
    known = [any(one is not None for one in each) for each in zip(*counted[:-1], strict=True)]
    late = sum(count is not None and not is_known for count, is_known in zip(counts, known, strict=False))
    return Recording(span, answers, counts, late)


def gaps(recording: Recording, spec: ScaledObject) -> Iterator[str]:
    """A sentence for each trigger that had not exactly one finite number at every step."""
    span = recording.span
    for trigger in spec.triggers:
        values = recording.answers[trigger.query]
        kinds = {
            "no answer": [step for step, found in enumerate(values) if not found],
            "several series": [step for step, found in enumerate(values) if len(found) > 1],
            "no finite number": [
                step for step, one in enumerate(values) if len(one) == 1 and not math.isfinite(one[0])
            ],
        }
        for kind, steps in kinds.items():
            if steps:
                extent = f"{span.moment(steps[0])} to {span.moment(steps[-1])}"
                yield f"{trigger.key}: {kind} at {len(steps)} of {span.steps} moments, {extent}"
    if recording.late:
        yield (
            f"the replicas there were are counted by the trigger ready at {recording.late} of {span.steps} moments, "
            "without kube-state-metrics: a new one shows late"
        )
    if missing := sum(count is None for count in recording.replicas):
        yield f"the replicas there were are not known at {missing} of {span.steps} moments"


def _range(prometheus: Prometheus, query: str, span: Span) -> Sequence[tuple[float, ...]]:
    found: list[tuple[float, ...]] = [()] * span.steps
    for first in range(0, span.steps, _POINTS):
        last = min(first + _POINTS, span.steps) - 1
        begin, end = (span.begin + step * span.step_seconds for step in (first, last))
        for series in prometheus.range(query, begin, end, span.step_seconds):
            for at, value in series.points:
                found[round((at - span.begin) / span.step_seconds)] += (value,)
    return found


def _count(values: tuple[float, ...]) -> int | None:
    finite = [value for value in values if math.isfinite(value)]
    return round(max(finite)) if finite else None


def _nothing(trigger: Trigger, address: str, span: Span) -> str:
    extent = f"between {span.moment(0)} and {span.moment(span.steps - 1)}"
    return (
        f"{trigger.key}: {address} has no answer to its query {extent}: a series is missing, "
        f"or the range is older than what Prometheus keeps. The query: {trigger.query}"
    )
