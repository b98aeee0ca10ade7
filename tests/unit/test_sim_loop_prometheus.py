"""The simulated Prometheus against the real one's own evaluation of the same queries over the same series."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import yaml

from autoscale import signals
from autoscale.simulate.fleet import Sample
from autoscale.simulate.prometheus import Name, Prometheus, Unreachable, exposed
from autoscale.simulate.prometheus_eval import instant
from autoscale.simulate.prometheus_query import QueryError
from tests.support.tiers import require

STEP_SECONDS = 5
SCRAPES = 240
GONE = range(100, 125)
"""Scrapes at which no engine is ready."""


@cache
def world() -> list[dict[Name, float]]:
    """Twenty minutes: load that doubles, a queue, engines that are gone for two minutes."""
    rng = np.random.default_rng(4)
    prefill = np.cumsum(rng.poisson(2000, SCRAPES) * (1 + (np.arange(SCRAPES) > 150))).astype(float)
    ttft = np.cumsum(rng.multinomial(40, [0.01, 0.03, 0.06, 0.2, 0.3, 0.3] + [0.01] * 10, SCRAPES), axis=0)
    return [
        exposed(
            Sample(
                at=at * STEP_SECONDS, offered_prefill_tokens=prefill[at], offered_decode_tokens=prefill[at] / 5,
                queued_prefill_tokens=float(at * 17 % 400), queued_decode_tokens=float(at * 7 % 90), waiting=at % 9,
                oldest_wait_seconds=0.1, arrived=at, rejected=0, slo_good=at - at % 40 // 4, slo_total=at,
                ttft_counts=ttft[at], tpot_over=0, prefilled_tokens=0, generated_tokens=0, running=at % 30,
                engine_waiting=at % 4, kv_usage=0.2 + at / 1000, ready=0 if at in GONE else 3,
            ),
            "chat",
        )
        for at in range(SCRAPES)
    ]  # fmt: skip


@cache
def scraped() -> Prometheus:
    prometheus = Prometheus()
    for place, series in enumerate(world()):
        prometheus.scrape(place * STEP_SECONDS, series)
    return prometheus


def simulated(query: str, at: float) -> list[float]:
    return instant(scraped(), query, at)


def series_lines() -> list[dict[str, str]]:
    scrapes = world()
    return [
        {
            "series": name[0] + "{" + ",".join(f'{label}="{value}"' for label, value in name[1]) + "}",
            "values": " ".join(str(float(series[name])) if name in series else "stale" for series in scrapes),
        }
        for name in {name for series in scrapes for name in series}
    ]


@cache
def asked() -> dict[tuple[str, int], list[float]]:
    """What promtool evaluates: it is told to expect nothing, and says what it got instead."""
    require("promtool", shutil.which("promtool") is not None)
    cases = [{"expr": query, "eval_time": f"{at}s", "exp_samples": []} for query in QUERIES for at in MOMENTS]
    text = {
        "evaluation_interval": "5s",
        "tests": [{"interval": f"{STEP_SECONDS}s", "input_series": series_lines(), "promql_expr_test": cases}],
    }
    with TemporaryDirectory() as folder:
        file = Path(folder, "test.yml")
        file.write_text(yaml.safe_dump(text), encoding="utf-8")
        command = ["promtool", "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = re.findall(r"expr: (\".*\"), time: (\S+),\n\s+exp: nil\n\s+got:(.*)", done.stdout + done.stderr)
    assert len(said) > len(cases) / 2, done.stderr
    got = {
        (json.loads(expr), seconds(time)): [float(value) for value in re.findall(r"\} ([^\s,]+)", values)]
        for expr, time, values in said
    }
    return {(query, at): got.get((query, at), []) for query in QUERIES for at in MOMENTS}


def seconds(time: str) -> int:
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", time))


MOMENTS = (3, 62, 523, 618, 1192)
SIGNALS = signals.load()
# No window here begins on a sample: Prometheus 2 counts that one and 3 does not, nor does the simulated one.
QUERIES = [SIGNALS.query(name, "front", {"model": "chat"}) for name in SIGNALS.signals] + [
    'max_over_time(sum(rate(tidegate_offered_tokens_total{model="chat",kind="prefill"}[58s]))[5m:15s])',
    'clamp_min(sum(rate(tidegate_offered_tokens_total{model="chat"}[2m])), 1e9)',
    'avg(vllm:kv_cache_usage_perc{model_name="chat"})',
    'avg_over_time(tidegate_requests_waiting{model="chat"}[45s])',
    'sum(increase(tidegate_offered_tokens_total{model="other"}[1m])) or vector(0)',
    'sum(rate(tidegate_offered_tokens_total[1m])) > bool 0',
    '(sum(rate(tidegate_offered_tokens_total[1m])) > 1e12) or on() vector(-3)',
    'sum(tidegate_requests_waiting) and on() (max(tidegate_engines_ready) > 0)',
]  # fmt: skip


@pytest.mark.promtool
@pytest.mark.parametrize("at", MOMENTS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_has_the_value_that_prometheus_gives_it(query: str, at: int) -> None:
    assert simulated(query, at) == pytest.approx(asked()[query, at], rel=1e-9, nan_ok=True)


def test_a_subquery_that_is_asked_while_samples_come_is_worth_what_it_is_worth_afterwards() -> None:
    query = SIGNALS.query("overrated", "front", {"model": "chat"})
    prometheus, asked_for = Prometheus(), {}
    for place, series in enumerate(world()):
        prometheus.scrape(place * STEP_SECONDS, series)
        asked_for[place * STEP_SECONDS] = instant(prometheus, query, place * STEP_SECONDS)
    assert asked_for == {at: simulated(query, at) for at in asked_for}
    assert len({value for found in asked_for.values() for value in found}) > 1


def test_engines_that_are_gone_leave_no_gauge_behind() -> None:
    query = 'avg(vllm:kv_cache_usage_perc{model_name="chat"})'
    assert len(simulated(query, GONE.start * STEP_SECONDS - 1)) == 1
    assert simulated(query, GONE.start * STEP_SECONDS + 1) == []


def test_an_outage_answers_nothing_and_leaves_a_hole_in_what_was_scraped() -> None:
    prometheus = Prometheus()
    for place, series in enumerate(world()):
        prometheus.reachable = not 400 <= place * STEP_SECONDS < 800
        prometheus.scrape(place * STEP_SECONDS, series)
    prometheus.reachable = False
    with pytest.raises(Unreachable):
        instant(prometheus, "tidegate_requests_waiting", 900)
    prometheus.reachable = True
    assert instant(prometheus, "sum(rate(tidegate_offered_tokens_total[1m]))", 790) == []
    assert instant(prometheus, "sum(tidegate_requests_waiting)", 690) == [79 % 9]
    assert instant(prometheus, "sum(tidegate_requests_waiting)", 796) == []


@pytest.mark.parametrize(
    "query", ["sum(", "rate(a[1m)", "rate(a+b[1m])", 'a{b=~"c"}', "absent(a)", "label_replace(a[1m])", "a b"]
)
def test_a_query_beyond_the_subset_is_an_error_and_not_a_number(query: str) -> None:
    with pytest.raises(QueryError):
        simulated(query, 100)
