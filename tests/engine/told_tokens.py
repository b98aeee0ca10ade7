"""An engine asked for a stream with token ids, and what it told, read; real or scripted, it knows not which."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ASKED = {CHAT: {"messages": [{"role": "user", "content": "hello"}]}, COMPLETIONS: {"prompt": "hello"}}
LENGTH = 24


@dataclass(frozen=True)
class Engine:
    port: int

    def ask(self, path: str, **fields: Any) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = {"model": "tiny", "temperature": 0, **fields}
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        with connection.getresponse() as response:
            return response.status, response.read()

    def stream(self, path: str, **fields: Any) -> bytes:
        """Of the path's usual question unless `fields` say another, with ids and usage."""
        options = {"stream": True, "return_token_ids": True, "stream_options": {"include_usage": True}}
        status, body = self.ask(path, **{**ASKED[path], "max_tokens": LENGTH, **options, **fields})
        assert status == 200, body
        return body


@dataclass(frozen=True)
class Told:
    """A stream, read: the ids of its prompt, and per event its text, its ids and its finish reason."""

    prompt: list[int]
    events: list[tuple[str, list[int], str | None]]
    usage: dict[str, Any]

    @classmethod
    def read(cls, body: bytes) -> Told:
        *events, usage = [json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\n\n")[:-2]]
        role = events.pop(0) if "delta" in events[0]["choices"][0] else None
        choices = [event["choices"][0] for event in events]
        texts = [choice["delta"]["content"] if role else choice["text"] for choice in choices]
        told = [(text, one["token_ids"], one["finish_reason"]) for text, one in zip(texts, choices, strict=True)]
        return cls((role or choices[0])["prompt_token_ids"], told, usage["usage"])

    def after(self, events: int) -> tuple[str, list[int], str | None]:
        """The text, the ids and the finish reason of what comes then."""
        texts, ids, finishes = zip(*self.events[events:], strict=True)
        assert not any(finishes[:-1])
        return "".join(texts), [one for told in ids for one in told], finishes[-1]
