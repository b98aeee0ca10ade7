"""What the stores keep, as values; it knows no store and no request.

A session is a list of turns; a turn is what one request added: its new items and the answer's. Turns are numbered from
1 by the durable store, and the number of the last one is the session's version. A document is a JSON object under an
id: a stored response, a stored chat completion, a summary, an idempotency record.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Format = Literal["chat", "response"]
Status = Literal["complete", "incomplete"]
Kind = Literal["response", "chat_completion", "summary", "idempotency"]
KINDS: tuple[Kind, ...] = ("response", "chat_completion", "summary", "idempotency")


class Key(NamedTuple):
    """A session, a document or a stream of one tenant. An id of another tenant is an unknown id."""

    tenant: str
    id: str


class Item(NamedTuple):
    """One chat message, or one item of the Responses API. `id` is unique in its session."""

    id: str
    content: dict[str, Any]


class Turn(NamedTuple):
    """What one request added to a session. `id` makes an append idempotent; times are seconds since the epoch.

    `tokens` is what its items cost in a prompt, an estimate. The store assigns `number` (from 1, without gaps) and
    `tokens_before` (the sum of `tokens` of all turns before). A turn whose items were deleted stays, empty.
    """

    id: str
    created_at: float
    format: Format
    items: tuple[Item, ...]
    status: Status = "complete"
    tokens: int = 0
    number: int = 0
    tokens_before: int = 0


class Session(NamedTuple):
    """One conversation. `history` is its own strategy as a client gave it, None meaning the key's default.

    `parent` is the session and the turn number that it continues: what came before is read there.
    """

    key: Key
    created_at: float
    user: str | None = None
    metadata: dict[str, str] = {}  # noqa: RUF012 - never changed in place
    history: dict[str, Any] | None = None
    parent: tuple[str, int] | None = None


class Opened(NamedTuple):
    """A session and its newest turns, oldest first; empty turns are included."""

    session: Session
    turns: tuple[Turn, ...]

    @property
    def version(self) -> int:
        """Number of the last turn, 0 for a session without one."""
        return self.turns[-1].number if self.turns else 0


class Document(NamedTuple):
    """A JSON object under an id. `revision` counts its writes, from 1, and is assigned by the store."""

    key: Key
    kind: Kind
    body: dict[str, Any]
    created_at: float
    user: str | None = None
    revision: int = 0
    # Seconds from now after which it is gone; None: the store's retention.
    ttl_seconds: float | None = None
