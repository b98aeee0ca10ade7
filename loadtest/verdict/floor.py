"""Which requests can never meet an SLO, from an idle server's TTFT by prompt length; it measures nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loadtest.slo import Slo


def fit(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """(base_seconds, per_token_seconds) of TTFT = base + per_token * prompt_tokens, neither below 0.

    Median of the slopes between all pairs (Theil-Sen): one disturbed point does not tilt the line.
    Prompts of one length only give a base. Raises ValueError without points.
    """
    if not points:
        raise ValueError("the feasibility floor needs at least one (prompt_tokens, ttft_seconds)")
    tokens, seconds = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    one, other = np.triu_indices(len(tokens), 1)
    apart = tokens[one] != tokens[other]
    one, other = one[apart], other[apart]
    slopes = (seconds[other] - seconds[one]) / (tokens[other] - tokens[one])
    per_token = max(float(np.median(slopes)), 0.0) if len(slopes) else 0.0
    base = float(np.median(seconds - per_token * tokens))
    if base >= 0:
        return base, per_token
    through_origin = seconds[tokens > 0] / tokens[tokens > 0]
    return 0.0, max(float(np.median(through_origin)), 0.0)


def infeasible_share(
    prompt_tokens: npt.NDArray[np.int64], slo: Slo, base_seconds: float, per_token_seconds: float, tpot_seconds: float
) -> float:
    """Share of the prompts whose answer misses `slo` on a server that does nothing else; 0 where there are none.

    `tpot_seconds` NaN: it could not be measured and rules nothing out.
    """
    if slo.tpot_seconds is not None and tpot_seconds > slo.tpot_seconds:
        return 1.0
    ttft = base_seconds + per_token_seconds * prompt_tokens.astype(np.float64)
    limits = [limit for limit in (slo.ttft_seconds, slo.e2e_seconds) if limit is not None]
    if not limits or not len(ttft):
        return 0.0
    return float(np.mean(ttft > min(limits)))
