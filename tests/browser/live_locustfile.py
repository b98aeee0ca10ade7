"""A locustfile whose run is played: snapshots by GET /play/<scene>, so that a browser can be shown any of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from locust import User, events, task

import loadtest.web
from loadtest.live import Live, Running, Snapshot
from loadtest.plan import Plan, Target
from loadtest.results import Check, ClientCheck, Goodput, Interval, ProbeResult, Spread

CLIENT = ClientCheck(0.001, 0.001, 0.2, 0, 0)


class Idle(User):
    """locust wants one."""

    @task
    def rest(self) -> None:
        self.environment.runner.greenlet.join(1)


def spread(p50: float) -> Spread:
    return Spread(120, p50, p50, p50 * 1.6, p50 * 1.8, p50 * 2.5, p50 * 3)


def probe(number: int, rate: float, attainment: float, verdict: str) -> ProbeResult:
    early = "the backlog grew" if verdict == "fail" else ""
    interval = Interval(attainment, max(0.0, attainment - 0.04), min(1.0, attainment + 0.02))
    return ProbeResult(
        number=number,
        target=0,
        offered_rate=rate,
        scheduled_rate=rate,
        window_seconds=25,
        outcomes={"good": 100},
        attainment=interval,
        good_rate=rate * attainment,
        ttft=spread(0.1 * rate),
        ttft_net=spread(0.1 * rate),
        tpot=spread(0.02),
        e2e=spread(2),
        stall=spread(0.05),
        undefined_tpot=0,
        output_tokens=1000,
        classes=(),
        client=CLIENT,
        verdicts={"0.95": verdict},
        ended_early=early,
    )


RUNNING = Running(
    number=3,
    target=0,
    rate=3.0,
    seconds=14,
    of_seconds=30,
    warmup_seconds=5,
    outcomes={"good": 41, "slow_ttft": 3, "slow_tpot": 1, "shed": 2, "error": 1},
    attainment=Interval(0.854, 0.73, 0.93),
    ttft=Spread(48, 0.3, 0.21, 0.48, 0.6, 0.91, 1.2),
    tpot=Spread(48, 0.02, 0.021, 0.034, 0.04, float("nan"), 0.07),
    in_flight=9,
    late=1,
    dropped=0,
)
PROBES = (probe(0, 1.0, 1.0, "pass"), probe(1, 2.0, 0.98, "pass"), probe(2, 4.0, 0.61, "fail"))
BRACKET = "goodput at 95 % between 2 and 4 requests per second"
SCENES = {
    "floor": Snapshot("floor", 3.0, 15, "server: idle latency by prompt length"),
    "probe": Snapshot("probe", 104.0, 15, "", BRACKET, RUNNING, PROBES),
    "done": Snapshot(
        phase="done",
        seconds=242.0,
        most_probes=15,
        bracket="goodput at 95 % is 2.8 requests per second",
        probes=(*PROBES, probe(3, 3.0, 0.93, "undecided")),
        goodputs=(
            Goodput(0, 0.90, Interval(3.1, 2.9, 3.4), 3.0, 4.0, 4),
            Goodput(0, 0.95, Interval(2.8, 2.4, 3.0), 2.0, 4.0, 4, per_gpu=1.4),
            Goodput(0, 0.99, Interval(0, 0, 0), 0.0, None, 4, withheld="no rate passed or failed at 99 %"),
        ),
        checks=(
            Check("goodput", True, "2.8/s at 95 %, at least 2/s asked for"),
            Check("cross-check", False, "<b>3</b>"),
        ),
        report=Path(os.environ["LIVE_REPORT"]) if "LIVE_REPORT" in os.environ else None,
    ),
}


@events.init.add_listener
def play(environment: Any, **_: Any) -> None:
    live = Live(Plan(targets=(Target(base_url="http://127.0.0.1:1"),)))
    loadtest.web.install(environment, live)

    def scene(name: str) -> str:
        live.publish(SCENES[name])
        return name

    environment.web_ui.app.add_url_rule("/play/<name>", view_func=scene)
    if environment.web_ui.web_login:
        environment.web_ui.app.secret_key = "of a test"
        environment.web_ui.login_manager.user_loader(lambda _: None)
