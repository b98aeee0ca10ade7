"""Chat completions of one OpenAI-compatible server, each timed; it knows no schedule and judges nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from loadtest.client import payload
from loadtest.client.answer import Answer, Ask
from loadtest.client.connection import Connection, Connections, Origin
from loadtest.client.exchange import Exchange
from loadtest.client.faults import ClientError, WireFault

_MODELS_SECONDS = 30.0


class Client:
    """For any number of greenlets at once; each request has a connection of its own, kept for the next."""

    def __init__(self, base_url: str, api_key: str, model: str, connect_seconds: float = 5.0) -> None:
        self.model = model
        self._base_url = base_url
        self._origin = Origin.of(base_url)
        self._connections = Connections(self._origin, connect_seconds)
        key = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._fields = _fields({"host": self._origin.authority, "user-agent": "tidegate-loadtest", **key})

    def ask(self, ask: Ask, clock: Callable[[], float]) -> Answer:
        """Make the request. `clock` gives every time in the answer; failures are values."""
        request = self._request("POST", "/chat/completions", ask.headers, orjson.dumps(self._body(ask)))
        exchange, failed = self._exchange(ask, request, clock)
        return exchange.answer(failed)

    def models(self) -> list[dict[str, Any]]:
        """`id` and, where told, `max_model_len` of each model; raises `ClientError`."""
        clock = time.perf_counter
        ask = Ask((), 0, stream=False, end_by=clock() + _MODELS_SECONDS)
        exchange, failed = self._exchange(ask, self._request("GET", "/models", {}), clock)
        where = f"{self._base_url.rstrip('/')}/models"
        if failed:
            raise ClientError(f"{where} gives no answer ({failed.detail}): is the server up, is the URL right?")
        if exchange.reply.status in (401, 403):
            raise ClientError(f"{where} answers {exchange.reply.status}: is the API key right?")
        said = payload.read(exchange.document())
        cards = said.get("data") if exchange.reply.status == 200 and isinstance(said, dict) else None
        if not isinstance(cards, list):
            raise ClientError(f"{where} answers {exchange.reply.status}, no list of models: does the URL lack its /v1?")
        return [_card(card) for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]

    def close(self) -> None:
        """End all connections, those in use when their answer is whole."""
        self._connections.close()

    def _body(self, ask: Ask) -> dict[str, Any]:
        body = {"model": self.model, "messages": ask.messages, "max_tokens": ask.max_tokens, "stream": ask.stream}
        if ask.stream:
            body["stream_options"] = {"include_usage": True}
        return {**body, **ask.body}

    def _request(self, method: str, path: str, more: Mapping[str, str], body: bytes = b"") -> bytes:
        fields = dict(more)
        if body:
            fields |= {"content-type": "application/json", "content-length": str(len(body))}
        line = f"{method} {self._origin.path}{path} HTTP/1.1\r\n".encode()
        return b"".join((line, self._fields, _fields(fields), b"\r\n", body))

    def _exchange(self, ask: Ask, request: bytes, clock: Callable[[], float]) -> tuple[Exchange, WireFault | None]:
        exchange = Exchange(ask, clock, clock())
        try:
            with exchange.until_first():
                connection = self._connections.take()
            if not self._try(exchange, connection, request):
                # Its server had closed it while it was idle, and cannot have seen the request.
                with exchange.until_first():
                    connection = self._connections.new()
                self._try(exchange, connection, request)
        except WireFault as failed:
            return exchange, failed
        return exchange, None

    def _try(self, exchange: Exchange, connection: Connection, request: bytes) -> bool:
        """False when a kept connection turns out to be dead before the first byte; raises `WireFault` otherwise."""
        kept = False
        try:
            exchange.run(connection, request)
            kept = exchange.reply.keeps_connection
        except WireFault as failed:
            if connection.used and not exchange.reply.begun and failed.detail in ("closed", "reset"):
                return False
            raise
        finally:
            if kept:
                self._connections.give_back(connection)
            else:
                connection.close()
        return True


def _fields(fields: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ClientError(f"header fields must be of one line each: {', '.join(fields)}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _card(card: Mapping[str, Any]) -> dict[str, Any]:
    length = card.get("max_model_len")
    return {"id": card["id"], **({"max_model_len": length} if isinstance(length, int) else {})}
