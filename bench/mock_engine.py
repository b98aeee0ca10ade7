"""A mock engine that costs so little that a front's own cost shows; it speaks the OpenAI chat API and runs no model.

A request's `max_tokens` is the number of token events of its stream, and its `seed` the milliseconds between them:
both are fields that every front under test passes on unchanged.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools
import orjson
import uvloop

from bench import mock_answers

MAX_MODEL_LEN = 131072


@dataclass
class Engine:
    """What the connections share."""

    model: str
    running: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection; a request is answered before the next one is read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = b""
        self._stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Stop generating: nobody reads it."""
        if self._stream:
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` methods."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """A request begins."""
        self._url = url
        self._body = b""

    def on_body(self, part: bytes) -> None:
        """A part of the body, whichever way it is framed."""
        self._body = self._body + part if self._body else part

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self._url == b"/v1/chat/completions":
            self._chat()
        else:
            self._transport.write(self._page())
        if not self._parser.should_keep_alive() and not self._stream:
            self._transport.close()

    def _chat(self) -> None:
        try:
            request = orjson.loads(self._body)
            model, tokens = request["model"], request.get("max_tokens", 16)
            valid = len(request["messages"]) > 0
        except (orjson.JSONDecodeError, KeyError, TypeError):
            valid = False
        if not valid:
            self._transport.write(mock_answers.error(400, "the body is not a chat request"))
        elif request.get("stream"):
            self._open_stream(request, model, tokens)
        else:
            self._transport.write(mock_answers.completion(model, tokens))

    def _open_stream(self, request: dict[str, object], model: str, tokens: int) -> None:
        options = request.get("stream_options")
        wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        usage = mock_answers.usage_event(model, tokens) if wants_usage else b""
        delay = float(str(request.get("seed") or 0)) / 1000
        self._engine.running += 1
        self._transport.write(mock_answers.STREAM_HEAD)
        events = mock_answers.events(model, token_ids=bool(request.get("return_token_ids")))
        self._stream = Stream(self._loop, self._transport, events, tokens, delay)
        self._stream.start(usage + mock_answers.STREAM_END, self._stream_ended)

    def _stream_ended(self) -> None:
        self._engine.running -= 1
        self._stream = None
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _page(self) -> bytes:
        if self._url == b"/v1/models":
            return mock_answers.models(self._engine.model, MAX_MODEL_LEN)
        if self._url == b"/metrics":
            return mock_answers.metrics(self._engine.model, self._engine.running)
        if self._url == b"/health":
            return mock_answers.whole(200, b"")
        return mock_answers.error(404, "Not Found")


class Stream:
    """The timed events of one answer; each is written in a loop turn of its own, so that each is a TCP write."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        events: mock_answers.Events,
        tokens: int,
        delay_seconds: float,
    ) -> None:
        self._loop, self._transport, self._events = loop, transport, events
        self._left, self._delay = tokens, delay_seconds

    def start(self, end: bytes, ended: Callable[[], None]) -> None:
        """Write the role event in the next turn, `end` behind the last event, then call `ended` once."""
        self._end, self._ended = end, ended
        self._due = self._loop.time()
        self._timer: asyncio.Handle = self._loop.call_soon(self._role)

    def cancel(self) -> None:
        """End without a word."""
        self._timer.cancel()
        self._ended()

    def _role(self) -> None:
        self._transport.write(self._events.role)
        self._schedule()

    def _token(self) -> None:
        if self._left == 0:
            self._transport.write(self._events.finish + self._end)
            self._ended()
            return
        self._left -= 1
        self._transport.write(self._events.token)
        self._schedule()

    def _schedule(self) -> None:
        if self._delay:
            self._due += self._delay
            self._timer = self._loop.call_at(self._due, self._token)
        else:
            self._timer = self._loop.call_soon(self._token)


async def serve(host: str, port: int, model: str) -> None:
    """Listen until cancelled."""
    engine = Engine(model)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(engine), host, port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run the mock from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.mock_engine", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18100)
    parser.add_argument("--model", default="tiny")
    options = parser.parse_args()
    gc.freeze()
    uvloop.run(serve(options.host, options.port, options.model))


if __name__ == "__main__":
    main()
