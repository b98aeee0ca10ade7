"""Keeps the snapshot of engines current: a fixed list, a Ray Serve's replicas, Kubernetes Services' endpoints.

An engine that does not answer keeps the models that it told last, so that its requests fail over instead of getting a
404; one that never answered has none.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol
from urllib.parse import urlsplit

from serving.adapters.engines.http import EnginePool
from serving.adapters.engines.inquiry import Inquiry
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


class Slices(Protocol):
    """Follows Kubernetes Services; calls back with all their engines' URLs at every change."""

    async def run(self, changed: Found) -> None: ...


class Found(Protocol):
    """Takes the URLs of engines."""

    def __call__(self, urls: tuple[str, ...]) -> None: ...


class EngineDirectory:
    """Asks every engine each `period` seconds, and a new one at once, until it is cancelled."""

    def __init__(
        self, pool: EnginePool, settings: FrontSettings, publish: Snapshot, slices: Slices | None = None
    ) -> None:
        self._period = settings.engine_poll_seconds
        self._inquiry = Inquiry(pool, self._period * 2)
        self._ray_serve = parse_url("front.ray_serve", settings.ray_serve) if settings.ray_serve else None
        self._ray_token = settings.ray_token
        self._slices = slices or _endpoint_slices(settings)
        self._publish = publish
        self._fixed = {url: parse_url("front.engines", url) for url in settings.engines}
        self._by_ray: tuple[str, ...] = ()
        self._by_slices: tuple[str, ...] = ()
        self._known = dict(self._fixed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            if self._slices is not None:
                tasks.create_task(self._slices.run(lambda urls: self._take_over(urls, tasks)), name="endpoint-slices")
            while True:
                await self.refresh()
                await asyncio.sleep(self._period)

    async def refresh(self) -> None:
        """Ask all engines once."""
        if self._ray_serve is not None:
            await self._discover(self._ray_serve)
        asked = list(self._known.items())
        answers = await asyncio.gather(*(self._inquiry.ask(endpoint) for _, endpoint in asked))
        for (url, endpoint), answer in zip(asked, answers, strict=True):
            self._learn(url, endpoint, answer)
        self._publish(tuple(self._known.values()))

    def _take_over(self, urls: tuple[str, ...], tasks: asyncio.TaskGroup) -> None:
        """The endpoints of the Services are these: drop at once those that left, ask at once those that came."""
        self._by_slices = urls
        before = set(self._known)
        self._regroup()
        self._publish(tuple(self._known.values()))
        for url in self._known.keys() - before:
            tasks.create_task(self._meet(url, self._known[url]), name=f"meet-{url}")

    async def _meet(self, url: str, endpoint: Endpoint) -> None:
        self._learn(url, endpoint, await self._inquiry.ask(endpoint))
        self._publish(tuple(self._known.values()))

    def _learn(self, url: str, asked: Endpoint, answer: Endpoint) -> None:
        """Unless it left, or told more to another question, while it was asked."""
        if self._known.get(url) is asked:
            self._known[url] = answer

    def _regroup(self) -> None:
        """Those known before keep what they told."""
        found = {
            **self._fixed,
            **{url: parse_url("front.ray_serve", url) for url in self._by_ray},
            **{url: parse_url("front.endpoint_slices", url) for url in self._by_slices},
        }
        self._known = {url: self._known.get(url, endpoint) for url, endpoint in found.items()}

    async def _discover(self, dashboard: Endpoint) -> None:
        status, body = await self._inquiry.get(dashboard, _APPLICATIONS, self._ray_token)
        if not status or status >= _SERVER_ERROR:
            return
        if status != _OK:
            _log.warning("%s does not list its applications: is front.ray_token right?", dashboard.url)
            return
        try:
            self._by_ray = targets(body)
        except ValueError as error:
            _log.warning("%s: %s", dashboard.url, error)
            return
        self._regroup()


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


def _endpoint_slices(settings: FrontSettings) -> Slices | None:
    if not settings.endpoint_slices:
        return None
    # aiohttp takes 9 MB, which a front with a fixed list does not need.
    from serving.adapters.kubernetes.discovery import SliceDiscovery

    return SliceDiscovery(settings.endpoint_slices)
