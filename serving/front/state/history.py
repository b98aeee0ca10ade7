"""What of a session an engine gets to see: which turns are sent, in blocks so that prompts keep their prefix.

It knows turns by their numbers, sizes and first items; neither stores nor message formats. A turn's token position is
its `tokens_before`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from serving.errors import InvalidRequest, SettingsError
from serving.front.state.records import Turn
from serving.settings import HistorySettings

Name = Literal["full", "window", "summary"]
_NAMES: tuple[Name, ...] = ("full", "window", "summary")
_SIZES = ("turns", "tokens")
_LARGEST = 2**31 - 1
_FIRST = -(2**62)
SYSTEM_ROLES = frozenset({"system", "developer"})
_RESULT_ROLES = frozenset({"tool", "function"})


class Strategy(NamedTuple):
    """`turns` and `tokens` bound a window; the model's context bounds every strategy."""

    name: Name = "full"
    turns: int | None = None
    tokens: int | None = None


def from_settings(settings: HistorySettings) -> Strategy:
    """Raises `SettingsError` for a window without a size, or a size without a window."""
    given = settings.model_dump(exclude_none=True)
    try:
        return parse(given, "front.state.history")
    except InvalidRequest as error:
        raise SettingsError(error.param or "front.state.history", error.message) from None


def parse(value: object, param: str) -> Strategy:
    """`{"strategy": "window", "turns": 20}` as a client writes it. Raises `InvalidRequest`, e.g. for `param.turns`."""
    if not isinstance(value, dict):
        raise _wrong(param, 'must be an object such as {"strategy": "window", "turns": 20}')
    for key in value:
        if key != "strategy" and key not in _SIZES:
            raise _wrong(f"{param}.{key[:64]}", "is not known; known are strategy, turns and tokens")
    name = value.get("strategy")
    if not isinstance(name, str) or name not in _NAMES:
        raise _wrong(f"{param}.strategy", "must be full, window or summary")
    turns, tokens = (_size(value.get(key), f"{param}.{key}", name) for key in _SIZES)
    if name == "window" and turns is None and tokens is None:
        raise _wrong(f"{param}.turns", "or `tokens` is needed by the window strategy")
    return Strategy(name, turns, tokens)


def cut(turns: Sequence[Turn], strategy: Strategy, room: int, after: int | None = None) -> Sequence[Turn]:
    """The newest turns that are sent, oldest first, none of them empty, at most `room` tokens together.

    `turns` follow each other without a gap up to the session's last one; they may begin in its middle. Turns up to
    number `after` are never sent: a summary stands for them.

    What is dropped grows in blocks, by absolute turn numbers and token positions, so requests share their prefix until
    the next block goes. A tool's result stays with its call: such turns go together. The newest turn, with those it
    cannot be parted from, is sent whenever `room` has place for it, even where it alone is more than the window;
    when it has none, nothing is sent.
    """
    bounds = _bounds(turns, strategy, room, after)
    start = _clean_from(turns, bounds)
    if start == len(turns):
        start = _newest_start(turns)
        if start < len(turns) and not _fits(turns[start], bounds, room, after):
            start = len(turns)
    return [turn for turn in turns[start:] if turn.items]


def misses_older(turns: Sequence[Turn], strategy: Strategy, room: int, after: int | None = None) -> bool:
    """True when turns before the first of these, if there are any, could belong to the cut: read them, then cut."""
    if not turns:
        return False
    bounds, first = _bounds(turns, strategy, room, after), turns[0]
    if bounds.number < first.number and bounds.tokens <= first.tokens_before:
        return True
    return _newest_start(turns) == len(turns) and _fits(first, bounds, room, after)


def summary_due(turns: Sequence[Turn], strategy: Strategy, room: int, through: int | None = None) -> int | None:
    """The number of the turn up to which a summary should be made now; None while that of `through` will do.

    It is due half a block before the window drops those turns, so that it is there in time, and ends where a cut can
    begin.
    """
    if strategy.name != "summary":
        return None
    start = _clean_from(turns, _bounds(turns, strategy, room, through, sooner=True))
    if not 0 < start < len(turns):
        return None
    upto = turns[start].number - 1
    return upto if through is None or upto > through else None


