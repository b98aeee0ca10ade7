"""A document that says "this is being worked on" for as long as its replica lives; it knows not on what.

Whoever reads it after `lease_until` may take over: its owner has died.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from serving.errors import StoreDown, VersionConflict
from serving.front.records import Document
from serving.front.stores import DurableStore

SECONDS = 15.0
_RENEWALS = 3


def until(now: float) -> float:
    """When a lease that begins now ends, seconds since the epoch."""
    return now + SECONDS


def is_over(document: Document, now: float) -> bool:
    lease: float | None = document.body.get("lease_until")
    return lease is not None and now > lease


class Lease:
    """Renews a stored document until it ends; `lost` is called when somebody else wrote it."""

    def __init__(
        self, store: DurableStore, document: Document, now: Callable[[], float], lost: Callable[[], None]
    ) -> None:
        self.document = document
        self._store = store
        self._now = now
        self._lost = lost
        self._task = asyncio.get_running_loop().create_task(self._renew(), name="lease")

    async def end(self) -> Document:
        """Stop renewing; the document as stored."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        return self.document

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(SECONDS / _RENEWALS)
            body: dict[str, Any] = {**self.document.body, "lease_until": until(self._now())}
            try:
                self.document = await self._store.put(self.document._replace(body=body), self.document.revision)
            except StoreDown:
                continue
            except VersionConflict:
                self._lost()
                return
