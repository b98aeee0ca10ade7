"""requests.csv and probes.csv: rows for other tools, times in seconds; an absent figure is an empty cell."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.plan import Plan
from loadtest.records import ROW, Rows
from loadtest.report.judged import Judged, judged
from loadtest.report.words import target_name
from loadtest.results import ProbeResult, Result
from loadtest.slo import Fault, Outcome

_BLOCK = 50_000
_SPREADS = ("ttft", "ttft_net", "tpot", "e2e", "stall")
_QUANTILES = ("mean", "p50", "p90", "p95", "p99", "max")


def write_requests(path: Path, result: Result, rows: Rows) -> None:
    """One line per request, warm-up too: `judged` says which count. Fault and outcome are words."""
    found = judged(result, rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(ROW.names or ()), "ttft", "ttft_net", "tpot", "e2e", "outcome", "judged"])
        for at in range(0, len(rows), _BLOCK):
            writer.writerows(zip(*_columns(found, slice(at, at + _BLOCK)), strict=True))


def _columns(found: Judged, block: slice) -> list[list[Any]]:
    part = found.rows[block]
    columns = [_column(found, part, name) for name in ROW.names or ()]
    net = part["first"] - part["sent"]
    for measure in (found.ttft[block], net, found.tpot[block], found.e2e[block]):
        columns.append(_floats(measure))
    columns.append([Outcome(code).name.lower() for code in found.outcome[block].tolist()])
    columns.append(found.in_window[block].astype(int).tolist())
    return columns


def _column(found: Judged, part: Rows, name: str) -> list[Any]:
    values = part[name]
    if name == "slo":
        return [found.classes[code].name for code in values.tolist()]
    if name == "fault":
        return [Fault(code).name.lower() for code in values.tolist()]
    if name == "detail":
        return [_word(word.decode("utf-8", "replace")) for word in values.tolist()]
    if values.dtype.kind == "f":
        return _floats(values)
    return ["" if value == -1 else value for value in values.tolist()]


def _floats(values: Any) -> list[Any]:
    return ["" if value != value else value for value in np.round(values, 6).tolist()]


def _word(text: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def write_probes(path: Path, result: Result) -> None:
    """One line per probe."""
    plan = Plan.model_validate(result.plan)
    quantiles = sorted({quantile for probe in result.probes for quantile in probe.verdicts})
    lines = [_probe(plan, probe, quantiles) for probe in result.probes]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(_probe_names(quantiles)))
        writer.writeheader()
        writer.writerows(lines)


def _probe_names(quantiles: list[str]) -> list[str]:
    plain = (
        "probe target offered_rate scheduled_rate window_seconds good_rate attainment attainment_low attainment_high"
    )
    spreads = [f"{spread}_{quantile}" for spread in _SPREADS for quantile in _QUANTILES]
    rest = "undefined_tpot output_tokens send_lag_p99 loop_lag_p99 cpu_share late dropped withheld"
    rest += " ended_early began_unix seconds"
    outcomes = [code.name.lower() for code in Outcome]
    return [*plain.split(), *outcomes, *spreads, *rest.split(), *(f"verdict_{quantile}" for quantile in quantiles)]


def _probe(plan: Plan, probe: ProbeResult, quantiles: list[str]) -> dict[str, Any]:
    held, client = probe.attainment, probe.client
    line = {
        "probe": probe.number,
        "target": _word(target_name(plan, probe.target)),
        **{name: getattr(probe, name) for name in ("offered_rate", "scheduled_rate", "window_seconds", "good_rate")},
        **{"attainment": held.value, "attainment_low": held.low, "attainment_high": held.high},
        **{code.name.lower(): probe.outcomes.get(code.name.lower(), 0) for code in Outcome},
        **{f"{name}_{q}": getattr(getattr(probe, name), q) for name in _SPREADS for q in _QUANTILES},
        **{name: getattr(probe, name) for name in ("undefined_tpot", "output_tokens", "began_unix", "seconds")},
        **{"send_lag_p99": client.send_lag_p99_seconds, "loop_lag_p99": client.loop_lag_p99_seconds},
        **{name: getattr(client, name) for name in ("cpu_share", "late", "dropped")},
        "withheld": _word("; ".join(client.reasons)),
        "ended_early": _word(probe.ended_early),
        **{f"verdict_{quantile}": probe.verdicts.get(quantile, "") for quantile in quantiles},
    }
    return {name: _finite(value) for name, value in line.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else ""
    return value