def starts_clean(turn: Turn) -> bool:
    """False for a turn that begins with a tool's result, whose call is in the turn before."""
    for item in turn.items:
        role = item.content.get("role")
        if role not in SYSTEM_ROLES:
            return role not in _RESULT_ROLES and not _is_output(item.content)
    return True


def joined(older: Sequence[Turn], newer: Sequence[Turn]) -> list[Turn]:
    """The turns of a session after those of the one it continues, which end with the turn it continues from.

    Its own turns keep their numbers; those before turn 1 are numbered 0, -1, … and their token positions are negative.
    """
    if not older:
        return list(newer)
    number, tokens = older[-1].number, older[-1].tokens_before + older[-1].tokens
    moved = [turn._replace(number=turn.number - number, tokens_before=turn.tokens_before - tokens) for turn in older]
    return [*moved, *newer]


_number, _tokens_before = attrgetter("number"), attrgetter("tokens_before")


class _Bounds(NamedTuple):
    """The first turn sent has at least this number and token position; the last one ends at position `end`."""

    number: int
    tokens: int
    end: int


def _bounds(
    turns: Sequence[Turn], strategy: Strategy, room: int, after: int | None, *, sooner: bool = False
) -> _Bounds:
    last = next((turn for turn in reversed(turns) if turn.items), None)
    if last is None:
        return _Bounds(_FIRST, _FIRST, 0)
    end = last.tokens_before + last.tokens
    limit = room if strategy.tokens is None else min(room, strategy.tokens)
    tokens = _dropped(end, limit, _token_block(limit), sooner) if limit > 0 else end + 1
    number = _FIRST if after is None else after + 1
    if strategy.turns is not None:
        dropped = _dropped(last.number, strategy.turns, max(1, strategy.turns // 2), sooner)
        number = max(number, dropped + 1)
    return _Bounds(number, tokens, end)


def _dropped(end: int, limit: int, block: int, sooner: bool) -> int:
    """The smallest multiple of `block` that leaves at most `limit` up to `end`."""
    if sooner:
        limit -= block // 2
    return -((limit - end) // block) * block


def _fits(first: Turn, bounds: _Bounds, room: int, after: int | None) -> bool:
    return bounds.end - first.tokens_before <= room and (after is None or first.number > after)


def _token_block(limit: int) -> int:
    """A quarter to a half of the limit, and a power of two: the same for limits that differ a little."""
    return 1 << max(0, limit.bit_length() - 2)


def _clean_from(turns: Sequence[Turn], bounds: _Bounds) -> int:
    """Index of the first turn within bounds that a cut can begin with; behind the last one for none."""
    start = max(bisect_left(turns, bounds.number, key=_number), bisect_left(turns, bounds.tokens, key=_tokens_before))
    return next((at for at in range(start, len(turns)) if _can_begin(turns[at])), len(turns))


def _newest_start(turns: Sequence[Turn]) -> int:
    """Index of the newest turn that a cut can begin with; behind the last one for none."""
    return next((at for at in reversed(range(len(turns))) if _can_begin(turns[at])), len(turns))


def _can_begin(turn: Turn) -> bool:
    return bool(turn.items) and starts_clean(turn)


def _is_output(content: dict[str, Any]) -> bool:
    kind = content.get("type")
    return isinstance(kind, str) and kind.endswith("_output")


def _size(given: object, param: str, name: object) -> int | None:
    if given is None:
        return None
    if name == "full":
        raise _wrong(param, "has no meaning for the full strategy")
    if type(given) is not int or not 1 <= given <= _LARGEST:
        raise _wrong(param, f"must be an integer from 1 to {_LARGEST}")
    return given


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` {what}.", param=name, code="invalid_value")
