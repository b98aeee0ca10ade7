"""One generation per `Idempotency-Key`: the first request claims the key, the others get its answer.

The answer and its commit are remembered before the commit is applied, so that a replica that dies in between loses
neither: whoever replays the answer applies the commit first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from serving.errors import Conflict, InvalidRequest, NotFound, StoreDown, VersionConflict
from serving.front.ids import Mint
from serving.front.state import commit, lease
from serving.front.state.commit import Commit, Commits
from serving.front.state.keep import Keep
from serving.front.state.lease import Lease, Leases
from serving.front.state.records import Document, Key
from serving.front.state.stores import DurableStore

_POLL_SECONDS = 0.1
# What a commit ends with that will never be written.
_REFUSED = (Conflict, NotFound)
# A record that the next request may take, whatever it is.
_FREE: dict[str, object] = {"state": "free", "fingerprint": None, "turn": None, "commit": None, "lease_until": 0}


class Remembered(NamedTuple):
    """The answer of an earlier request with this key, byte for byte."""

    body: bytes
    is_stream: bool


class Claim:
    """The right to answer for a key."""

    def __init__(self, held: Lease, commits: Commits) -> None:
        self._lease = held
        self._commits = commits
        self._is_answered = False

    @property
    def turn_id(self) -> str:
        """The same for every replica that works on this key."""
        turn: str = self._lease.document.body["turn"]
        return turn

    async def answered(self, answer: Remembered, due: Commit) -> None:
        """Remember the answer before its commit. Raises `StateUnavailable`, `Conflict` when the claim was lost."""
        await self._write({"state": "answered", "commit": commit.encode(due), **_encode(answer)})
        self._is_answered = True

    async def done(self) -> None:
        """The commit is applied."""
        await _note(self._commits.store, self._lease.document, {"state": "done", "commit": None})

    async def release(self, error: BaseException | None) -> None:
        """There is no answer: the next request with this key generates one, whatever its body.

        An answer whose commit may have been written stays: the next request applies the commit again.
        """
        if not self._is_answered or isinstance(error, _REFUSED):
            await _note(self._commits.store, await self._lease.end(), _FREE)

    async def _write(self, fields: dict[str, object]) -> None:
        document = await self._lease.end()
        body = {**document.body, **fields, "lease_until": None}
        try:
            self._lease.document = await self._commits.store.put(document._replace(body=body), document.revision)
        except StoreDown:
            raise commit.unavailable() from None
        except VersionConflict:
            raise taken_over() from None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """`wait_seconds` is how long a second request waits for the first."""

    commits: Commits
    leases: Leases
    keep_seconds: float
    wait_seconds: float
    mint: Mint

    async def claim(self, tenant: str, keep: Keep, user: str | None, lost: Callable[[], None]) -> Claim | Remembered:
        """Raises `InvalidRequest` for a key that came with another body, `StateUnavailable`, `Conflict`."""
        assert keep.idempotency_key is not None
        now, key = self.leases.now, Key(tenant, keep.idempotency_key)
        asked = {"fingerprint": keep.fingerprint.hex()}
        wanted = Document(key, "idempotency", asked, now(), user, ttl_seconds=self.keep_seconds)
        deadline = now() + self.wait_seconds
        while now() < deadline:
            try:
                found = await self._look(wanted, lost)
            except StoreDown:
                raise commit.unavailable() from None
            if found is not None:
                return found
            await asyncio.sleep(_POLL_SECONDS)
        raise Conflict("A request with this Idempotency-Key is still running.", code="idempotency_key_in_use")

    async def _look(self, wanted: Document, lost: Callable[[], None]) -> Claim | Remembered | None:
        store, now = self.commits.store, self.leases.now()
        found = await store.get("idempotency", wanted.key)
        if found is not None and found.body["fingerprint"] not in (wanted.body["fingerprint"], None):
            raise InvalidRequest(
                "This Idempotency-Key was used with another body.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        if found is not None and found.body["state"] == "answered":
            await self._apply(found._replace(ttl_seconds=self.keep_seconds))
        if found is not None and found.body["state"] in ("answered", "done"):
            return _decode(found)
        if found is not None and not lease.is_over(found, now):
            return None
        turn = found.body["turn"] if found is not None and found.body["turn"] else self.mint("turn")
        body = {**wanted.body, "state": "running", "turn": turn, "lease_until": self.leases.until()}
        mine = wanted._replace(body=body, created_at=now)
        try:
            stored = await store.put(mine, found.revision if found else 0)
        except VersionConflict:
            return None
        return Claim(self.leases.hold(stored, lost), self.commits)

    async def _apply(self, document: Document) -> None:
        """The commit of an answer whose replica may have died before it."""
        try:
            await self.commits.apply(commit.decode(document.body["commit"]))
        except _REFUSED:
            await _note(self.commits.store, document, _FREE)
            raise
        await _note(self.commits.store, document, {"state": "done", "commit": None})


async def _note(store: DurableStore, document: Document, fields: dict[str, object]) -> None:
    """Write fields of a record, unless somebody else wrote it first."""
    with contextlib.suppress(StoreDown, VersionConflict):
        await store.put(document._replace(body={**document.body, **fields}), document.revision)


def _encode(answer: Remembered) -> dict[str, object]:
    return {"answer": answer.body.decode("latin-1"), "is_stream": answer.is_stream}


def _decode(document: Document) -> Remembered:
    return Remembered(document.body["answer"].encode("latin-1"), document.body["is_stream"])


def taken_over() -> Conflict:
    """What the client of a claim that was lost is told."""
    return Conflict("Another request with this Idempotency-Key took over.", code="idempotency_key_in_use")
