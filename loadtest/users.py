"""Locust's view of a worker: users that drain its station, and request events for the stock UI and CSV."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from locust import User

from loadtest.plan import Plan
from loadtest.records import Record, rows
from loadtest.slo import Fault
from loadtest.verdict import measures

if TYPE_CHECKING:
    from locust.env import Environment

_MILLISECONDS = 1e3


def _serve(user: GoodputUser) -> None:
    user.environment.goodput_station.serve_one()


class GoodputUser(User):  # type: ignore[misc]
    """One of the pool: it makes whatever turn is due next. Its station is the environment's."""

    tasks = (_serve,)


class RequestFailed(Exception):
    """What locust's statistics show as the reason of a failure."""


def request_events(environment: Environment, plan: Plan) -> Callable[[Record], None]:
    """Tells locust's listeners of each request: TTFT, TPOT and E2E, by SLO. They round; no verdict reads them."""
    names = [slo.name for slo in plan.slos()]

    def told(record: Record) -> None:
        if record.fault is Fault.CUT:
            return
        found = rows([record])
        failed = RequestFailed(record.detail or record.fault.name.lower()) if record.fault else None
        for kind, measure in (("TTFT", measures.ttft), ("TPOT", measures.tpot), ("E2E", measures.e2e)):
            seconds = float(measure(found)[0])
            if math.isnan(seconds):
                continue
            environment.events.request.fire(
                request_type=kind,
                name=names[record.slo],
                response_time=seconds * _MILLISECONDS,
                response_length=max(0, record.output_tokens),
                exception=failed if kind == "E2E" else None,
                context={},
            )

    return told
