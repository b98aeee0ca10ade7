"""The requests that missed their SLO by most, with the steps of each; how far is a ratio to the limit it missed."""

from __future__ import annotations

from typing import Any

import numpy as np

from loadtest.report.judged import Judged
from loadtest.results import Result
from loadtest.slo import Outcome
from loadtest.verdict.measures import Floats

WORST = 20
_LIMITS = ("TTFT", "TPOT", "end to end")


def waterfall(result: Result, found: Judged) -> list[dict[str, Any]]:
    """Times in seconds from the scheduled arrival; None: it never came so far."""
    judged = np.flatnonzero(found.in_window & (found.outcome != Outcome.CUT) & np.isfinite(found.rows["ended"]))
    ratios = _ratios(found)[:, judged]
    excess = np.nanmax(np.vstack([ratios, np.zeros(len(judged))]), axis=0)
    if not excess.any():
        excess = found.e2e[judged]
    order = np.argsort(-excess, kind="stable")[:WORST]
    return [_request(result, found, int(judged[at]), ratios[:, at].tolist()) for at in order]


def _ratios(found: Judged) -> Floats:
    """TTFT, TPOT and end to end over their limits, a line each; NaN where there is no limit.

    A request without a first token has waited for it until it ended.
    """
    limits = np.array(
        [[slo.ttft_seconds, slo.tpot_seconds, slo.e2e_seconds] for slo in found.classes], dtype=np.float64
    )[found.rows["slo"]]
    waited = np.where(np.isnan(found.ttft), found.e2e, found.ttft)
    ratios: Floats = np.vstack([waited, found.tpot, found.e2e]) / limits.T
    return ratios


def _request(result: Result, found: Judged, at: int, ratios: list[float]) -> dict[str, Any]:
    row, probe = found.rows[at], result.probes[int(found.probe[at])]
    beyond, limit = max(
        ((ratio, name) for ratio, name in zip(ratios, _LIMITS, strict=True) if ratio == ratio), default=(None, "")
    )
    slo = found.classes[int(row["slo"])]
    steps = {name: _since(row, name) for name in ("sent", "first", "last", "ended")}
    return {
        **steps,
        "outcome": int(found.outcome[at]),
        "beyond": None if beyond is None else round(float(beyond), 3),
        "limit": limit,
        "slo": slo.name,
        "ttft_limit": slo.ttft_seconds,
        "probe": probe.number,
        "target": probe.target,
        "rate": probe.offered_rate,
        "session": int(row["session"]),
        "turn": int(row["turn"]),
        "prompt": int(row["prompt_tokens"]),
        "output": int(row["output_tokens"]),
        "stall": _rounded(float(row["stall"])),
        "status": int(row["status"]),
        "detail": row["detail"].decode("utf-8", "replace"),
    }


def _since(row: Any, name: str) -> float | None:
    return _rounded(float(row[name]) - float(row["scheduled"]))


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
