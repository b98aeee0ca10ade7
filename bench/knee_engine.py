"""A mock engine whose capacity is known: the step model of knee_model in real time, behind vLLM's chat API.

It decodes `max_tokens` tokens whatever is asked, a prompt has as many tokens as words, and nothing is random: so
`knee_truth` tells by arithmetic what a load test of it must find. `knee:step_lag_seconds` says how far it kept up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httptools
import orjson
import uvloop

from bench import mock_answers
from bench.knee_clock import Engine
from bench.knee_model import Entry, Generation, Profile

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_NICENESS = -10


@dataclass(frozen=True)
class Asked:
    """What a chat request asks of this engine."""

    prompt_tokens: int
    output_tokens: int
    stream: bool
    usage: bool


class Connection(asyncio.Protocol):
    """One keep-alive connection; a request is answered before the next one is read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""
        self._asked: Asked | None = None
        self._generation: Generation | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Stop generating: nobody reads it."""
        if self._generation:
            self._engine.abort(self._generation)
            self._generation = None

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
        self._body += part

    def on_message_complete(self) -> None:
        """Answer, or join the queue."""
        if self._url == b"/v1/chat/completions":
            self._chat()
        else:
            self._transport.write(self._page())
        if not self._generation:
            self._ended()

    def token(self, generation: Generation) -> None:
        """The next token is out; the last one ends the answer."""
        asked = self._asked
        assert asked is not None, "a token without a request"
        model, count = self._engine.model, (generation.output_tokens, generation.prompt_tokens)
        if generation.done:
            self._generation = None
        if not asked.stream:
            if generation.done:
                self._transport.write(mock_answers.completion(model, *count))
                self._ended()
            return
        events = mock_answers.events(model)
        self._transport.write(events.role + events.token if generation.emitted == 1 else events.token)
        if generation.done:
            usage = mock_answers.usage_event(model, *count) if asked.usage else b""
            self._transport.write(events.finish + usage + mock_answers.STREAM_END)
            self._ended()

    def _chat(self) -> None:
        asked = _asked(self._body)
        if asked is None:
            self._transport.write(mock_answers.error(400, "the body is not a chat request"))
            return
        if asked.prompt_tokens + asked.output_tokens > self._engine.max_model_len:
            self._transport.write(mock_answers.error(400, "longer than this model's maximum context length"))
            return
        entry, generation = self._engine.offer(self, asked.prompt_tokens, asked.output_tokens)
        if entry is Entry.SHED:
            self._transport.write(mock_answers.error(429, "the engine is full", b"retry-after: 1\r\n"))
        elif entry is Entry.FAILED:
            self._transport.write(mock_answers.error(500, "this request was to fail"))
        else:
            self._asked, self._generation = asked, generation
            if asked.stream:
                self._transport.write(mock_answers.STREAM_HEAD)

    def _ended(self) -> None:
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _page(self) -> bytes:
        if self._url == b"/v1/models":
            return mock_answers.models(self._engine.model, self._engine.max_model_len)
        if self._url == b"/metrics":
            return mock_answers.whole(200, self._engine.metrics(), _TEXT)
        if self._url == b"/health":
            return mock_answers.whole(200, b"")
        return mock_answers.error(404, "Not Found")


def _asked(body: bytes) -> Asked | None:
    """None where the body is no chat request."""
    try:
        request = orjson.loads(body)
        words = sum(_words(message["content"]) for message in request["messages"])
        tokens = int(request.get("max_completion_tokens") or request.get("max_tokens") or 16)
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return Asked(words, max(1, tokens), bool(request.get("stream")), usage) if request["messages"] else None


def _words(content: Any) -> int:
    if isinstance(content, str):
        return len(content.split())
    return sum(len(part.get("text", "").split()) for part in content)


async def serve(options: argparse.Namespace) -> None:
    """Listen until cancelled."""
    engine = Engine(profile_of(options), options.model, options.max_model_len)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(engine), options.host, options.port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run the engine from the command line; each field of the profile is an option."""
    parser = argparse.ArgumentParser(prog="python -m bench.knee_engine", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18200)
    parser.add_argument("--model", default="knee")
    parser.add_argument("--max-model-len", type=int, default=32768)
    options = add_profile(parser).parse_args()
    gc.freeze()
    _raise_priority()
    uvloop.run(serve(options))


def add_profile(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Each field of a profile becomes an option."""
    for each in dataclasses.fields(Profile):
        kind = int if each.name in ("max_num_seqs", "shed_above") else float
        parser.add_argument(_option(each.name), dest=each.name, type=kind, default=each.default)
    return parser


def profile_of(options: argparse.Namespace) -> Profile:
    """The profile that these options say."""
    return Profile(**{each.name: getattr(options, each.name) for each in dataclasses.fields(Profile)})


def _raise_priority() -> None:
    """As far as the system lets it: its times are to be its model's, whatever else the machine does.

    Where Linux groups processes by session, niceness counts within the session alone, and the group's own beyond it.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(_NICENESS))


def flags(profile: Profile) -> list[str]:
    """The options that start an engine of this profile."""
    values = dataclasses.asdict(profile)
    named = {name: value for name, value in values.items() if value is not None and value != math.inf}
    return [text for name, value in named.items() for text in (_option(name), str(value))]


def _option(name: str) -> str:
    return "--" + name.replace("_at_seconds", "_at").replace("_", "-")


if __name__ == "__main__":
    main()
