"""What front and engines looked like over the run, sample by sample; when to sample is the caller's."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.results import Series
from loadtest.server.exposition import Snapshots
from loadtest.server.scrape import Servers
from serving.metrics import FrontSeries, VllmSeries

INTERVAL_SECONDS = 2.0
NAMES = ("replicas", "running", "waiting", "kv_usage", "kv_usage_max", "front_in_flight")


class Sampler:
    """`wall` labels the samples: seconds since 1970."""

    def __init__(self, servers: Servers, wall: Callable[[], float]) -> None:
        self._servers, self._wall = servers, wall
        self._unix: list[float] = []
        self._values: dict[str, list[float | None]] = {name: [] for name in NAMES}

    def sample(self) -> None:
        """Take one; takes as long as the slowest server, at most some seconds."""
        found = self._servers.snapshot(self._wall())
        self._unix.append(found.unix)
        for name, value in _values(found).items():
            self._values[name].append(value)

    def series(self) -> Series:
        """All samples so far."""
        return Series(tuple(self._unix), {name: tuple(values) for name, values in self._values.items()})


def _values(found: Snapshots) -> dict[str, float | None]:
    """Replicas are the engines that answer; KV usage is from 0 to 1, mean and highest over them."""
    engines = found.engines.values()
    usage = [value for engine in engines for value in engine.values(VllmSeries.KV_USAGE)]
    told = bool(engines)
    return {
        "replicas": float(len(engines)) if told or found.missing else None,
        "running": sum(engine.total(VllmSeries.RUNNING) for engine in engines) if told else None,
        "waiting": sum(engine.total(VllmSeries.WAITING) for engine in engines) if told else None,
        "kv_usage": sum(usage) / len(usage) if usage else None,
        "kv_usage_max": max(usage) if usage else None,
        "front_in_flight": found.front.total(FrontSeries.IN_FLIGHT) if found.front else None,
    }
