"""What a replay comes to, in sentences: counts, replica-hours, turns; it draws nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoscale.replay.what_if import Step, replica_hours
from autoscale.simulate.score import turns
from loadtest.report import units


def facts(steps: Sequence[Step], begin: int, until_seconds: float, is_own: bool) -> Iterator[tuple[str, str]]:
    """`begin` replicas were there at first; `is_own`: decisions met the count that they made."""
    wanted: list[tuple[float, int | None]] = [(step.seconds, step.wanted) for step in steps]
    there = [(step.seconds, step.recorded) for step in steps]
    yield "would have asked for", _said(wanted, begin, until_seconds)
    known = [count for _, count in there if count is not None]
    yield "there were", _said(there, known[0], until_seconds) if known else "nobody counted them"
    yield "decided upon", "the count that it would have reached itself" if is_own else "the count that was there"


def _said(counts: Sequence[tuple[float, int | None]], begin: int, until: float) -> str:
    known = [count for _, count in counts if count is not None]
    hours = replica_hours(begin, counts, until)
    turned = units.several(turns(known), "turn")
    extent = f"{min(known)} to {max(known)} replicas, {hours * 3600 / until:.2f} on average"
    return f"{extent}, {hours:.2f} replica-hours, {turned}"
