"""What belongs to one session, one user or one tenant: its sessions, and the documents that name them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from serving.front.state.records import KINDS, Document, Key, Session, Turn
from serving.front.state.stores import DurableStore, Page

_SESSIONS_AT_ONCE = 100
# Each may be megabytes.
_CONTENTS_AT_ONCE = 16


@dataclass(frozen=True)
class Scope:
    """One session, one user's, or all of a tenant."""

    tenant: str
    session: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        whose = f"session {self.session} of " if self.session is not None else ""
        whose += f"user {self.user} of " if self.user is not None else ""
        return f"{whose}tenant {self.tenant}"


async def sessions_of(store: DurableStore, scope: Scope) -> AsyncIterator[Session]:
    if scope.session is not None:
        opened = await store.open(Key(scope.tenant, scope.session), 1)
        if opened is not None:
            yield opened.session
        return
    after = ""
    while found := await store.sessions(scope.tenant, user=scope.user, after=after, limit=_SESSIONS_AT_ONCE):
        for session in found:
            yield session
        after = found[-1].key.id


async def turns_of(store: DurableStore, key: Key) -> AsyncIterator[Turn]:
    after = 0
    while found := await store.turns(key, after=after, limit=_CONTENTS_AT_ONCE, order="asc"):
        for turn in found:
            yield turn
        after = found[-1].number


async def documents_of(store: DurableStore, scope: Scope, sessions: set[str]) -> AsyncIterator[Document]:
    """Every document of a tenant; else those of the user, and those that name one of these sessions."""
    of_all = scope.session is None and scope.user is None
    for kind in KINDS:
        after = None
        while found := await store.documents(kind, scope.tenant, Page(_CONTENTS_AT_ONCE, after)):
            for document in found:
                of_user = scope.user is not None and document.user == scope.user
                if of_all or of_user or _session_named_by(document) in sessions:
                    yield document
            after = (found[-1].created_at, found[-1].key.id)


def _session_named_by(document: Document) -> str | None:
    """A summary has its session's id; an idempotency record may hold a turn that is still to be written to one."""
    if document.kind == "summary":
        return document.key.id
    body: dict[str, Any] = document.body
    key = (body.get("commit") or {}).get("key")
    named: str | None = key[1] if key else body.get("session")
    return named
