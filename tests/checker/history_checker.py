"""Judges what clients of many sessions were told against what the sessions hold afterwards; it does no I/O.

The promise: there is one history per session. Every acknowledged turn is in it once, with the answer that its client
got, generated from exactly the turns before it; a turn acknowledged before another was asked stands before it; nothing
is in it that nobody sent, or sent elsewhere, or was told not to be kept.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.checker import witness
from tests.checker.history import Reading, Request, Violation
from tests.checker.witness import UNKNOWN, Pair, Statement


@dataclass(frozen=True)
class _Chain:
    """A history that somebody vouches for."""

    voucher: str
    turns: tuple[Pair, ...]


def check(
    requests: Iterable[Request], readings: Iterable[Reading], generated: Sequence[Statement] | None = None
) -> list[Violation]:
    """`generated` is what the engines said, whoever got to hear it."""
    by_session: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_session[request.session].append(request)
    read: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        read[reading.session].append(reading)
    found: list[Violation] = []
    for statement in generated or ():
        session = statement.marker.rpartition("/")[0]
        found += _foreign(session, f"what an engine was shown for {statement.marker}", statement.seen)
    generations = None if generated is None else Counter(statement.marker for statement in generated)
    for session in sorted(by_session.keys() | read.keys()):
        found += _session(session, by_session[session], read[session], generations)
    return found


def _session(
    session: str, requests: Sequence[Request], readings: Sequence[Reading], generations: Mapping[str, int] | None
) -> Iterator[Violation]:
    by_marker: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_marker[request.marker].append(request)
    acked = {marker: ack for marker, those in by_marker.items() if (ack := _first_ack(those)) is not None}
    yield from _answers(session, by_marker)
    if generations is not None:
        yield from _generations(session, by_marker, generations)
    for reading in readings:
        yield from _membership(reading, by_marker)
        yield from _acknowledged(reading, by_marker, acked)
        yield from _order(reading, by_marker, acked)
    yield from _forks(session, acked, readings)


def _first_ack(requests: Sequence[Request]) -> Request | None:
    return min((request for request in requests if request.outcome == "acked"), key=lambda ack: ack.ended, default=None)


def _answers(session: str, by_marker: Mapping[str, Sequence[Request]]) -> Iterator[Violation]:
    for marker, requests in by_marker.items():
        for request in requests:
            if request.outcome == "silent":
                yield Violation("silent", session, str(request))
            said = witness.understand(request.text) if request.outcome == "acked" else None
            if request.outcome == "acked" and said is None:
                yield Violation("truncated", session, f"{request}: {request.text!r}")
            elif said is not None and said.marker != marker:
                yield Violation("leaked", session, f"{request} got the answer to {said.marker}")
            elif said is not None:
                yield from _foreign(session, f"what {request} was answered from", said.seen)
        if len(texts := {request.text for request in requests if request.outcome == "acked"}) > 1:
            yield Violation("answered twice", session, f"{marker}: {sorted(texts)}")


def _generations(
    session: str, by_marker: Mapping[str, Sequence[Request]], generations: Mapping[str, int]
) -> Iterator[Violation]:
    for marker, requests in by_marker.items():
        went_well = all(request.outcome == "acked" for request in requests)
        if requests[0].idempotency_key is not None and went_well and generations.get(marker, 0) != 1:
            evidence = f"{marker} was generated {generations.get(marker, 0)} times: {'; '.join(map(str, requests))}"
            yield Violation("generated twice", session, evidence)


def _membership(reading: Reading, by_marker: Mapping[str, Sequence[Request]]) -> Iterator[Violation]:
    """Nothing is there twice, or that nobody sent here, or that a client was told is not kept."""
    session, where = reading.session, f"the history by {reading.source}"
    for marker, count in Counter(pair.marker for pair in reading.turns).items():
        if count > 1:
            yield Violation("doubled", session, f"{marker} is {count} times in {where}")
        requests = by_marker.get(marker, ())
        if not requests and _is_at_home(session, marker):
            yield Violation("phantom", session, f"{marker} is in {where}")
        if requests and all(request.outcome == "refused" for request in requests):
            yield Violation("refused but kept", session, f"{'; '.join(map(str, requests))}, and it is in {where}")
    yield from _foreign(session, where, reading.turns)


def _foreign(session: str, where: str, turns: Iterable[Pair]) -> Iterator[Violation]:
    for pair in turns:
        if not _is_at_home(session, pair.marker):
            yield Violation("leaked", session, f"{pair.marker} is in {where}")


def _is_at_home(session: str, marker: str) -> bool:
    return marker == UNKNOWN or marker.startswith(f"{session}/")


def _acknowledged(
    reading: Reading, by_marker: Mapping[str, Sequence[Request]], acked: Mapping[str, Request]
) -> Iterator[Violation]:
    kept = {pair.marker: pair.answer for pair in reading.turns}
    for marker, ack in acked.items():
        if marker not in kept:
            if ack.ended < reading.at:
                yield Violation("lost", reading.session, f"{ack}, and it is not in the history by {reading.source}")
            continue
        given = witness.generation(ack.text)
        if kept[marker] != given:
            others = "; ".join(str(request) for request in by_marker[marker] if request is not ack)
            evidence = f"{ack} was given {given}, {reading.source} has {kept[marker]}; other requests: [{others}]"
            yield Violation("altered", reading.session, evidence)
        elif reading.texts is not None and reading.texts.get(marker) != ack.text:
            evidence = f"{ack} was given {ack.text!r}, {reading.source} has {reading.texts.get(marker)!r}"
            yield Violation("altered", reading.session, evidence)


def _order(
    reading: Reading, by_marker: Mapping[str, Sequence[Request]], acked: Mapping[str, Request]
) -> Iterator[Violation]:
    """No turn stands before one that was acknowledged before it was asked."""
    earliest: Request | None = None
    for pair in reversed(reading.turns):
        requests = by_marker.get(pair.marker)
        if not requests:
            continue
        asked = min(request.began for request in requests)
        if earliest is not None and earliest.ended < asked:
            evidence = f"{pair.marker} was asked at {asked:.3f} s and stands before {earliest} by {reading.source}"
            yield Violation("reordered", reading.session, evidence)
        ack = acked.get(pair.marker)
        if ack is not None and (earliest is None or ack.ended < earliest.ended):
            earliest = ack


def _forks(session: str, acked: Mapping[str, Request], readings: Sequence[Reading]) -> Iterator[Violation]:
    """What each acknowledged answer was generated from, and each reading, are beginnings of one history."""
    chains = [_Chain(f"the history by {reading.source}", reading.turns) for reading in readings]
    for ack in acked.values():
        said = witness.understand(ack.text)
        if said is not None:
            chains.append(_Chain(str(ack), _told(said)))
    chains.sort(key=lambda chain: len(chain.turns))
    for shorter, longer in itertools.pairwise(chains):
        for place, (one, other) in enumerate(zip(shorter.turns, longer.turns, strict=False)):
            if one != other:
                evidence = f"turn {place + 1} is {one} for {shorter.voucher} and {other} for {longer.voucher}"
                yield Violation("fork", session, evidence)
                break


def _told(said: Statement) -> tuple[Pair, ...]:
    return (*said.seen, Pair(said.marker, said.generation))
