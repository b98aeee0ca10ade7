"""One streamed chat completion from any OpenAI-compatible server; it keeps no history and prints nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from serving.cli.probe import connect
from serving.errors import TidegateError

_SILENCE_SECONDS = 300.0


class ChatFailed(TidegateError):
    """The server refused, broke off or could not be reached; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, as whom, and for which model."""

    base_url: str
    api_key: str | None
    model: str


@dataclass(frozen=True)
class Timings:
    """How an answer came. `counted` is False where the server sent no usage and events stand in for tokens."""

    ttft_seconds: float | None
    decode_seconds: float
    tokens: int
    counted: bool
    finish_reason: str | None

    def line(self) -> str:
        """The figures as one readable line."""
        if self.ttft_seconds is None:
            return f"no text, {self.finish_reason or 'no finish reason'}"
        sign = "" if self.counted else "~"
        text = f"TTFT {self.ttft_seconds * 1000:.0f} ms, {sign}{self.tokens} tokens"
        if self.tokens > 1 and self.decode_seconds > 0:
            text += f", {sign}{(self.tokens - 1) / self.decode_seconds:.1f} tokens/s"
        return text + ("" if self.finish_reason in ("stop", None) else f", ended by {self.finish_reason}")


def ask(endpoint: Endpoint, messages: Sequence[dict[str, str]], on_text: Callable[[str], None]) -> Timings:
    """Stream one answer into `on_text`. Raises `ChatFailed`; leaving early (Ctrl-C) closes the connection."""
    connection, path = connect(endpoint.base_url, _SILENCE_SECONDS)
    body = {
        "model": endpoint.model,
        "messages": list(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    began = time.monotonic()
    try:
        connection.request("POST", f"{path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise ChatFailed(_refusal(response))
        return _read(_chunks(response), on_text, began)
    except (OSError, HTTPException) as error:
        reason = "the connection broke" if isinstance(error, HTTPException) else str(error)
        raise ChatFailed(f"{endpoint.base_url}: {reason}") from None
    finally:
        connection.close()


def _chunks(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The events up to `[DONE]`; a stream that ends without it, or with an error event, raises."""
    for line in response:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        try:
            chunk = json.loads(data)
        except ValueError:
            raise ChatFailed("the server sent an event that is not JSON") from None
        if isinstance(chunk, dict) and "error" in chunk:
            raise ChatFailed(_message(chunk["error"]))
        yield chunk
    raise ChatFailed("the answer broke off before its end")


def _read(chunks: Iterator[dict[str, Any]], on_text: Callable[[str], None], began: float) -> Timings:
    first: float | None = None
    last = began
    events = 0
    usage: dict[str, Any] = {}
    finish_reason = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            finish_reason = choice.get("finish_reason") or finish_reason
            if delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning"):
                last = time.monotonic()
                first = first or last
                events += 1
            if delta.get("content"):
                on_text(delta["content"])
    tokens = usage.get("completion_tokens")
    ttft = None if first is None else first - began
    return Timings(ttft, last - (first or last), tokens or events, tokens is not None, finish_reason)


def _refusal(response: HTTPResponse) -> str:
    body = response.read()
    try:
        text = _message(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        text = body[:200].decode(errors="replace").strip() or response.reason
    wait = response.getheader("Retry-After")
    return f"{response.status}: {text}" + (f" (try again in {wait} s)" if wait else "")


def _message(error: object) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)
