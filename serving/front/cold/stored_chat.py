"""Chat completions that were stored: list, get, metadata, delete, their messages, and their stream resumed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from serving.errors import Conflict, Expired, InvalidRequest, NotFound, VersionConflict
from serving.front.cold import pages, resume
from serving.front.cold.edge import ColdEdge, only, shown
from serving.front.cold.pages import Asked
from serving.front.cold.parts import State
from serving.front.dialect import OPENAI
from serving.front.state import keep
from serving.front.state.records import Document, Key
from serving.front.state.stores import Page

_TRIES = 5
# Documents looked through for one page of a filtered list, and how many of them are here at once.
_MOST_SEARCHED, _AT_ONCE = 2000, 100


def add(app: FastAPI, state: State, edge: ColdEdge) -> None:
    """GET on `/v1/chat/completions` and the routes below it; POST there is the hot path's."""
    routes = StoredChat(state, edge)
    every = "/v1/chat/completions"
    one = f"{every}/{{completion_id}}"
    app.add_api_route(every, routes.list_all, methods=["GET"])
    app.add_api_route(one, routes.retrieve, methods=["GET"])
    app.add_api_route(one, routes.update, methods=["POST"])
    app.add_api_route(one, routes.delete, methods=["DELETE"])
    app.add_api_route(f"{one}/messages", routes.messages, methods=["GET"])


class StoredChat:
    def __init__(self, state: State, edge: ColdEdge) -> None:
        self._state = state
        self._edge = edge

    async def list_all(self, request: Request) -> Response:
        """A page of a filtered list is short when the search for it took too long.

        Then `has_more` is true, and `last_id` is where the next page goes on even when nothing was found.
        """
        tenant, query = self._edge.tenant(request), request.query_params
        page, wanted = pages.asked(query, "asc"), _wanted(query)
        found: list[dict[str, Any]] = []
        searched = 0
        async for document in self._documents(tenant, page, _AT_ONCE if wanted.metadata or wanted.model else 0):
            searched += 1
            if wanted.has(document.body["object"]):
                found.append(document.body["object"])
            if len(found) > page.limit:
                break
            if searched == _MOST_SEARCHED:
                cut = {**pages.listing(found), "has_more": True, "last_id": document.key.id}
                return self._edge.answer(cut)
        return self._edge.answer(pages.listing(found, page.limit))

    async def retrieve(self, completion_id: str, request: Request) -> Response:
        key = self._edge.key(request, completion_id)
        if resume.is_asked(request.query_params):
            return await self._resume(key, completion_id, request)
        document = await self._find(key, completion_id)
        return self._edge.answer(document.body["object"])

    async def update(self, completion_id: str, request: Request) -> Response:
        key = self._edge.key(request, completion_id)
        body = await self._edge.body(request)
        only(body, "metadata")
        if "metadata" not in body:
            raise InvalidRequest("`metadata` is required.", param="metadata", code="missing_required_parameter")
        metadata = keep.metadata(body["metadata"]) or {}
        for _ in range(_TRIES):
            document = await self._find(key, completion_id)
            changed = {**document.body, "object": {**document.body["object"], "metadata": metadata}}
            with contextlib.suppress(VersionConflict):
                stored = await self._state.store.put(document._replace(body=changed), document.revision)
                return self._edge.answer(stored.body["object"])
        raise Conflict("The chat completion changes too fast. Try again.", code="chat_completion_changed")

    async def delete(self, completion_id: str, request: Request) -> Response:
        key = self._edge.key(request, completion_id)
        if key is None or not await self._state.store.delete("chat_completion", key):
            raise _not_found(completion_id)
        if self._state.streams is not None:
            await self._state.streams.forget(key)
        return self._edge.answer({"id": completion_id, "object": "chat.completion.deleted", "deleted": True})

    async def messages(self, completion_id: str, request: Request) -> Response:
        key, page = self._edge.key(request, completion_id), pages.asked(request.query_params, "asc")
        document = await self._find(key, completion_id)
        return self._edge.answer(pages.part([_listed(message) for message in document.body["messages"]], page))

    async def _resume(self, key: Key | None, completion_id: str, request: Request) -> Response:
        after = resume.position(request)
        if key is None:
            raise _not_found(completion_id)
        replay = await resume.begin(self._state, key, after)
        if replay is None:
            await self._find(key, completion_id)
            raise Expired(
                "The events of this chat completion are not kept, or no longer: get it without `stream`.",
                code="stream_expired",
            )
        return resume.Resumed(resume.follow(self._state, key, OPENAI).body(replay, after), self._edge.new_id())

    async def _find(self, key: Key | None, completion_id: str) -> Document:
        document = None if key is None else await self._state.store.get("chat_completion", key)
        if document is None:
            raise _not_found(completion_id)
        return document

    async def _documents(self, tenant: str, page: Asked, at_once: int) -> AsyncIterator[Document]:
        """All of them beyond `page.after`, read at least `at_once` at a time."""
        after = None if page.after is None else await self._cursor(Key(tenant, page.after))
        limit = max(page.limit + 1, at_once)
        while True:
            batch = await self._state.store.documents("chat_completion", tenant, Page(limit, after, page.order))
            for document in batch:
                yield document
            if len(batch) < limit:
                return
            after = (batch[-1].created_at, batch[-1].key.id)

    async def _cursor(self, key: Key) -> tuple[float, str]:
        document = await self._state.store.get("chat_completion", key)
        if document is None:
            raise pages.no_such_cursor(key.id)
        return document.created_at, key.id


def _listed(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI lists content that came as parts under another name."""
    if isinstance(message.get("content"), list):
        return {**message, "content": None, "content_parts": message["content"]}
    return {**message, "content_parts": None}


class _Wanted(NamedTuple):
    """Which chat completions a list is of."""

    model: str | None
    metadata: dict[str, str]

    def has(self, completion: dict[str, Any]) -> bool:
        if self.model is not None and completion["model"] != self.model:
            return False
        return self.metadata.items() <= (completion.get("metadata") or {}).items()


def _wanted(query: QueryParams) -> _Wanted:
    """`model=…` and `metadata[name]=value`."""
    pairs = {}
    for name, value in query.items():
        if name.startswith("metadata"):
            if not (name.startswith("metadata[") and name.endswith("]")):
                raise InvalidRequest("Filter by `metadata[name]=value`.", param="metadata", code="invalid_value")
            pairs[name[len("metadata[") : -1]] = value
    return _Wanted(query.get("model"), keep.metadata(pairs) or {})


def _not_found(completion_id: str) -> NotFound:
    return NotFound(f"Chat completion with id '{shown(completion_id)}' not found.", code="chat_completion_not_found")
