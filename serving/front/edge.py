"""What a client connection needs of the front, as values; it knows no connection and no wiring."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from serving.front.deadlines import Limits
from serving.front.exchange import Exchange
from serving.front.wire import Arrived


@dataclass(frozen=True, slots=True)
class Edge:
    """The flow, auth, ids and a clock; sizes in bytes, times in seconds.

    While it `is_leaving`, an answer is its connection's last: the client's next request finds another replica, where
    one on a connection that closes at the same moment would be lost.
    """

    flow: Callable[[Arrived, Exchange], Coroutine[Any, Any, None]]
    identify: Callable[[Mapping[bytes, bytes]], object]
    new_id: Callable[[], str]
    clock: Callable[[], float]
    body_bytes: int
    head_bytes: int
    waits: Limits
    total_seconds: float
    heartbeat_seconds: float
    is_leaving: Callable[[], bool]
