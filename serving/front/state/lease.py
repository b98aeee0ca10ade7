"""A document that says "this is being worked on" for as long as its replica lives; it knows not on what.

Whoever reads it after `lease_until` may take over: its owner has died.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from serving.errors import StoreDown, VersionConflict
from serving.front.state.records import Document
from serving.front.state.stores import DurableStore

_RENEWALS = 3


@dataclass(frozen=True, slots=True)
class Leases:
    """`seconds` is how long one lasts unless it is renewed; `now` is seconds since the epoch."""

    store: DurableStore
    seconds: float
    now: Callable[[], float]

    def until(self) -> float:
        """When a lease that begins now ends, seconds since the epoch."""
        return self.now() + self.seconds

    def hold(self, document: Document, lost: Callable[[], None]) -> Lease:
        """Renew a stored document until its lease is ended; `lost` is called when somebody else wrote it."""
        return Lease(self, document, lost)


class Lease:
    """Owns the task that renews."""

    def __init__(self, leases: Leases, document: Document, lost: Callable[[], None]) -> None:
        self.document = document
        self._leases = leases
        self._lost = lost
        self._unanswered: dict[str, Any] | None = None
        self._ending = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._renew(), name="lease")

    async def end(self) -> Document:
        """Stop renewing; the document as stored. A renewal under way is finished: it counts as a revision."""
        self._ending.set()
        await asyncio.wait({self._task})
        with contextlib.suppress(StoreDown):
            await self._settle()
        return self.document

    async def _renew(self) -> None:
        leases = self._leases
        while not await self._ends_within(leases.seconds / _RENEWALS):
            try:
                await self._settle()
                body = {**self.document.body, "lease_until": leases.until()}
                self._unanswered = body
                self.document = await leases.store.put(self.document._replace(body=body), self.document.revision)
                self._unanswered = None
            except StoreDown:
                continue
            except VersionConflict:
                self._unanswered = None
                self._lost()
                return

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    async def _settle(self) -> None:
        """A renewal whose store did not answer may have been written all the same."""
        if self._unanswered is not None:
            found = await self._leases.store.get(self.document.kind, self.document.key)
            if found is not None and found.body == self._unanswered:
                self.document = self.document._replace(body=found.body, revision=found.revision)
            self._unanswered = None


def is_over(document: Document, now: float) -> bool:
    lease: float | None = document.body.get("lease_until")
    return lease is not None and now > lease
