"""What a run of clients leaves for judgement: what each was told, what the sessions hold, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.checker.witness import Pair
from tests.support.said import Outcome

Kind = Literal[
    "silent",  # a success that is none
    "truncated",  # an acknowledged answer that is not the engine's whole answer to this turn
    "answered twice",  # one idempotency key, two answers
    "generated twice",  # one idempotency key whose requests all went well, two generations
    "lost",  # acknowledged, and not in the history
    "doubled",
    "altered",  # the history has another answer than the client was given
    "fork",  # two histories neither of which continues the other
    "reordered",
    "leaked",  # a turn of another session
    "phantom",  # a turn that nobody sent
    "refused but kept",
    "hung",  # no end, not even a broken one
    "traceback",  # a front met an error that it did not expect
    "not recovered",  # everything is healed, and turns do not succeed
]


class Violation(NamedTuple):
    kind: Kind
    session: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind.upper()} in {self.session}: {self.evidence}"


@dataclass(frozen=True)
class Request:
    """One request as its client saw it; times are seconds of one clock. `text` is the answer of an acknowledged one."""

    session: str
    marker: str
    began: float
    ended: float
    outcome: Outcome
    detail: str = ""
    text: str = ""
    front: int = 0
    idempotency_key: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.marker} at front {self.front}, {self.began:.3f}-{self.ended:.3f} s: {self.outcome} ({self.detail})"
        )


@dataclass(frozen=True)
class Reading:
    """A whole session as `source` gave it, begun at `at`. `texts`, where known, are the answers by marker."""

    session: str
    source: str
    at: float
    turns: tuple[Pair, ...]
    texts: Mapping[str, str] | None = None
