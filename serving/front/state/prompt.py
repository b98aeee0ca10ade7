"""The messages that an engine gets of a session, and what of its system prompt a turn must store so that it is found.

System messages at the head of a request are the session's system prompt from then on: the latest one is always sent,
and always first. A turn stores it when it changed, and every `REPEAT_TURNS`; so whoever reads that many of the newest
turns knows it. It knows no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from serving.front.ids import Mint
from serving.front.state import items
from serving.front.state.history import SYSTEM_ROLES
from serving.front.state.item_shapes import Content
from serving.front.state.records import Format, Item, Turn

REPEAT_TURNS = 32
_SUMMARY = "This conversation began earlier. Summary of what was said before the messages that follow:\n\n"


class Summary(NamedTuple):
    """Stands for all turns up to number `through`; `tokens` is what it costs in a prompt, an estimate."""

    through: int
    text: str
    tokens: int


def in_force(turns: Sequence[Turn]) -> Turn | None:
    """The system prompt after these turns, as the turn that brought it with nothing else in it.

    `turns` are at least the `REPEAT_TURNS` newest ones, or all there are.
    """
    for turn in reversed(turns):
        if _has_head(turn):
            found: Turn = turn._replace(items=_head(turn.items))
            return found
    return None


def to_store(turn: Turn, system: Turn | None, mint: Mint) -> tuple[Item, ...]:
    """The items of `turn` as they are to be stored; `turn.number` is what the store will give it.

    A system prompt that repeats the one in force is left out, except where it is time to store it again.
    """
    head = _head(turn.items)
    is_due = turn.number % REPEAT_TURNS == 1
    if system is None or (head and (is_due or not _same(turn._replace(items=head), system))):
        return turn.items
    rest = turn.items[len(head) :]
    if not is_due:
        return rest
    again = items.as_messages(system) if turn.format == "chat" else items.as_input_items(system)
    return (*(Item(mint("msg"), content) for content in again), *rest)


def compose(
    new: Sequence[Content], form: Format, system: Turn | None, summary: Summary | None, turns: Sequence[Turn]
) -> list[Content]:
    """`new`, with all of its session that is sent before it: chat messages, or entries of `input`, as `form` says."""
    say = items.as_messages if form == "chat" else items.as_input_items
    head = list(takewhile(_is_system, new))
    messages = head or (say(system) if system is not None else [])
    rest = new[len(head) :]
    if summary is not None:
        messages = _with_summary(messages, summary, form)
    for turn in turns:
        messages += say(_without_head(turn) if _has_head(turn) else turn)
    messages.extend(rest)
    return messages


def _with_summary(system: list[Content], summary: Summary, form: Format) -> list[Content]:
    """Inside the last system message where that is text: many chat templates know one system message only."""
    told = _SUMMARY + summary.text
    if system and isinstance(text := system[-1].get("content"), str):
        return [*system[:-1], {**system[-1], "content": f"{text}\n\n{told}"}]
    message = {"role": "system", "content": told}
    return [*system, message if form == "chat" else {"type": "message", **message}]


def _without_head(turn: Turn) -> Turn:
    return turn._replace(items=turn.items[len(_head(turn.items)) :])


def _has_head(turn: Turn) -> bool:
    return bool(turn.items) and turn.items[0].content.get("role") in SYSTEM_ROLES


def _head(given: tuple[Item, ...]) -> tuple[Item, ...]:
    if not given or given[0].content.get("role") not in SYSTEM_ROLES:
        return ()
    return tuple(takewhile(lambda item: _is_system(item.content), given))


def _is_system(content: dict[str, Any]) -> bool:
    return content.get("role") in SYSTEM_ROLES


def _same(one: Turn, other: Turn) -> bool:
    if one.format == other.format:
        return [item.content for item in one.items] == [item.content for item in other.items]
    return items.as_messages(one) == items.as_messages(other)
