"""Step 2, request: a body becomes a `GenerationRequest` or a 400 that names the parameter; it knows no caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from serving.errors import InvalidRequest
from serving.front import checks, content, fields
from serving.front.dialect import Keeps, Route
from serving.front.state import keep
from serving.front.state.keep import Keep
from serving.settings import LimitSettings

_BYTES_PER_TOKEN = 4
_STATE_HEADERS = frozenset({b"x-session-id", b"idempotency-key", b"x-tidegate-resumable"})


class Arrived(NamedTuple):
    """One HTTP request as it came in; `at` is monotonic seconds."""

    id: str
    at: float
    route: Route
    headers: Mapping[bytes, bytes]
    body: bytes | bytearray


class GenerationRequest(NamedTuple):
    """A request that an engine may see. `prompt_tokens` is an estimate, `output_tokens` the client's own bound."""

    route: Route
    body: dict[str, Any]
    model: str
    stream: bool
    wants_usage: bool
    choices: int
    prompt_tokens: int
    output_tokens: int
    keep: Keep | None


def read(arrived: Arrived, limits: LimitSettings) -> GenerationRequest:
    """Parse and check a body. Raises `InvalidRequest` naming the parameter."""
    body = parse(arrived.body, limits)
    route = arrived.route
    state = _check_fields(body, route, limits)
    model = checks.model(body)
    content.check(body, route.content, limits)
    stream = bool(body.get("stream")) and route.streams
    options = body.get("stream_options") or {}
    choices = body.get("n") or 1
    return GenerationRequest(
        route=route,
        body=body,
        model=model,
        stream=stream,
        wants_usage=bool(options.get("include_usage")) or not route.usage_on_request,
        choices=choices,
        prompt_tokens=len(arrived.body) // _BYTES_PER_TOKEN,
        output_tokens=checks.output_bound(body) * choices,
        keep=_keep(state, arrived, stream=stream, choices=choices),
    )


def for_engine(request: GenerationRequest, cache_salt: str | None, *, token_ids: bool) -> bytes:
    """The body as an engine gets it: what only we may set is set, what no engine needs is gone."""
    body = request.body.copy()
    if request.stream and request.route.usage_on_request:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    if request.route.keeps is Keeps.RESPONSES:
        body["store"] = False
    if cache_salt is not None:
        body["cache_salt"] = cache_salt
    if token_ids:
        body["return_token_ids"] = True
    return orjson.dumps(body)


def parse(raw: bytes | bytearray, limits: LimitSettings) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error.msg} at byte {error.pos}.", code="bad_json") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.", code="bad_json")
    if raw.count(b"{") + raw.count(b"[") > limits.json_depth and checks.deeper_than(body, limits.json_depth):
        raise InvalidRequest(f"The body is nested deeper than {limits.json_depth} levels.", code="too_deep")
    return body


def _keep(state: dict[str, Any], arrived: Arrived, *, stream: bool, choices: int) -> Keep | None:
    keeps, headers = arrived.route.keeps, arrived.headers
    if not state and keeps is not Keeps.RESPONSES and headers.keys().isdisjoint(_STATE_HEADERS):
        return None
    asked = keep.read(state, headers, keeps, stream)
    if asked is not None and asked.session and choices > 1:
        raise InvalidRequest("`n` must be 1 in a session.", param="n", code="invalid_value")
    return None if asked is None else keep.with_fingerprint(asked, arrived.route.path, arrived.body)


def _check_fields(body: dict[str, Any], route: Route, limits: LimitSettings) -> dict[str, Any]:
    """Check each field, take those out that no engine gets, and give the ones that say what to keep."""
    dropped = []
    known, kept = route.fields, route.kept
    for name, given in body.items():
        if name in known:
            check = known[name]
            if check is not None and given is not None:
                check(name, given, limits)
        elif name in kept or name in fields.IGNORED:
            dropped.append(name)
        elif name not in limits.extra_fields:
            _check_unlisted(name, limits)
    if not dropped:
        return {}
    return {name: given for name in dropped if (given := body.pop(name)) is not None and name in kept}


def _check_unlisted(name: str, limits: LimitSettings) -> None:
    if name in fields.OWNED:
        if not (limits.allow_chat_template and name in fields.CHAT_TEMPLATE):
            raise InvalidRequest(f"`{name}` is set by the server: leave it out.", param=name, code="forbidden_field")
    else:
        raise InvalidRequest(f"Unrecognized request argument supplied: {name}.", param=name, code="unknown_parameter")
