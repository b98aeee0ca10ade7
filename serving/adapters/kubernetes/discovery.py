"""The engines behind several Kubernetes Services as one set; how a single one is followed, `ServiceWatch` knows."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp

from serving.adapters.kubernetes.access import Access, in_cluster
from serving.adapters.kubernetes.api import SliceApi
from serving.adapters.kubernetes.service_watch import ServiceWatch
from serving.adapters.kubernetes.slices import Service, service

Uniform = Callable[[float, float], float]


class Changed(Protocol):
    """Takes the base URLs of all engines, sorted."""

    def __call__(self, urls: tuple[str, ...]) -> None: ...


class SliceDiscovery:
    """Raises `SettingsError` for an entry that is no Service, and outside a cluster."""

    def __init__(self, entries: Sequence[str], access: Access | None = None, uniform: Uniform = random.uniform) -> None:
        self._access = access or in_cluster(os.environ)
        self._uniform = uniform
        self._found: dict[Service, tuple[str, ...]] = {}
        own = self._access.namespace()
        self._services = tuple(dict.fromkeys(service(entry, own) for entry in entries))

    async def run(self, changed: Changed) -> None:
        """Call `changed` at every change, until cancelled."""

        def publish(of: Service, urls: tuple[str, ...]) -> None:
            if self._found.get(of) != urls:
                self._found[of] = urls
                changed(tuple(sorted({url for urls in self._found.values() for url in urls})))

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            api = SliceApi(self._access, session, self._uniform)
            for of in self._services:
                tasks.create_task(ServiceWatch(api, of, publish, self._uniform).run(), name=f"endpoint-slices-{of}")
