"""What vLLM 0.32 puts on the wire for each route, byte for byte; it knows no socket and no script."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.token_ids import PROMPT_TOKENS, Output

CREATED = 1764000000
FINGERPRINT = "vllm-0.32.0-tp1-0badcafe"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Answer:
    """What the engine says to one request."""

    id: str
    model: str
    tokens: Sequence[str]
    finish: str = "stop"
    usage: bool = True
    start: int = 0
    ids: bool = False
    per_event: int = 1

    @property
    def output(self) -> Output:
        return Output(self.tokens, self.finish, self.start, self.per_event)


def dump(value: Any) -> bytes:
    """pydantic's and Starlette's JSON: no spaces, UTF-8 unescaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def data(value: Any) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def named(event: str, value: Any) -> bytes:
    return b"event: " + event.encode() + b"\n" + data(value)


def usage_of(answer: Answer) -> dict[str, Any]:
    prompt, count = len(answer.output.prompt), len(answer.tokens)
    return {"prompt_tokens": prompt, "total_tokens": prompt + count, "completion_tokens": count}


def error_body(status: int, message: str, kind: str = "InternalServerError", param: str | None = None) -> bytes:
    return dump({"error": {"message": message, "type": kind, "param": param, "code": status}})


def error_event() -> bytes:
    """What a stream gets when EngineCore dies, just before its [DONE]."""
    return b"data: " + error_body(500, "EngineCore encountered an issue. See stack trace.") + b"\n\n"


def models(name: str, max_model_len: int) -> bytes:
    card = {"id": name, "object": "model", "created": CREATED, "owned_by": "vllm", "root": f"/models/{name}"}
    return dump({"object": "list", "data": [{**card, "parent": None, "max_model_len": max_model_len}]})


def is_usage_only(event: bytes) -> bool:
    return b'"choices":[],"usage"' in event


def chat_events(answer: Answer, request: dict[str, Any]) -> Iterator[bytes]:
    head = {"id": answer.id, "object": "chat.completion.chunk", "created": CREATED, "model": answer.model}
    options = request.get("stream_options") or {}
    prompt = {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS, "completion_tokens": 0}
    running = {"usage": prompt} if options.get("continuous_usage_stats") else {}
    choices = request.get("n") or 1
    plain = {"logprobs": None, "finish_reason": None}
    ids = {"prompt_token_ids": answer.output.prompt if answer.ids else None, "prompt_text": None}
    for index in range(choices):
        first = {"index": index, "delta": {"role": "assistant", "content": ""}, **plain}
        yield data({**head, "choices": [first], **running, **ids})
    for event in answer.output.events():
        ended = {"finish_reason": event.finish, "stop_reason": None} if event.finish else {}
        told = {**plain, **ended, "token_ids": event.ids if answer.ids else None}
        for index in range(choices):
            choice = {"index": index, "delta": {"content": event.text}, **told}
            yield data({**head, "choices": [choice], **running})
    if options.get("include_usage") and answer.usage:
        yield data({**head, "choices": [], "usage": usage_of(answer), "system_fingerprint": FINGERPRINT})
    yield DONE


def chat_json(answer: Answer, request: dict[str, Any]) -> bytes:
    empty = {"refusal": None, "annotations": None, "audio": None, "function_call": None, "reasoning": None}
    message = {"role": "assistant", "content": "".join(answer.tokens), **empty}
    tail = {"logprobs": None, "finish_reason": answer.finish, "stop_reason": None, "token_ids": None}
    choices = [{"index": index, "message": message, **tail} for index in range(request.get("n") or 1)]
    body = {"id": answer.id, "object": "chat.completion", "created": CREATED, "model": answer.model, "choices": choices}
    usage = {**usage_of(answer), "prompt_tokens_details": None} if answer.usage else None
    return dump({**body, "service_tier": None, "system_fingerprint": FINGERPRINT, "usage": usage})


def completion_events(answer: Answer, request: dict[str, Any]) -> Iterator[bytes]:
    head = {"id": answer.id, "object": "text_completion", "created": CREATED, "model": answer.model}
    prompt = answer.output.prompt if answer.ids else None
    for event in answer.output.events():
        choice = {"index": 0, "text": event.text, "logprobs": None, "finish_reason": event.finish, "stop_reason": None}
        ids = {"prompt_token_ids": prompt, "token_ids": event.ids if answer.ids else None}
        yield data({**head, "choices": [{**choice, **ids}]})
        prompt = None
    if (request.get("stream_options") or {}).get("include_usage") and answer.usage:
        yield data({**head, "choices": [], "usage": usage_of(answer), "system_fingerprint": FINGERPRINT})
    yield DONE


