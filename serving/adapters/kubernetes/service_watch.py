"""Follows one Service's EndpointSlices and says which engines they are, whenever that changes.

While the API server is away, or refuses, the engines stay what they were: they serve without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

import aiohttp
import orjson

from serving.adapters.kubernetes.api import Change, Gone, Listed, Refused, SliceApi
from serving.adapters.kubernetes.slices import PortUnclear, Service, Slice, urls

_log = logging.getLogger("tidegate.engines")
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
# A watch that ends sooner was cut by something on the way; asking again at once would be a busy loop.
_SHORT_WATCH_SECONDS = 1.0
_FORBIDDEN = frozenset({401, 403})


class Publish(Protocol):
    """Takes the engines of one Service."""

    def __call__(self, of: Service, urls: tuple[str, ...]) -> None: ...


class ServiceWatch:
    """Runs until it is cancelled."""

    def __init__(self, api: SliceApi, of: Service, publish: Publish, uniform: Callable[[float, float], float]) -> None:
        self._api = api
        self._of = of
        self._publish = publish
        self._uniform = uniform
        self._slices: dict[str, Slice] = {}
        self._failures = 0
        self._said: str | None = None

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except Gone:
                # Anything else would wait, but nothing is wrong: this is how the API says "list again".
                await self._pause(_FIRST_PAUSE_SECONDS)
            except (aiohttp.ClientError, OSError, TimeoutError, Refused, orjson.JSONDecodeError, KeyError) as error:
                self._say(self._explained(error))
                pause = min(_FIRST_PAUSE_SECONDS * 2**self._failures, _LONGEST_PAUSE_SECONDS)
                self._failures = min(self._failures + 1, 10)
                await self._pause(pause)

    async def _follow(self) -> None:
        """List, then watch for as long as each change follows from the one before."""
        listed = await self._api.list(self._of)
        self._take_over(listed)
        version = listed.version
        while True:
            began = time.monotonic()
            async with aclosing(self._api.watch(self._of, listed.path, version)) as changes:
                async for change in changes:
                    version = change.version
                    self._apply(change)
            if time.monotonic() - began < _SHORT_WATCH_SECONDS:
                await self._pause(_SHORT_WATCH_SECONDS)

    def _take_over(self, listed: Listed) -> None:
        if self._said is not None:
            _log.info("service %s: its endpoints are known again", self._of)
        self._failures, self._said = 0, None
        self._slices = {_name(one): one for one in listed.slices}
        if not self._slices:
            _log.info("service %s has no EndpointSlice (yet); is its name right?", self._of)
        self._tell()

    def _apply(self, change: Change) -> None:
        if change.kind == "DELETED":
            self._slices.pop(_name(change.slice), None)
        elif change.kind in ("ADDED", "MODIFIED"):
            self._slices[_name(change.slice)] = change.slice
        else:
            return
        self._tell()

    def _tell(self) -> None:
        try:
            self._publish(self._of, urls(self._of, self._slices.values()))
        except PortUnclear as error:
            self._say(str(error))

    def _explained(self, error: Exception) -> str:
        if isinstance(error, Refused) and error.status in _FORBIDDEN:
            return (
                f"the API server refuses ({error.status}) to tell the EndpointSlices of {self._of}: the pod's service "
                f"account needs the verbs list and watch on endpointslices (discovery.k8s.io) in {self._of.namespace}"
            )
        return f"the EndpointSlices of {self._of} cannot be read: {type(error).__name__}: {error}"

    def _say(self, message: str) -> None:
        """Once until it is another trouble."""
        if message != self._said:
            _log.warning("%s; its last known engines stay", message)
        self._said = message

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(self._uniform(seconds / 2, seconds))


def _name(one: Slice) -> str:
    return str(one["metadata"]["name"])
