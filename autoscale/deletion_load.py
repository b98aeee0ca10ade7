"""How much one engine pod has in hand, from its own metrics port; what follows from it, `deletion_cost` decides."""

from __future__ import annotations

import math
import urllib.request
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import VllmSeries

_IN_HAND = frozenset({VllmSeries.RUNNING, VllmSeries.WAITING})


def requests_in_hand(address: str, ports: Sequence[int], timeout_seconds: float) -> int | None:
    """Running and waiting requests over all replicas of the pod; None when one of its ports does not tell."""
    counts = [_of_port(address, port, timeout_seconds) for port in ports]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _of_port(address: str, port: int, timeout_seconds: float) -> int | None:
    host = f"[{address}]" if ":" in address else address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=timeout_seconds) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    except (OSError, ValueError):
        return None
    values = [sample.value for family in families for sample in family.samples if sample.name in _IN_HAND]
    return math.ceil(sum(values)) if values and all(map(math.isfinite, values)) else None
