"""Keeps the snapshot of engines current: asks each address for its models, and a Ray Serve for the addresses.

An engine that does not answer keeps the models that it told last, so that its requests fail over instead of getting a
404; one that never answered has none.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from serving.adapters.engines.http import EnginePool
from serving.adapters.engines.ray_serve_targets import targets
from serving.errors import SettingsError
from serving.front.route import Endpoint
from serving.settings import FrontSettings

_log = logging.getLogger("tidegate.engines")
_APPLICATIONS = "/api/serve/applications/"
_OK = 200
_SERVER_ERROR = 500


class Snapshot(Protocol):
    """Takes over what the directory found."""

    def __call__(self, endpoints: tuple[Endpoint, ...]) -> None: ...


class EngineDirectory:
    """Polls every `period` seconds until it is cancelled."""

    def __init__(
        self,
        pool: EnginePool,
        settings: FrontSettings,
        publish: Snapshot,
    ) -> None:
        self._pool = pool
        self._urls = settings.engines
        self._ray_serve = parse_url("front.ray_serve", settings.ray_serve) if settings.ray_serve else None
        self._ray_token = settings.ray_token
        self._period = settings.engine_poll_seconds
        self._publish = publish
        self._known: dict[str, Endpoint] = {url: parse_url("front.engines", url) for url in settings.engines}

    async def run(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._period)

    async def refresh(self) -> None:
        """Ask all engines once."""
        if self._ray_serve is not None:
            await self._discover(self._ray_serve)
        asked = list(self._known.items())
        answers = await asyncio.gather(*(self._ask(endpoint) for _, endpoint in asked))
        self._known = {url: answer for (url, _), answer in zip(asked, answers, strict=True)}
        self._publish(tuple(self._known.values()))

    async def _discover(self, dashboard: Endpoint) -> None:
        body = await self._get(dashboard, _APPLICATIONS, self._ray_token)
        if body is None:
            return
        if not body:
            _log.warning("%s does not list its applications: is front.ray_token right?", dashboard.url)
            return
        try:
            found = targets(body)
        except ValueError as error:
            _log.warning("%s: %s", dashboard.url, error)
            return
        self._known = {url: self._known.get(url) or parse_url("front.ray_serve", url) for url in (*self._urls, *found)}

    async def _ask(self, endpoint: Endpoint) -> Endpoint:
        answer = await self._get(endpoint, "/v1/models")
        if answer is None:
            return endpoint
        cards = _cards(answer)
        takes_any = cards is None and not endpoint.models
        models = {card["id"]: int(card.get("max_model_len") or 0) for card in cards or ()} or endpoint.models
        if (models, takes_any) != (endpoint.models, endpoint.takes_any):
            _log.info("engine %s serves %s", endpoint.id, ", ".join(models) or "whatever it is asked for")
        is_vllm = endpoint.is_vllm if cards is None else any(card.get("owned_by") == "vllm" for card in cards)
        return replace(endpoint, models=models, is_vllm=is_vllm, takes_any=takes_any)

    async def _get(self, endpoint: Endpoint, path: str, token: str | None = None) -> bytes | None:
        """The body, empty for an answer that is not 200; None when there was no answer."""
        reply = self._pool.get(endpoint, path, token)
        try:
            async with asyncio.timeout(self._period * 2):
                await reply.arrived.future()
        except TimeoutError:
            return None
        finally:
            reply.abort()
        if reply.error is not None or reply.status >= _SERVER_ERROR:
            return None
        return reply.body if reply.status == _OK else b""


def parse_url(key: str, url: str) -> Endpoint:
    """`http://host:port[/path]`, with or without a final `/v1`. Raises `SettingsError` naming `key`."""
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise SettingsError(key, f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(key, f"{url!r} must look like http://host:port")
    path = parts.path.rstrip("/").removesuffix("/v1")
    port = port or (443 if parts.scheme == "https" else 80)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Endpoint(f"{host}:{port}{path}", parts.scheme, parts.hostname, port, path)


def _cards(body: bytes) -> list[dict[str, Any]] | None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    cards = content.get("data") if isinstance(content, dict) else None
    if not isinstance(cards, list):
        return None
    return [card for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]
