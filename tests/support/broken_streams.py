"""Streams that break at one engine and go on at another: who plays what, what was asked, what its client may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.support.raw_http import Answer, Wire, parsed, request, split_events
from tests.support.script import Script
from tests.support.vllm_wire import FINGERPRINT
from tests.support.world import BODIES, CHAT, COMPLETIONS, World

# Its last token ends it: what vLLM counts is what it has said.
SCRIPT = Script((" one", ' "two":', " três", "\n\n", " 😀", ""), finish="length")
USAGE = {"stream_options": {"include_usage": True}}
# No retry is allowed: a continuation is none.
SETTINGS = {"front.retry.budget_ratio": 0, "front.engine_poll_seconds": 0.2}
_FINGERPRINT = b',"system_fingerprint":"%b"' % FINGERPRINT.encode()
_ID = re.compile(rb'"id":"([^"]*)"')


def giving_ids(world: World) -> World:
    for engine in world.engines:
        engine.gives_token_ids = True
    return world


def asked(path: str, **fields: Any) -> dict[str, Any]:
    return {**BODIES[path], "stream": True, "temperature": 0, "max_tokens": 64, **fields}


def undisturbed(world: World, body: dict[str, Any], script: Script = SCRIPT) -> bytes:
    """What an engine says that nobody asked for ids."""
    path = CHAT if "messages" in body else COMPLETIONS
    world.engine.decide, world.engine.script = None, script
    with Wire(("127.0.0.1", world.engine.port)) as wire:
        said = wire.send(request(path, body)).answer().body
    world.engine.seen.clear()
    return said


def play(world: World, scripts: Iterable[Script], then: Script = SCRIPT) -> None:
    """Whichever engine is asked next plays the next of these."""
    waiting = list(scripts)
    for engine in world.engines:
        engine.up()
        engine.seen.clear()
        engine.script = then
        engine.decide = lambda _: waiting.pop(0) if waiting else None


def say(world: World, body: dict[str, Any], **options: Any) -> Answer:
    return world.ask(CHAT if "messages" in body else COMPLETIONS, body, **options)


def same_id(body: bytes) -> bytes:
    """With one id in the place of its one; who says the last event is left out, as nobody does where it was lost."""
    assert len(set(_ID.findall(body))) == 1, body
    return _ID.sub(b'"id":"one"', body).replace(_FINGERPRINT, b"")


def requests(world: World) -> list[dict[str, Any]]:
    """What the engines were asked, in order."""
    seen = sorted((seen for engine in world.engines for seen in engine.seen), key=lambda seen: seen.at)
    return [{"path": one.path, **one.body} for one in seen]


def assert_one_stream(answer: Answer, expected: bytes, what: object) -> None:
    assert (answer.status, answer.end) == (200, "complete"), what
    assert same_id(answer.body) == same_id(expected), what


def text(body: bytes) -> str:
    choices = [choice for event in parsed(split_events(body)) for choice in event["choices"]]
    return "".join(choice["text"] if "text" in choice else choice["delta"]["content"] for choice in choices)
