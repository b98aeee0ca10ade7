"""Whether the client itself was the limit, in sentences that withhold a verdict; it knows no server and no SLO."""

from __future__ import annotations

import numpy as np

from loadtest.results import ClientCheck
from loadtest.verdict.measures import Floats

_LAG_SECONDS = 0.005
_CPU_SHARE = 0.9


def check(
    send_lag_seconds: Floats, loop_lag_p99_seconds: float, cpu_share: float, late: int, dropped: int
) -> ClientCheck:
    """`send_lag_seconds` are those of the requests that count; NaN in any figure means that it was not measured."""
    known = send_lag_seconds[np.isfinite(send_lag_seconds)]
    send_lag = float(np.quantile(known, 0.99)) if len(known) else float("nan")
    reasons = []
    if send_lag > _LAG_SECONDS:
        reasons.append(
            f"The client sent its requests late: 1 % of them by {send_lag * 1e3:.1f} ms or more after their time "
            f"(5 ms are allowed). Give it more --processes, or a machine of its own."
        )
    if loop_lag_p99_seconds > _LAG_SECONDS:
        reasons.append(
            f"The client's event loop stalled: p99 of its lag is {loop_lag_p99_seconds * 1e3:.1f} ms (5 ms are "
            f"allowed), so its times are not the server's. Give it more --processes, or a machine of its own."
        )
    if cpu_share > _CPU_SHARE:
        reasons.append(
            f"The client's busiest process used {cpu_share * 100:.0f} % of a core (90 % are allowed). "
            f"Give it more --processes."
        )
    if dropped > 0:
        reasons.append(
            f"{dropped} arrivals were never sent, since no user of the client was free in time. Raise max_in_flight."
        )
    return ClientCheck(send_lag, loop_lag_p99_seconds, cpu_share, late, dropped, tuple(reasons))
