"""Conversations as such: create, get, metadata and history, delete; it knows nothing of what is said in them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from serving.errors import InvalidRequest
from serving.front.cold.conversation_items import ConversationItems, find, no_conversation, shape, turn_of
from serving.front.cold.edge import ColdEdge, only
from serving.front.cold.parts import State, changing
from serving.front.state import history, keep
from serving.front.state.records import Key, Session

_LONGEST_USER = 512


def add(app: FastAPI, state: State, edge: ColdEdge) -> None:
    """The routes at and below `/v1/conversations`."""
    routes, items = Conversations(state, edge), ConversationItems(state, edge)
    one = "/v1/conversations/{conversation_id}"
    app.add_api_route("/v1/conversations", routes.create, methods=["POST"])
    app.add_api_route(one, routes.retrieve, methods=["GET"])
    app.add_api_route(one, routes.update, methods=["POST"])
    app.add_api_route(one, routes.delete, methods=["DELETE"])
    app.add_api_route(f"{one}/items", items.create, methods=["POST"])
    app.add_api_route(f"{one}/items", items.list_all, methods=["GET"])
    app.add_api_route(f"{one}/items/{{item_id}}", items.retrieve, methods=["GET"])
    app.add_api_route(f"{one}/items/{{item_id}}", items.delete, methods=["DELETE"])


class Conversations:
    def __init__(self, state: State, edge: ColdEdge) -> None:
        self._state = state
        self._edge = edge

    async def create(self, request: Request) -> Response:
        tenant = self._edge.tenant(request)
        body = await self._edge.body(request)
        only(body, "items", "metadata", "history", "user")
        session = Session(
            Key(tenant, self._state.mint("conv")),
            self._state.now(),
            user=_user(body),
            metadata=keep.metadata(body.get("metadata")) or {},
            history=_history(body),
        )
        if body.get("items") not in (None, []):
            await self._state.store.append(session.key, 0, turn_of(self._state, body["items"]), new=session)
        else:
            await self._state.store.create(session)
        return self._edge.answer(shape(session))

    async def retrieve(self, conversation_id: str, request: Request) -> Response:
        session = (await find(self._state, self._edge.key(request, conversation_id), conversation_id)).session
        return self._edge.answer(shape(session))

    async def update(self, conversation_id: str, request: Request) -> Response:
        """What is not named stays."""
        key = self._edge.key(request, conversation_id)
        body = await self._edge.body(request)
        only(body, "metadata", "history")
        if not body:
            raise InvalidRequest("`metadata` is required.", param="metadata", code="missing_required_parameter")
        session = (await find(self._state, key, conversation_id)).session
        if "metadata" in body:
            session = session._replace(metadata=keep.metadata(body["metadata"]) or {})
        if "history" in body:
            session = session._replace(history=_history(body))
        async with changing(self._state, session.key):
            is_there = await self._state.store.update(session)
        if not is_there:
            raise no_conversation(conversation_id)
        return self._edge.answer(shape(session))

    async def delete(self, conversation_id: str, request: Request) -> Response:
        """All that was said in it goes too; responses that were stored by their own ids stay."""
        session = (await find(self._state, self._edge.key(request, conversation_id), conversation_id)).session
        async with changing(self._state, session.key):
            was_there = await self._state.store.delete_session(session.key)
            await self._state.store.delete("summary", session.key)
        if not was_there:
            raise no_conversation(conversation_id)
        return self._edge.answer({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


def _history(body: dict[str, Any]) -> dict[str, Any] | None:
    given: dict[str, Any] | None = body.get("history")
    if given is not None:
        history.parse(given, "history")
    return given


def _user(body: dict[str, Any]) -> str | None:
    user = body.get("user")
    if user is not None and (not isinstance(user, str) or not 0 < len(user) <= _LONGEST_USER):
        raise InvalidRequest(
            f"`user` must be a string of 1 to {_LONGEST_USER} characters.", param="user", code="invalid_value"
        )
    return user
