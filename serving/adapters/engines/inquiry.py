"""Asks one engine what it serves; who the engines are, the directory knows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import orjson

from serving.adapters.engines.http import EnginePool
from serving.front.route import Endpoint

_log = logging.getLogger("tidegate.engines")
_OK = 200
_SERVER_ERROR = 500


class Inquiry:
    """Each question may take `seconds`."""

    def __init__(self, pool: EnginePool, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    async def ask(self, endpoint: Endpoint) -> Endpoint:
        """The engine with the models that it lists now; with those that it told last where it does not answer.

        One that says that it is draining has none: what it is sent it only refuses.
        """
        status, body = await self.get(endpoint, "/v1/models")
        if status >= _SERVER_ERROR and _code(body) == "draining":
            if endpoint.models or endpoint.takes_any:
                _log.info("engine %s is draining", endpoint.id)
            return replace(endpoint, models={}, takes_any=False, is_up=False)
        if not status or status >= _SERVER_ERROR:
            return replace(endpoint, is_up=False)
        cards = _cards(body) if status == _OK else None
        takes_any = cards is None and not endpoint.models
        models = {card["id"]: _length(card) for card in cards or ()} or endpoint.models
        if (models, takes_any) != (endpoint.models, endpoint.takes_any):
            _log.info("engine %s serves %s", endpoint.id, ", ".join(models) or "whatever it is asked for")
        is_vllm = endpoint.is_vllm if cards is None else any(card.get("owned_by") == "vllm" for card in cards)
        return replace(endpoint, models=models, is_vllm=is_vllm, takes_any=takes_any, is_up=True)

    async def get(self, endpoint: Endpoint, path: str, token: str | None = None) -> tuple[int, bytes]:
        """Status and body; status 0 when there was no answer."""
        reply = self._pool.get(endpoint, path, token)
        try:
            async with asyncio.timeout(self._seconds):
                await reply.arrived.future()
        except TimeoutError:
            return 0, b""
        finally:
            reply.abort()
        return (0, b"") if reply.error is not None else (reply.status, reply.body)


def _cards(body: bytes) -> list[dict[str, Any]] | None:
    content = _object(body)
    cards = content.get("data")
    if not isinstance(cards, list):
        return None
    return [card for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]


def _length(card: dict[str, Any]) -> int:
    told = card.get("max_model_len")
    return int(told) if isinstance(told, int | float) else 0


def _code(body: bytes) -> object:
    error = _object(body).get("error")
    return error.get("code") if isinstance(error, dict) else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
