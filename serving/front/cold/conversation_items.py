"""The items of a conversation: add, list, get, delete; it knows turns, and not what an engine makes of them."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from fastapi import Request
from starlette.responses import Response

from serving.errors import Conflict, InvalidRequest, NotFound, SessionGone, VersionConflict
from serving.front.cold import pages
from serving.front.cold.edge import ColdEdge, is_id, only, raw_headers, shown
from serving.front.cold.pages import Asked
from serving.front.cold.parts import State, changing
from serving.front.state import commit, items, prompt
from serving.front.state.history import SYSTEM_ROLES
from serving.front.state.records import Key, Opened, Session, Turn
from serving.front.state.session import CHAIN

_MOST_ITEMS = 20
_TRIES = 20
_PAUSE_SECONDS = 0.005
_TURNS_AT_ONCE = 32


class ConversationItems:
    def __init__(self, state: State, edge: ColdEdge) -> None:
        self._state = state
        self._edge = edge

    async def create(self, conversation_id: str, request: Request) -> Response:
        """With an `Idempotency-Key` the same items are added once."""
        key = self._edge.key(request, conversation_id)
        body = await self._edge.body(request)
        only(body, "items")
        asked = turn_of(self._state, body.get("items"))
        if (given := raw_headers(request).get(b"idempotency-key")) is not None:
            asked = asked._replace(id=f"turn_{hashlib.sha256(given).hexdigest()}")
        stored = await self._append(key, conversation_id, asked)
        # A system prompt that was due to be stored again stands before them.
        added = stored._replace(items=stored.items[len(stored.items) - len(asked.items) :])
        if [item.content for item in added.items] != [item.content for item in asked.items]:
            raise InvalidRequest(
                "This Idempotency-Key was used with another body.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        return self._edge.answer(pages.listing(items.as_public_items(added)))

    async def list_all(self, conversation_id: str, request: Request) -> Response:
        key, page = self._edge.key(request, conversation_id), pages.asked(request.query_params, "desc")
        opened = await find(self._state, key, conversation_id)
        return self._edge.answer(pages.listing(await self._entries(opened.session.key, page), page.limit))

    async def retrieve(self, conversation_id: str, item_id: str, request: Request) -> Response:
        opened = await find(self._state, self._edge.key(request, conversation_id), conversation_id)
        found = await self._holding(opened.session.key, item_id)
        if found is None:
            raise _no_item(item_id)
        return self._edge.answer(next(entry for entry in items.as_public_items(found) if entry["id"] == item_id))

    async def delete(self, conversation_id: str, item_id: str, request: Request) -> Response:
        """A chat message that is listed as several items goes as a whole."""
        opened = await find(self._state, self._edge.key(request, conversation_id), conversation_id)
        key = opened.session.key
        found = await self._holding(key, item_id)
        if found is None:
            raise _no_item(item_id)
        async with changing(self._state, key):
            was_there = await self._state.store.delete_items(key, found.number, items.stored_ids(item_id))
            # It may tell what the item said.
            await self._state.store.delete("summary", key)
        if not was_there:
            raise _no_item(item_id)
        return self._edge.answer(shape(opened.session))

    async def _append(self, key: Key | None, conversation_id: str, turn: Turn) -> Turn:
        """As the next turn, whoever else adds turns meanwhile."""
        for tries in range(_TRIES):
            opened = await find(self._state, key, conversation_id, prompt.REPEAT_TURNS)
            try:
                async with changing(self._state, opened.session.key):
                    return await self._state.store.append(opened.session.key, opened.version, self._whole(turn, opened))
            except SessionGone:
                raise no_conversation(conversation_id) from None
            except VersionConflict:
                await asyncio.sleep(_PAUSE_SECONDS * tries)
        raise Conflict("Too many turns are added to this conversation at once. Try again.")

    def _whole(self, turn: Turn, opened: Opened) -> Turn:
        """With the system prompt before it, where that is due; one that a client adds is stored as it is."""
        if turn.items[0].content.get("role") in SYSTEM_ROLES:
            return turn
        numbered = turn._replace(number=opened.version + 1)
        return turn._replace(items=prompt.to_store(numbered, prompt.in_force(opened.turns), self._state.mint))

    async def _holding(self, key: Key, item_id: str) -> Turn | None:
        """The turn with the item that clients call so."""
        if not is_id(item_id):
            return None
        for stored in items.stored_ids(item_id):
            turn = await self._state.store.find_item(key, stored)
            if turn is not None and any(entry["id"] == item_id for entry in items.as_public_items(turn)):
                return turn
        return None

    async def _entries(self, key: Key, page: Asked) -> list[dict[str, Any]]:
        """The items that the page asks for and, where there are more, some beyond them."""
        entries: list[dict[str, Any]] = []
        low, high = 0, None
        if page.after is not None:
            turn = await self._holding(key, page.after)
            if turn is None:
                raise pages.no_such_cursor(page.after)
            entries = pages.beyond(_ordered(turn, page), page.after)
            low, high = (turn.number, None) if page.order == "asc" else (0, turn.number)
        while len(entries) <= page.limit:
            turns = await self._state.store.turns(key, after=low, before=high, limit=_TURNS_AT_ONCE, order=page.order)
            for turn in turns:
                entries += _ordered(turn, page)
            if len(turns) < _TURNS_AT_ONCE:
                break
            low, high = (turns[-1].number, None) if page.order == "asc" else (0, turns[-1].number)
        return entries


async def find(state: State, key: Key | None, conversation_id: str, turns: int = 1) -> Opened:
    """A conversation with its last turns; the session of a chain of responses is none."""
    if key is None or key.id.startswith(CHAIN):
        raise no_conversation(conversation_id)
    opened = await state.store.open(key, turns)
    if opened is None:
        raise no_conversation(conversation_id)
    return opened


def turn_of(state: State, given: object) -> Turn:
    """A turn of items that a client adds. Raises `InvalidRequest` naming e.g. `items[3].role`."""
    if not isinstance(given, list):
        raise InvalidRequest("`items` must be a list of items.", param="items", code="invalid_value")
    if not 1 <= len(given) <= _MOST_ITEMS:
        message = f"`items` has {len(given)} entries; 1 to {_MOST_ITEMS} can be added at once."
        raise InvalidRequest(message, param="items", code="invalid_value")
    added = items.new_items(given, state.mint, state.limits)
    tokens = sum(items.tokens_of(item.content) for item in added)
    return Turn(state.mint("turn"), state.now(), "response", added, tokens=tokens)


def shape(session: Session) -> dict[str, Any]:
    """The conversation object; `history` is there where the conversation has its own."""
    content: dict[str, Any] = {
        "id": session.key.id,
        "object": "conversation",
        "created_at": int(session.created_at),
        "metadata": session.metadata,
    }
    return content if session.history is None else {**content, "history": session.history}


def no_conversation(conversation_id: str) -> NotFound:
    """The same for an id of another tenant and for one that never was."""
    return commit.not_found(shown(conversation_id))


def _ordered(turn: Turn, page: Asked) -> list[dict[str, Any]]:
    entries = items.as_public_items(turn)
    return entries if page.order == "asc" else entries[::-1]


def _no_item(item_id: str) -> NotFound:
    return NotFound(
        f"There is no item `{shown(item_id)}` in this conversation.", param="item_id", code="item_not_found"
    )
