"""GET, DELETE and cancel of a stored response, its input items, and its stream resumed; it generates nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from serving.errors import Conflict, Expired, InvalidRequest, NotFound, VersionConflict
from serving.front.cold import pages, resume
from serving.front.cold.edge import ColdEdge, shown
from serving.front.cold.parts import State, changing
from serving.front.dialect import RESPONSES
from serving.front.state import items, lease
from serving.front.state.records import Document, Item, Key, Turn

_TRIES = 5
_RUNNING = frozenset({"queued", "in_progress"})
_REPLICA_DIED = {"code": "server_error", "message": "The server that generated this response stopped before its end."}


def add(app: FastAPI, state: State, edge: ColdEdge) -> None:
    """The routes below `/v1/responses/`."""
    routes = StoredResponses(state, edge)
    one = "/v1/responses/{response_id}"
    app.add_api_route(one, routes.retrieve, methods=["GET"])
    app.add_api_route(one, routes.delete, methods=["DELETE"])
    app.add_api_route(f"{one}/cancel", routes.cancel, methods=["POST"])
    app.add_api_route(f"{one}/input_items", routes.input_items, methods=["GET"])


class StoredResponses:
    def __init__(self, state: State, edge: ColdEdge) -> None:
        self._state = state
        self._edge = edge

    async def retrieve(self, response_id: str, request: Request) -> Response:
        key = self._edge.key(request, response_id)
        if resume.is_asked(request.query_params):
            return await self._resume(key, response_id, request)
        document = await self._settled(key, response_id)
        return self._edge.answer(document.body["object"])

    async def delete(self, response_id: str, request: Request) -> Response:
        """Its turn stays in its conversation, empty: what is continued from a later response no longer sees it."""
        key = self._edge.key(request, response_id)
        document = await self._find(key, response_id)
        if _is_running(document):
            await self._stop(document.key)
        await self._delete_turn(document)
        if self._state.streams is not None:
            await self._state.streams.forget(document.key)
        if not await self._state.store.delete("response", document.key):
            raise _not_found(response_id)
        return self._edge.answer({"id": response_id, "object": "response.deleted", "deleted": True})

    async def cancel(self, response_id: str, request: Request) -> Response:
        """A response that has ended is returned as it is."""
        key = self._edge.key(request, response_id)
        document = await self._settled(key, response_id)
        if not document.body["background"]:
            raise InvalidRequest("Cannot cancel a synchronous response.", code="not_a_background_response")
        document = await self._ended(key, response_id, lambda _: True, status="cancelled")
        if document.body["object"]["status"] == "cancelled":
            # Again for one that was cancelled before: that time nobody may have been told.
            await self._stop(document.key)
        return self._edge.answer(document.body["object"])

    async def input_items(self, response_id: str, request: Request) -> Response:
        key, page = self._edge.key(request, response_id), pages.asked(request.query_params, "desc")
        document = await self._find(key, response_id)
        asked = tuple(Item(entry["id"], entry) for entry in document.body["input"])
        listed = items.as_public_items(Turn("", document.created_at, "response", asked))
        return self._edge.answer(pages.part(listed, page))

    async def _resume(self, key: Key | None, response_id: str, request: Request) -> Response:
        after = resume.position(request)
        if key is None:
            raise _not_found(response_id)
        replay = await resume.begin(self._state, key, after)
        if replay is None:
            await self._find(key, response_id)
            message = "The events of this response are not kept, or no longer: get it without `stream`."
            raise Expired(message, code="stream_expired")
        return resume.Resumed(resume.follow(self._state, key, RESPONSES).body(replay, after), self._edge.new_id())

    async def _delete_turn(self, document: Document) -> None:
        """The items of its turn; where it never got one, a turn of that number is another's."""
        store, body = self._state.store, document.body
        if body["session"] is None or body["turn"] is None:
            return
        session, number = Key(document.key.tenant, body["session"]), body["turn"]
        ids = {item["id"] for item in (*body["input"], *body["object"]["output"])}
        turns = await store.turns(session, after=number - 1, before=number + 1, limit=1, order="asc")
        if turns and not ids.isdisjoint(item.id for item in turns[0].items):
            async with changing(self._state, session):
                await store.delete_items(session, number)

    async def _find(self, key: Key | None, response_id: str) -> Document:
        document = None if key is None else await self._state.store.get("response", key)
        if document is None:
            raise _not_found(response_id)
        return document

    async def _settled(self, key: Key | None, response_id: str) -> Document:
        """The response, failed where the replica that generated it has died."""
        now = self._state.now()
        return await self._ended(
            key, response_id, lambda found: lease.is_over(found, now), status="failed", error=_REPLICA_DIED
        )

    async def _ended(
        self, key: Key | None, response_id: str, is_due: Callable[[Document], bool], **fields: Any
    ) -> Document:
        """The response, with these fields written to its object where it runs and is due to end."""
        for _ in range(_TRIES):
            document = await self._find(key, response_id)
            if not (_is_running(document) and is_due(document)):
                return document
            body = {**document.body, "object": {**document.body["object"], **fields}, "lease_until": None}
            with contextlib.suppress(VersionConflict):
                return await self._state.store.put(document._replace(body=body), document.revision)
        raise Conflict("The response changes too fast. Try again.", code="response_changed")

    async def _stop(self, key: Key) -> None:
        """End the generation, here or on another replica; one that hears nothing ends when it renews its lease."""
        self._state.running.cancel(key)
        if self._state.streams is not None:
            await self._state.streams.cancel(key)


def _is_running(document: Document) -> bool:
    return document.body["background"] and document.body["object"]["status"] in _RUNNING


def _not_found(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{shown(response_id)}' not found.", code="response_not_found")
