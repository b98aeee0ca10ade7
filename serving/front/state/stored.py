"""The shapes in which answers are stored: a response, a chat completion, and the turn that goes with them."""

from __future__ import annotations

import re
from typing import Any

import orjson

from serving.errors import RequestError
from serving.front.events import Usage
from serving.front.state import items
from serving.front.state.commit import Commit
from serving.front.state.conversation import Conversation
from serving.front.state.records import Document, Key, Turn
from serving.front.state.transcript import Answer

_ID = re.compile(rb'"id":\s*"([^"\\]{1,200})"')


def changes(conversation: Conversation) -> dict[str, Any]:
    """What of a response object is the front's to say."""
    keep = conversation.keep
    return {
        "id": conversation.response_id,
        "previous_response_id": keep.previous,
        "conversation": {"id": keep.session} if keep.session else None,
        "store": keep.store,
        "background": keep.background,
    }


def commit(
    conversation: Conversation, answer: Answer, usage: Usage | None, begun: Document | None, now: float
) -> Commit:
    """The turn and the stored answer of one request; `begun` is the document of a background response."""
    turn = _turn(conversation, answer, usage, now) if conversation.key is not None else None
    documents = (_document(conversation, answer, begun, now),) if conversation.keep.store else ()
    return Commit(conversation.key, conversation.version, turn, conversation.new, documents)


def queued(conversation: Conversation, now: float, lease_until: float) -> Document:
    """A background response before its engine answers."""
    asked = conversation.request.body
    content: dict[str, Any] = {
        "object": "response",
        "created_at": int(now),
        "status": "in_progress",
        "model": conversation.request.model,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": asked.get("metadata") or {},
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "temperature": asked.get("temperature"),
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p"),
        "usage": None,
        **changes(conversation),
    }
    return _response(conversation, content, now, lease_until=lease_until)


def accepted(begun: Document) -> bytes:
    """What the client of a background response gets at once."""
    return orjson.dumps({**begun.body["object"], "status": "queued"})


def failed(document: Document, error: RequestError) -> Document:
    """A background response that has no answer."""
    told = {"code": error.code or error.type, "message": error.message}
    content = {**document.body["object"], "status": "failed", "error": told}
    return document._replace(body={**document.body, "object": content, "lease_until": None})


def id_in(first: bytes) -> str | None:
    """The id that a stream's first event carries."""
    found = _ID.search(first)
    return found[1].decode() if found else None


def _turn(conversation: Conversation, answer: Answer, usage: Usage | None, now: float) -> Turn:
    given = items.from_answer(conversation.request.route.keeps, answer.items, conversation.mint)
    added = (*conversation.items, *given)
    tokens = conversation.tokens_of(added, usage)
    return Turn(conversation.turn_id, now, conversation.format, added, answer.status, tokens)


def _document(conversation: Conversation, answer: Answer, begun: Document | None, now: float) -> Document:
    if conversation.format == "response":
        written = _response(conversation, answer.object, now, lease_until=None)
        return written._replace(revision=begun.revision, created_at=begun.created_at) if begun else written
    content = {**answer.object, "metadata": conversation.keep.metadata or {}}
    messages = [{"id": item.id, **item.content} for item in conversation.items]
    session = conversation.key.id if conversation.key is not None else None
    body = {"object": content, "messages": messages, "session": session}
    key = Key(conversation.tenant, answer.object["id"])
    return Document(key, "chat_completion", body, now, conversation.user)


def _response(
    conversation: Conversation, content: dict[str, Any], now: float, *, lease_until: float | None
) -> Document:
    assert conversation.response_id is not None
    body = {
        "object": content,
        "input": [{"id": item.id, **item.content} for item in conversation.items],
        "session": conversation.key.id if conversation.key else None,
        "turn": conversation.version + 1 if conversation.key else None,
        "background": conversation.keep.background,
        "lease_until": lease_until,
    }
    return Document(Key(conversation.tenant, conversation.response_id), "response", body, now, conversation.user)
