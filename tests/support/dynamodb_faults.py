"""An HTTP proxy before a DynamoDB stand-in that fails chosen operations as Amazon's service and its network do."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Literal

import aiohttp
from aiohttp import web

# throttle, unavailable   the service refuses: too much, an error of its own
# not_sent                the connection breaks before the service has the request
# unanswered              the service has it, and its answer is lost
# silent                  nothing comes, ever
# in_part                 of a batch only the first entry is done
# held                    the request waits for `release`
How = Literal["throttle", "unavailable", "not_sent", "unanswered", "silent", "in_part", "held"]
_ERRORS = {
    "throttle": (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"),
    "unavailable": (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
}


class Faults:
    """`async with Faults(endpoint) as faults`: a store talks to `faults.endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self._target = endpoint
        self._plan: dict[str, tuple[How, int, int]] = {}
        self._released = asyncio.Event()
        self.seen: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    async def __aenter__(self) -> Faults:
        self._client = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(self._application(), handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    def fail(self, operation: str, how: How, times: int = 1_000_000, *, after: int = 0) -> None:
        """`times` requests of this operation, e.g. "PutItem", go wrong, beginning with the one that follows `after`."""
        self._plan[operation] = (how, times, after)

    def heal(self) -> None:
        self._plan.clear()

    def release(self) -> None:
        self._released.set()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=32 * 1024 * 1024)
        application.router.add_post("/", self._serve)
        return application

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        body = await request.read()
        self.seen[operation] += 1
        how = self._next(operation)
        if how in _ERRORS:
            status, kind = _ERRORS[how]
            return web.json_response({"__type": kind, "message": "as planned"}, status=status)
        if how == "not_sent":
            return self._broken(request)
        if how == "silent":
            await asyncio.Event().wait()
        if how == "held":
            await self._released.wait()
        if how == "in_part":
            return await self._in_part(request, json.loads(body))
        response = await self._forward(request, body)
        return self._broken(request) if how == "unanswered" else response

    def _next(self, operation: str) -> How | Literal[""]:
        how, times, after = self._plan.get(operation, ("throttle", 0, 0))
        if after or not times:
            self._plan[operation] = (how, times, max(0, after - 1))
            return ""
        self._plan[operation] = (how, times - 1, 0)
        self.failed[operation] += 1
        return how

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        own = ("host", "connection", "content-length")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in own}
        async with self._client.post(self._target, data=body, headers=headers) as answer:
            kept = {name: answer.headers[name] for name in ("Content-Type", "x-amz-crc32") if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    async def _in_part(self, request: web.Request, asked: dict[str, Any]) -> web.Response:
        ((table, requests),) = asked["RequestItems"].items()
        done = await self._forward(request, json.dumps({**asked, "RequestItems": {table: requests[:1]}}).encode())
        assert done.status == 200, done.text
        left = {table: requests[1:]} if requests[1:] else {}
        return web.json_response({"UnprocessedItems": left}, content_type="application/x-amz-json-1.0")

    @staticmethod
    def _broken(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
