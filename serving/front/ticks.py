"""How often time-outs and heartbeats are looked at: often enough for the shortest of them; it ends nothing itself."""

from __future__ import annotations

from serving.settings import FrontSettings

_LONGEST_SECONDS = 1.0
_PER_SHORTEST = 4


def period_seconds(settings: FrontSettings) -> float:
    """The time between two looks: none of them is late by more than a quarter."""
    times = settings.timeouts
    shortest = min(
        settings.heartbeat_seconds,
        times.first_byte_seconds,
        times.idle_seconds,
        times.head_seconds,
        times.keep_alive_seconds,
        times.write_seconds,
        times.total_seconds,
        settings.hold.seconds or times.total_seconds,
    )
    return min(_LONGEST_SECONDS, shortest / _PER_SHORTEST)
