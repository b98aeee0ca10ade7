"""What the front tier needs of its stores; `serving/adapters` has them, `tests/contract` holds every one to this.

The durable store is the truth: order, versions and acknowledgement come from it. The hot store is a copy that may be
lost, stale or away at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from serving.front.state.records import Document, Key, Kind, Opened, Session, Turn

Order = Literal["asc", "desc"]


class Page(NamedTuple):
    """Which part of a list: `limit` entries beyond `after` (created_at, id) in this order, of one user or of all."""

    limit: int
    after: tuple[float, str] | None = None
    order: Order = "asc"
    user: str | None = None


class DurableStore(Protocol):
    """Sessions, turns and documents. What a call returned from has reached the disk (or its quorum).

    Every call raises `StoreDown` when the store cannot be reached, refuses for load, or does not answer within
    `front.state.store_timeout_seconds`; after `StoreDown` from a write the write may have happened, and the same call
    again is safe. Expired sessions, turns and documents are never returned. Calls may be cancelled at any await.
    """

    async def create(self, session: Session) -> None:
        """Add a session without turns. Raises `VersionConflict` when the id is taken."""

    async def open(self, key: Key, limit: int) -> Opened | None:
        """The session and its newest `limit` turns, oldest first; None when there is none."""

    async def turns(
        self, key: Key, *, after: int = 0, before: int | None = None, limit: int, order: Order
    ) -> list[Turn]:
        """Turns with after < number < before: the first `limit` in that order, given in that order.

        Empty turns are included. [] for an unknown session.
        """

    async def append(self, key: Key, expected: int, turn: Turn, *, new: Session | None = None) -> Turn:
        """Add a turn as number `expected` + 1, whole or not at all; returns it as stored.

        A turn with this id that is there already is returned as it is, whatever `expected`. `new` is created when the
        session is not there. Raises `VersionConflict` when the session has another version, `SessionGone` when it is
        not there and `new` is None. Extends the session's life to the retention from now.
        """

    async def update(self, session: Session) -> bool:
        """Replace metadata, history and user; False when it is not there."""

    async def delete_items(self, key: Key, number: int, ids: tuple[str, ...] | None = None) -> bool:
        """Delete these items of a turn, None meaning all; the turn stays. False when there was nothing to delete."""

    async def delete_session(self, key: Key) -> bool:
        """Delete a session with all its turns. False when it is not there. A later session of this id starts anew."""

    async def find_item(self, key: Key, item_id: str) -> Turn | None:
        """The turn that holds this item."""

    async def sessions(self, tenant: str, *, user: str | None = None, after: str = "", limit: int) -> list[Session]:
        """Sessions of a tenant, or of one user of it, with id > `after`, by id."""

    async def put(self, document: Document, expected: int = 0) -> Document:
        """Write a document whose revision is `expected`, 0 meaning that there is none; returns it as stored.

        Raises `VersionConflict` otherwise.
        """

    async def get(self, kind: Kind, key: Key) -> Document | None:
        """The document, or None."""

    async def delete(self, kind: Kind, key: Key) -> bool:
        """False when it is not there."""

    async def documents(self, kind: Kind, tenant: str, page: Page) -> list[Document]:
        """Documents of a tenant, by (created_at, id)."""

    async def purge(self) -> int:
        """Delete what has expired, a bounded share per call; how much that was. 0 where the store does it itself."""

    async def close(self) -> None:
        """Finish what is under way and let go of everything."""


class HotStore(Protocol):
    """A copy of the last `front.state.hot_turns` turns per session. It never raises: what fails is as if not there.

    Between `open` and `append` or `fill` the session carries the mark of the turn that opened it last, and a copy with
    the mark of another turn is not trusted: its owner may have died between the durable write and this one.
    """

    async def open(self, key: Key, turn_id: str) -> Opened | None:
        """The copy, unless another turn's mark is on it; then, and when there is none, None. Sets this turn's mark."""

    async def fill(self, opened: Opened, turn_id: str) -> None:
        """Replace the copy by what was read from the durable store, under this turn's mark, unless it is older."""

    async def append(self, key: Key, turn: Turn) -> None:
        """Add a turn that the durable store has; the mark goes if it is this turn's. A copy that misses a turn goes."""

    async def forget(self, key: Key) -> None:
        """Drop the copy."""


class Chunk(Protocol):
    """Whole SSE events, numbered `first` to `last`."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...

    @property
    def data(self) -> bytes: ...


class Replay(Protocol):
    """What a stream's log holds beyond a number."""

    @property
    def chunks(self) -> Sequence[Chunk]:
        """In order; the first may begin before what was asked for. Numbers follow each other without a gap."""

    @property
    def ended(self) -> bool:
        """The last event of the stream is in `chunks` or before them."""

    @property
    def has_owner(self) -> bool:
        """The replica that writes it lives."""


class StreamWriter(Protocol):
    """Writes one stream's events; calls cost next to nothing and never raise, the writing happens in batches."""

    def add(self, data: bytes, count: int) -> None:
        """The next `count` whole events."""

    def end(self, data: bytes, count: int) -> None:
        """The last ones."""


class StreamLog(Protocol):
    """Events of resumable streams, bounded in bytes and time, readable from every replica."""

    def open(self, key: Key) -> StreamWriter:
        """Begin a stream; its first event is number 0."""

    async def read(self, key: Key, after: int) -> Replay | None:
        """What came after event number `after` (-1: everything), at once. None: no such stream, or no longer.

        Raises `StoreDown` when it cannot be asked.
        """

    async def forget(self, key: Key) -> None:
        """Drop its events; one that runs is written no more. Never raises: what cannot be dropped now expires."""

    async def cancel(self, key: Key) -> bool:
        """Tell every replica that this generation shall end; False when nobody could be told."""
