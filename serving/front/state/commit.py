"""The write that a turn's acknowledgement waits for: what it consists of, and its way into the stores.

It knows no request. The same commit may be applied again after any failure: it takes effect once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

from serving.errors import Conflict, NotFound, SessionGone, StateUnavailable, StoreDown, VersionConflict
from serving.front.state.records import Document, Item, Key, Session, Turn
from serving.front.state.stores import DurableStore, HotStore

# A write that may have happened is asked for once more before its client is told to come back.
_TRIES = 2


class Commit(NamedTuple):
    """A turn for the session `key` whose last turn is number `expected`, and documents that are new with it.

    `new` is the session to create where there is none yet.
    """

    key: Key | None = None
    expected: int = 0
    turn: Turn | None = None
    new: Session | None = None
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Commits:
    """`spawn` runs a coroutine that nobody waits for."""

    store: DurableStore
    hot: HotStore
    spawn: Callable[[Coroutine[Any, Any, None]], object]

    async def apply(self, commit: Commit) -> Turn | None:
        """Write it, the turn first; returns the turn as stored. Raises `Conflict`, `NotFound`, `StateUnavailable`.

        The hot copy follows without being waited for: until then it carries this turn's mark, which no other turn
        trusts.
        """
        for left in reversed(range(_TRIES)):
            try:
                return await self._write(commit)
            except StoreDown:
                if not left:
                    raise unavailable() from None
        raise AssertionError("unreachable")

    async def _write(self, commit: Commit) -> Turn | None:
        stored = None
        if commit.key is not None and commit.turn is not None:
            stored = await self._append(commit.key, commit.expected, commit.turn, commit.new)
        try:
            for document in commit.documents:
                await self._put(document)
        except Conflict:
            if commit.key is not None and stored is not None:
                await self.store.delete_items(commit.key, stored.number)
                self.spawn(self.hot.forget(commit.key))
            raise
        return stored

    async def _append(self, key: Key, expected: int, turn: Turn, new: Session | None) -> Turn:
        try:
            stored = await self.store.append(key, expected, turn, new=new)
        except VersionConflict:
            self.spawn(self.hot.forget(key))
            raise Conflict("Another turn of this conversation was faster: read it and send yours again.") from None
        except SessionGone:
            self.spawn(self.hot.forget(key))
            raise not_found(key.id) from None
        if stored.number == expected + 1:
            self.spawn(self.hot.append(key, stored))
        else:
            self.spawn(self.hot.forget(key))
        return stored

    async def _put(self, document: Document) -> None:
        try:
            await self.store.put(document, document.revision)
        except VersionConflict:
            # One that is there as it should be was written by an earlier try.
            there = await self.store.get(document.kind, document.key)
            if there is None or there.body != document.body:
                raise Conflict("The response was cancelled or deleted.", code="response_changed") from None


def unavailable() -> StateUnavailable:
    """What a client is told while the durable store is away."""
    return StateUnavailable("Conversations cannot be read or kept right now. Try again shortly.")


def not_found(session: str) -> NotFound:
    """The same for an id of another tenant and for one that never was."""
    return NotFound(f"There is no conversation `{session}`.", param="conversation", code="conversation_not_found")


def encode(commit: Commit) -> dict[str, Any]:
    """As JSON values, for `decode`."""
    turn, new = commit.turn, commit.new
    return {
        "key": list(commit.key) if commit.key else None,
        "expected": commit.expected,
        "turn": {**turn._asdict(), "items": [list(item) for item in turn.items]} if turn else None,
        "new": {**new._asdict(), "key": list(new.key)} if new else None,
        "documents": [{**document._asdict(), "key": list(document.key)} for document in commit.documents],
    }


def decode(content: dict[str, Any]) -> Commit:
    """The commit that `encode` was given."""
    turn, new = content["turn"], content["new"]
    return Commit(
        key=Key(*content["key"]) if content["key"] else None,
        expected=content["expected"],
        turn=Turn(**{**turn, "items": tuple(Item(*item) for item in turn["items"])}) if turn else None,
        new=_session(new) if new else None,
        documents=tuple(Document(**{**document, "key": Key(*document["key"])}) for document in content["documents"]),
    )


def _session(content: dict[str, Any]) -> Session:
    parent = content["parent"]
    return Session(**{**content, "key": Key(*content["key"]), "parent": tuple(parent) if parent else None})


def _plain(value: Any) -> Any:
    """Records as objects; pairs that have a place instead of a name, `Key` and `Item`, as lists."""
    if isinstance(value, (Key, Item)):
        return list(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(field) for name, field in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(field) for field in value]
    return value
