"""Whether a server's TTFT histogram and the client's own times can both be true; it knows no server and no request.

A client cannot see a token before its server sent it, so on every edge of the histogram the server has at least as
many; and what the client sees on top of it is network and queue, of which a sound run has less than it waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loadtest.results import Reconciled
from loadtest.verdict.measures import Floats

_CLOCK_SECONDS = 0.002
_ON_TOP_SHARE = 0.5


def compared(
    what: str, client: Floats, buckets: Sequence[tuple[float, float]], sum_seconds: float, network_seconds: float
) -> Reconciled:
    """Means in milliseconds. `buckets` are cumulative; the server may hold a few more than the client saw.

    `network_seconds`: how far the client may lie above it, where half of its mean is less; infinite: any distance.
    """
    count = buckets[-1][1]
    server_mean, client_mean = sum_seconds / count, float(np.mean(client))
    on_top, allowed = client_mean - server_mean, max(network_seconds, _ON_TOP_SHARE * server_mean)
    same = count == len(client)
    note = f"{on_top * 1e3:+.1f} ms at the client: network and queue"
    broken = _impossible(client, buckets)
    if broken:
        note = f"{broken}: a clock is wrong, or these are not the same requests"
    elif same and on_top < -_CLOCK_SECONDS:
        broken = note = f"the client's mean is {-on_top * 1e3:.1f} ms below the server's: a clock is wrong"
    elif on_top > allowed:
        broken = note = (
            f"the client waited {on_top * 1e3:.0f} ms longer than the server says, {allowed * 1e3:.0f} ms are allowed: "
            "requests queue where the server does not look, or the network or the client is slow"
        )
    elif not same:
        note += f"; the server has {count - len(client):.0f} more, of which the client saw no token"
    return Reconciled(what, round(client_mean * 1e3, 3), round(server_mean * 1e3, 3), not broken, note)


def _impossible(client: Floats, buckets: Sequence[tuple[float, float]]) -> str:
    """The edge by which the client had seen more first tokens than the server had sent; empty: none."""
    ordered = np.sort(client)
    for edge, sent in buckets:
        seen = int(np.searchsorted(ordered, edge - _CLOCK_SECONDS, side="right"))
        if seen > sent:
            return f"by {edge:g} s the client had {seen} first tokens, the server {sent:.0f}"
    return ""
