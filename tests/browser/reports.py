"""Runs of every shape that a report has to cope with, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from loadtest.plan import TrafficClass
from loadtest.records import ROW, Rows
from loadtest.results import CrossCheck, Result, Series
from loadtest.slo import Fault
from tests.support.load_run import World, run

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


def plain() -> tuple[Result, Rows]:
    return run(World(3000))


def bare() -> tuple[Result, Rows]:
    """Nothing could be scraped and nothing was measured idle."""
    result, rows = plain()
    return replace(result, floors=(), series=Series(), cost=None, crosscheck=CrossCheck(False), notes=()), rows


def one_token() -> tuple[Result, Rows]:
    """Answers of a single token: no TPOT at all."""
    result, rows = plain()
    rows["output_tokens"] = rows["first_tokens"]
    return result, rows


def one_probe() -> tuple[Result, Rows]:
    result, rows = plain()
    probe = result.probes[2]
    return replace(result, probes=(probe,), goodputs=()), rows[rows["probe"] == probe.number]


def withheld() -> tuple[Result, Rows]:
    result, rows = plain()
    reason = "send lag p99 was 31 ms, above 5 ms: start more workers"
    limited = tuple(replace(p, client=replace(p.client, reasons=(reason,))) for p in result.probes)
    return replace(result, probes=limited, goodputs=tuple(replace(g, withheld=reason) for g in result.goodputs)), rows


def two_targets() -> tuple[Result, Rows]:
    classes = (TrafficClass(), TrafficClass(slo="code-relaxed", ttft_seconds=0.8), TrafficClass(slo="code"))
    return run(World(8000, targets=2, classes=classes))


def no_limits() -> tuple[Result, Rows]:
    return run(World(3000, classes=(TrafficClass(slo="batch"),)))


def all_failed() -> tuple[Result, Rows]:
    """Not one token."""
    result, rows = plain()
    rows["fault"], rows["first"], rows["last"] = Fault.ERROR, np.nan, np.nan
    return result, rows


def nothing() -> tuple[Result, Rows]:
    """Stopped before the first probe."""
    result, _ = bare()
    return replace(result, probes=(), goodputs=()), np.empty(0, ROW)


def hostile() -> tuple[Result, Rows]:
    """Whatever a server or a plan can name tries to get out of its place."""
    result, rows = plain()
    rows["detail"] = HOSTILE[:24].encode()
    plan = {**result.plan, "targets": [{**result.plan["targets"][0], "name": HOSTILE, "model": HOSTILE}]}
    return replace(result, plan=plan, notes=(HOSTILE,), machine={HOSTILE: HOSTILE}), rows


SHAPES = (plain, bare, one_token, one_probe, withheld, two_targets, no_limits, all_failed, nothing, hostile)
