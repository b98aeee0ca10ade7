"""The front and the engines of one target, found and scraped; what cannot be scraped becomes a note, never an error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from gevent.pool import Pool

from loadtest.plan import Target
from loadtest.server.exposition import Snapshot, Snapshots, parse
from loadtest.server.fetch import Unreachable, get
from serving.metrics import FrontSeries, VllmSeries

_AT_ONCE = 16
_SETTLE_STEP_SECONDS = 0.25


class Servers:
    """Remembers the engines that it has seen, so that one that is gone is missed."""

    def __init__(self, target: Target, timeout_seconds: float = 2.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._front = _origin(target.front_admin_url)
        self._given = tuple(_origin(url) for url in target.engine_urls)
        self._known = self._given

    @property
    def front_url(self) -> str:
        """Of its admin port; empty where no front is known."""
        return self._front

    def engine_urls(self) -> tuple[str, ...]:
        """Those given and those that the front knows now. Raises `Unreachable`."""
        if self._front:
            url = f"{self._front}/admin/engines"
            try:
                told = [_origin(engine["url"]) for engine in json.loads(self.page(url))["engines"]]
            except (ValueError, KeyError, TypeError) as error:
                raise Unreachable(f"{url} gives no list of engines: is it the admin port of a front?") from error
            self._known = tuple(dict.fromkeys((*self._given, *told)))
        return self._known

    def snapshot(self, unix: float) -> Snapshots:
        """Scrape all of them at once; `unix` is when."""
        notes: list[str] = []
        try:
            self.engine_urls()
        except Unreachable as error:
            notes.append(str(error))
        wanted: dict[str, str] = {self._front: FrontSeries.IN_FLIGHT} if self._front else {}
        wanted |= dict.fromkeys(self._known, str(VllmSeries.RUNNING))
        found: dict[str, Snapshot] = {}
        for url, read in zip(wanted, Pool(_AT_ONCE).map(self._scrape, wanted.items()), strict=True):
            if isinstance(read, Snapshot):
                found[url] = read
            else:
                notes.append(read)
        engines = {url: found[url] for url in self._known if url in found}
        missing = frozenset(self._known) - engines.keys()
        return Snapshots(unix, found.get(self._front) if self._front else None, engines, missing, tuple(notes))

    def page(self, url: str) -> bytes:
        """Any page of a server. Raises `Unreachable`."""
        return get(url, self._timeout_seconds)

    def settled(
        self,
        within_seconds: float = 10.0,
        wall: Callable[[], float] = time.time,
        wait: Callable[[float], None] = time.sleep,
    ) -> Snapshots:
        """A snapshot once nothing runs and counters rest; a note says when they never did within that time."""
        until = time.perf_counter() + within_seconds
        before, now = None, self.snapshot(wall())
        while (
            (running := in_flight(now)) or before is None or (before.front, before.engines) != (now.front, now.engines)
        ):
            if time.perf_counter() > until:
                notes = (*now.notes, f"{running:g} requests were still running at the last scrape")
                return Snapshots(now.unix, now.front, now.engines, now.missing, notes)
            wait(_SETTLE_STEP_SECONDS)
            before, now = now, self.snapshot(wall())
        return now

    def _scrape(self, asked: tuple[str, str]) -> Snapshot | str:
        """The exposition of a server, which must have this series; else why there is none."""
        url, must_have = f"{asked[0]}/metrics", asked[1]
        try:
            found = parse(self.page(url).decode("utf-8", "replace"))
        except Unreachable as error:
            return str(error)
        except ValueError as error:
            return f"{url} is no exposition: {error}"
        return found if found.has(must_have) else f"{url} has no {must_have}"


def in_flight(found: Snapshots) -> float:
    """Requests that the front or, where that is more, the engines still have."""
    at_engines = sum(
        engine.total(VllmSeries.RUNNING) + engine.total(VllmSeries.WAITING) for engine in found.engines.values()
    )
    return max(at_engines, found.front.total(FrontSeries.IN_FLIGHT) if found.front else 0.0)


def _origin(url: str) -> str:
    """As a prefix for paths."""
    return url.strip().rstrip("/").removesuffix("/metrics").rstrip("/")
