"""The bytes that the mock engine answers with, shaped as vLLM 0.32 writes them; it knows no sockets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import orjson

_ID = "chatcmpl-8f1d2c3b4a5968778695a4b3c2d1e0f0"
_CREATED = 1790000000
_TEXT = "The tide turns twice a day, and the gate lets through what the harbour can hold. " * 2
_PROMPT_TOKENS = 57
_TOKEN_ID = 4051
_HEAD = b"HTTP/1.1 %d %s\r\ndate: Mon, 02 Nov 2026 08:00:00 GMT\r\nserver: uvicorn\r\n"
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
}

STREAM_HEAD = _HEAD % (200, b"OK") + (
    b"content-type: text/event-stream; charset=utf-8\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
)
STREAM_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Events:
    """The chunk-framed server-sent events of one model's stream."""

    role: bytes
    token: bytes
    finish: bytes


def whole(status: int, body: bytes, content_type: bytes = b"application/json", more: bytes = b"") -> bytes:
    """A response with a known length; `more` are further header lines."""
    head = _HEAD % (status, _REASONS[status]) + more
    return b"%scontent-length: %d\r\ncontent-type: %s\r\n\r\n%s" % (head, len(body), content_type, body)


@lru_cache(maxsize=64)
def completion(model: str, tokens: int, prompt_tokens: int = _PROMPT_TOKENS) -> bytes:
    """The answer of about 500 bytes to a chat request that does not stream."""
    message: dict[str, object] = {"role": "assistant", "content": _TEXT, "refusal": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "length", "stop_reason": None}
    body = {"id": _ID, "object": "chat.completion", "created": _CREATED, "model": model, "choices": [choice]}
    return whole(200, orjson.dumps(body | {"usage": _usage(tokens, prompt_tokens)}))


@lru_cache(maxsize=64)
def events(model: str, *, token_ids: bool = False) -> Events:
    """The events of a stream but its usage; a token's is about 210 bytes. `token_ids` are there when asked for."""
    prompt = {"prompt_token_ids": list(range(1, _PROMPT_TOKENS + 1))} if token_ids else {}
    return Events(
        role=_event(model, [_choice({"role": "assistant", "content": ""}, None)], **prompt),
        token=_event(model, [_choice({"content": " tide"}, None) | ({"token_ids": [_TOKEN_ID]} if token_ids else {})]),
        finish=_event(model, [_choice({"content": ""}, "length") | ({"token_ids": []} if token_ids else {})]),
    )


@lru_cache(maxsize=64)
def usage_event(model: str, tokens: int, prompt_tokens: int = _PROMPT_TOKENS) -> bytes:
    """The event that `stream_options.include_usage` asks for."""
    return _event(model, [], usage=_usage(tokens, prompt_tokens))


def error(status: int, message: str, more: bytes = b"") -> bytes:
    """An error in vLLM's shape; `more` are further header lines."""
    body = {"error": {"message": message, "type": _REASONS[status].decode(), "param": None, "code": status}}
    return whole(status, orjson.dumps(body), more=more)


def models(name: str, max_model_len: int) -> bytes:
    """The answer of /v1/models."""
    card = {"id": name, "object": "model", "created": _CREATED, "owned_by": "vllm", "root": name, "parent": None}
    return whole(200, orjson.dumps({"object": "list", "data": [card | {"max_model_len": max_model_len}]}))


def metrics(name: str, running: int) -> bytes:
    """The gauges of /metrics that a front tier reads."""
    values = {"num_requests_running": running, "num_requests_waiting": 0, "kv_cache_usage_perc": 0.0}
    lines = [
        f'# TYPE vllm:{gauge} gauge\nvllm:{gauge}{{engine="0",model_name="{name}"}} {float(value)}\n'
        for gauge, value in values.items()
    ]
    return whole(200, "".join(lines).encode(), b"text/plain; version=0.0.4; charset=utf-8")


def _usage(tokens: int, prompt_tokens: int) -> dict[str, int | None]:
    total = prompt_tokens + tokens
    counts: dict[str, int | None] = {"prompt_tokens": prompt_tokens, "total_tokens": total}
    return counts | {"completion_tokens": tokens, "prompt_tokens_details": None}


def _choice(delta: dict[str, str], finish_reason: str | None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(model: str, choices: list[dict[str, object]], **more: object) -> bytes:
    head = {"id": _ID, "object": "chat.completion.chunk", "created": _CREATED, "model": model, "choices": choices}
    event = b"data: %s\n\n" % orjson.dumps(head | more)
    return b"%x\r\n%s\r\n" % (len(event), event)
