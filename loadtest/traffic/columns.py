"""A schedule as arrays, one row per session and one per turn: superposing, cutting; it draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loadtest.traffic.session import Session, Turn

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Columns:
    """What a list of `Session` holds, for a million of them. Session i has the turns first_turn[i]:first_turn[i + 1].

    The first four have shape (sessions,), `first_turn` (sessions + 1,), the last three (turns,).
    """

    at_seconds: Floats
    traffic_class: Ints
    prefix: Ints
    prefix_tokens: Ints
    first_turn: Ints
    input_tokens: Ints
    output_tokens: Ints
    think_seconds: Floats

    @property
    def turn_counts(self) -> Ints:
        """Shape (sessions,)."""
        return np.diff(self.first_turn)

    def taken(self, order: Ints) -> Columns:
        """The sessions at these places, in this order."""
        counts = self.turn_counts[order]
        first = offsets(counts)
        turns = np.repeat(self.first_turn[order] - first[:-1], counts) + np.arange(first[-1])
        return Columns(
            self.at_seconds[order],
            self.traffic_class[order],
            self.prefix[order],
            self.prefix_tokens[order],
            first,
            self.input_tokens[turns],
            self.output_tokens[turns],
            self.think_seconds[turns],
        )

    def sessions(self) -> list[Session]:
        """The same as values; a session's index is its place."""
        turns = list(
            map(Turn, self.input_tokens.tolist(), self.output_tokens.tolist(), self.think_seconds.tolist()),
        )
        bounds = self.first_turn.tolist()
        of_session = [tuple(turns[begin:end]) for begin, end in pairwise(bounds)]
        return list(
            map(
                Session,
                range(len(of_session)),
                self.at_seconds.tolist(),
                self.traffic_class.tolist(),
                self.prefix.tolist(),
                self.prefix_tokens.tolist(),
                of_session,
            )
        )


def offsets(counts: Ints) -> Ints:
    """Where each run begins when runs of these lengths lie one after another, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def superposed(parts: Sequence[Columns]) -> Columns:
    """All sessions in the order of their times; at equal times the earlier part's come first."""
    joined = Columns(
        np.concatenate([part.at_seconds for part in parts]),
        np.concatenate([part.traffic_class for part in parts]),
        np.concatenate([part.prefix for part in parts]),
        np.concatenate([part.prefix_tokens for part in parts]),
        offsets(np.concatenate([part.turn_counts for part in parts])),
        np.concatenate([part.input_tokens for part in parts]),
        np.concatenate([part.output_tokens for part in parts]),
        np.concatenate([part.think_seconds for part in parts]),
    )
    return joined.taken(np.argsort(joined.at_seconds, kind="stable"))


def within(columns: Columns, max_context_tokens: int) -> Columns:
    """The same sessions with no request's prefix, history, input and output above `max_context_tokens` together.

    A prefix keeps less than half of it. A first turn that is too long loses input first, and output down to half of
    the room. A session ends before the first later turn that has no room left.
    """
    if max_context_tokens < 2:
        raise ValueError(f"max_context_tokens {max_context_tokens}: a request has 2 tokens at least")
    prefix_tokens = np.minimum(columns.prefix_tokens, max_context_tokens // 2 - 1)
    room = max_context_tokens - prefix_tokens
    opening = columns.first_turn[:-1]
    inputs, outputs = columns.input_tokens.copy(), columns.output_tokens.copy()
    outputs[opening] = np.minimum(outputs[opening], np.maximum(room // 2, room - inputs[opening]))
    inputs[opening] = np.minimum(inputs[opening], room - outputs[opening])
    used = offsets(inputs + outputs)
    context = used[1:] - np.repeat(used[opening], columns.turn_counts)
    kept = context <= np.repeat(room, columns.turn_counts)
    return replace(
        columns,
        prefix=np.where(prefix_tokens > 0, columns.prefix, -1),
        prefix_tokens=prefix_tokens,
        first_turn=offsets(kept.astype(np.int64))[columns.first_turn],
        input_tokens=inputs[kept],
        output_tokens=outputs[kept],
        think_seconds=columns.think_seconds[kept],
    )