def completion_json(answer: Answer, request: dict[str, Any]) -> bytes:
    choice = {"index": 0, "text": "".join(answer.tokens), "logprobs": None, "finish_reason": answer.finish}
    body = {"id": answer.id, "object": "text_completion", "created": CREATED, "model": answer.model}
    return dump({**body, "choices": [{**choice, "stop_reason": None}], "usage": usage_of(answer)})


def embeddings_json(answer: Answer, request: dict[str, Any]) -> bytes:
    inputs = request["input"] if isinstance(request.get("input"), list) else [request.get("input")]
    vector = [0.5, -0.5, 0.25]
    packed = base64.b64encode(struct.pack("<3f", *vector)).decode()
    value = packed if request.get("encoding_format") == "base64" else vector
    rows = [{"index": index, "object": "embedding", "embedding": value} for index in range(len(inputs))]
    usage = {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS, "completion_tokens": 0}
    head = {"id": answer.id, "object": "list", "created": CREATED, "model": answer.model}
    return dump({**head, "data": rows, "usage": {**usage, "prompt_tokens_details": None}})


def message_events(answer: Answer, request: dict[str, Any]) -> Iterator[bytes]:
    empty = {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": 0}}
    message = {"id": answer.id, "type": "message", "role": "assistant", "content": [], "model": answer.model, **empty}
    yield named("message_start", {"type": "message_start", "message": message})
    block = {"type": "text", "text": ""}
    yield named("content_block_start", {"type": "content_block_start", "content_block": block, "index": 0})
    for token in answer.tokens:
        delta = {"type": "text_delta", "text": token}
        yield named("content_block_delta", {"type": "content_block_delta", "delta": delta, "index": 0})
    yield named("content_block_stop", {"type": "content_block_stop", "index": 0})
    usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": len(answer.tokens)}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield named("message_delta", {"type": "message_delta", "delta": stop, "usage": usage})
    yield named("message_stop", {"type": "message_stop"})


def message_json(answer: Answer, request: dict[str, Any]) -> bytes:
    content = [{"type": "text", "text": "".join(answer.tokens)}]
    usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": len(answer.tokens)}
    head = {"id": answer.id, "type": "message", "role": "assistant", "content": content, "model": answer.model}
    return dump({**head, "stop_reason": "end_turn", "usage": usage})


def response_events(answer: Answer, request: dict[str, Any]) -> Iterator[bytes]:
    numbers = iter(range(10**9))

    def event(kind: str, **fields: Any) -> bytes:
        return named(kind, {"type": kind, "sequence_number": next(numbers), **fields})

    text = "".join(answer.tokens)
    place = {"item_id": _message_id(answer), "output_index": 0, "content_index": 0}
    empty_part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    part = {**empty_part, "text": text}
    item = {"id": _message_id(answer), "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    yield event("response.created", response=_response(answer, "in_progress", []))
    yield event("response.in_progress", response=_response(answer, "in_progress", []))
    yield event("response.output_item.added", output_index=0, item=item)
    yield event("response.content_part.added", **place, part=empty_part)
    for token in answer.tokens:
        yield event("response.output_text.delta", **place, delta=token, logprobs=[])
    yield event("response.output_text.done", **place, text=text, logprobs=[])
    yield event("response.content_part.done", **place, part=part)
    done = {**item, "status": "completed", "content": [part]}
    yield event("response.output_item.done", output_index=0, item=done)
    yield event("response.completed", response=_response(answer, "completed", [done]))


def response_json(answer: Answer, request: dict[str, Any]) -> bytes:
    part = {"type": "output_text", "text": "".join(answer.tokens), "annotations": [], "logprobs": None}
    item = {"id": _message_id(answer), "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return dump(_response(answer, "completed", [item]))


def _message_id(answer: Answer) -> str:
    """Another for each answer, as vLLM's are."""
    return f"msg_{answer.id}"


def _response(answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    count = len(answer.tokens)
    usage = {
        "input_tokens": PROMPT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": count,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT_TOKENS + count,
    }
    return {
        "id": answer.id,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": usage if status == "completed" else None,
    }


STREAMS = {
    "/v1/chat/completions": chat_events,
    "/v1/completions": completion_events,
    "/v1/messages": message_events,
    "/v1/responses": response_events,
}
DOCUMENTS = {
    "/v1/chat/completions": chat_json,
    "/v1/completions": completion_json,
    "/v1/embeddings": embeddings_json,
    "/v1/messages": message_json,
    "/v1/responses": response_json,
}
