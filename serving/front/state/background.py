"""A background response from its acceptance to its end: a document under a lease; it knows no engine and no client."""

from __future__ import annotations

import logging
from collections.abc import Callable

from serving.errors import Cancelled, RequestError, StoreDown, VersionConflict
from serving.front.state import commit, stored
from serving.front.state.conversation import Conversation
from serving.front.state.lease import Lease, Leases
from serving.front.state.records import Document
from serving.front.state.stores import DurableStore

_log = logging.getLogger("tidegate.front")


class Background:
    """Owns the lease; whoever finds it over says that the response failed."""

    def __init__(self, store: DurableStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease

    @classmethod
    async def begin(
        cls, store: DurableStore, leases: Leases, conversation: Conversation, cancelled: Callable[[], None]
    ) -> Background:
        """Keep the response as being worked on. Raises `StateUnavailable`; `cancelled` when somebody else wrote it."""
        try:
            document = await store.put(stored.queued(conversation, leases.now(), leases.until()))
        except StoreDown:
            raise commit.unavailable() from None
        return cls(store, leases.hold(document, lost=cancelled))

    @property
    def document(self) -> Document:
        return self._lease.document

    async def end(self) -> Document:
        """No longer worked on; the document that the answer replaces."""
        return await self._lease.end()

    async def fail(self, why: RequestError) -> None:
        """It ends without an answer, and says so to whoever asks; a cancelled one has been told already."""
        document = await self._lease.end()
        if isinstance(why, Cancelled):
            return
        try:
            await self._store.put(stored.failed(document, why), document.revision)
        except (StoreDown, VersionConflict):
            _log.warning("a failed background response could not be marked as failed")
