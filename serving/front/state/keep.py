"""What a request asks to be kept of it, read from its body and headers; it knows no store.

`session_id` (or `X-Session-Id`), `store`, `metadata` and `history` for chat completions; `conversation`,
`previous_response_id`, `store` and `background` for responses, whose metadata the engine repeats; `Idempotency-Key`
and `X-Tidegate-Resumable` for both.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from serving.errors import InvalidRequest
from serving.front import checks
from serving.front.dialect import Keeps
from serving.front.state import history

_SESSION_ID = re.compile(r"[\x21-\x2e\x30-\x7e]{1,128}")
_IDEMPOTENCY_KEY = re.compile(rb"[\x20-\x7e]{1,255}")


class Keep(NamedTuple):
    """`session` is the conversation's id, `previous` a response's; `store` keeps the answer retrievable by its id.

    `resumable` streams, background responses and requests with an idempotency key are run to their end even when their
    client leaves.
    """

    session: str | None = None
    previous: str | None = None
    store: bool = False
    background: bool = False
    resumable: bool = False
    metadata: dict[str, str] | None = None
    history: dict[str, Any] | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""

    @property
    def outlives_client(self) -> bool:
        return self.background or self.resumable or self.idempotency_key is not None


def read(state: Mapping[str, Any], headers: Mapping[bytes, bytes], keeps: Keeps, stream: bool) -> Keep | None:
    """`state` holds the body's state fields; None for a request that asks for nothing. Raises `InvalidRequest`."""
    resumable = _flag_header(headers.get(b"x-tidegate-resumable"))
    if resumable and not stream:
        raise _wrong("stream", "must be true with X-Tidegate-Resumable")
    asked = Keep(
        session=_session(state, headers, keeps),
        previous=_text(state, "previous_response_id"),
        store=_flag(state, "store", default=keeps is Keeps.RESPONSES),
        background=_flag(state, "background", default=False),
        resumable=resumable,
        metadata=metadata(state.get("metadata")),
        history=_history(state.get("history")),
        idempotency_key=_idempotency_key(headers.get(b"idempotency-key")),
    )
    if asked.previous and asked.session:
        raise _wrong("previous_response_id", "cannot be used together with `conversation`")
    if asked.background and not asked.store:
        raise _wrong("background", "needs `store` to be true")
    is_asked = asked.session or asked.previous or asked.store or asked.resumable or asked.idempotency_key
    return asked if is_asked else None


def with_fingerprint(keep: Keep, path: str, body: bytes | bytearray) -> Keep:
    """The same with a hash of all that was asked, where an idempotency key needs it."""
    if keep.idempotency_key is None:
        return keep
    head = f"{path}\n{keep.session or ''}\n{keep.resumable}\n".encode()
    return keep._replace(fingerprint=hashlib.sha256(head + body).digest())


def metadata(given: Any) -> dict[str, str] | None:
    """OpenAI's `metadata`. Raises `InvalidRequest` naming the pair."""
    if given is None:
        return None
    checks.metadata("metadata", given)
    return dict(given)


def session_id(given: Any, name: str) -> str:
    """An id that a client may choose: 1 to 128 printable ASCII characters without spaces and slashes."""
    if not isinstance(given, str) or not _SESSION_ID.fullmatch(given):
        raise _wrong(name, "must be 1 to 128 printable ASCII characters without spaces and slashes")
    return given


def _session(state: Mapping[str, Any], headers: Mapping[bytes, bytes], keeps: Keeps) -> str | None:
    if keeps is Keeps.RESPONSES:
        given = state.get("conversation")
        if isinstance(given, dict):
            given = given.get("id")
            return session_id(given, "conversation.id")
        return None if given is None else session_id(given, "conversation")
    if keeps is Keeps.NOTHING:
        return None
    in_body, header = state.get("session_id"), headers.get(b"x-session-id")
    by_body = None if in_body is None else session_id(in_body, "session_id")
    by_header = None if header is None else session_id(header.decode("latin-1"), "X-Session-Id")
    if by_body and by_header and by_body != by_header:
        raise _wrong("session_id", "and the header X-Session-Id name different sessions")
    return by_body or by_header


def _history(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    history.parse(given, "history")
    kept: dict[str, Any] = given
    return kept


def _text(state: Mapping[str, Any], name: str) -> str | None:
    given = state.get(name)
    if given is not None and (not isinstance(given, str) or not given):
        raise _wrong(name, "must be an id")
    return given


def _flag(state: Mapping[str, Any], name: str, *, default: bool) -> bool:
    given = state.get(name)
    if given is None:
        return default
    if not isinstance(given, bool):
        raise _wrong(name, "must be true or false")
    return given


def _flag_header(value: bytes | None) -> bool:
    if value is None:
        return False
    if value.lower() not in (b"true", b"false", b"1", b"0"):
        raise _wrong("X-Tidegate-Resumable", "must be true or false")
    return value.lower() in (b"true", b"1")


def _idempotency_key(value: bytes | None) -> str | None:
    if value is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise _wrong("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
    return value.decode("ascii")


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` {what}.", param=name, code="invalid_value")
