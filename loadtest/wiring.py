"""Hangs a load test into locust's events: the option, a station in each worker, a conductor in the master.

It knows who is what in a local run, with --processes, with --master and --worker (each given the plan), headless and
with the web UI; it decides nothing of a run.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import LocalRunner, Runner, WorkerRunner
from pydantic import ValidationError

from loadtest import web
from loadtest.client.faults import ClientError
from loadtest.live import Live
from loadtest.plan import Plan
from loadtest.pulse import listen
from loadtest.selfcheck import raise_priority
from loadtest.station import Station
from loadtest.supply import PlannedSupply
from loadtest.users import request_events
from loadtest.workers import ProbeBroken, Workers

Conduct: TypeAlias = Callable[[Plan, Workers, Live], int]
"""Runs a plan; gives the exit status."""

PLAN_VARIABLE = "TIDEGATE_BENCH_PLAN"
WRONG_PLAN = 2
_REPORT_SECONDS = 60.0
UNFINISHED = 3
"""Until the conductor says otherwise: a run that was interrupted has no verdict."""

logger = logging.getLogger(__name__)


def wire(conduct: Conduct) -> None:
    """Call it while locust loads the locustfile; `conduct` runs in the master once the test starts."""

    def on_init(environment: Environment, runner: Runner, **_: Any) -> None:
        try:
            _take_part(environment, runner, conduct)
        except (ClientError, OSError) as error:
            sys.stderr.write(f"tidegate bench: error: {error}\n")
            sys.exit(WRONG_PLAN)

    events.init_command_line_parser.add_listener(_add_options)
    events.init.add_listener(on_init)


def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--plan",
        metavar="FILE",
        include_in_web_ui=False,
        help=f"JSON of a loadtest.plan.Plan; the variable {PLAN_VARIABLE} with the JSON itself wins",
    )


def _take_part(environment: Environment, runner: Runner, conduct: Conduct) -> None:
    plan = _plan(environment.parsed_options.plan)
    is_worker, is_local = isinstance(runner, WorkerRunner), isinstance(runner, LocalRunner)
    if is_worker or is_local:
        _become_worker(environment, runner, plan)
    if not is_worker:
        _become_conductor(environment, runner, plan, conduct)


def _plan(path: str | None) -> Plan:
    text = os.environ.get(PLAN_VARIABLE)
    if not text and not path:
        raise ClientError(f"there is no plan: give --plan FILE, or its JSON in {PLAN_VARIABLE}")
    try:
        return Plan.model_validate_json(text or Path(path or "").read_bytes())
    except ValidationError as wrong:
        # Neither the values nor the text: keys may be among them.
        said = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in wrong.errors())
        raise ClientError(f"the plan: {said}") from None


def _become_worker(environment: Environment, runner: Runner, plan: Plan) -> None:
    station = Station(plan, PlannedSupply(plan), time.perf_counter, request_events(environment, plan))
    environment.goodput_station = station
    listen(runner, station)
    environment.events.test_stopping.add_listener(lambda **_: station.cut())
    if not raise_priority():
        logger.info("not allowed to raise the priority of this process: a busy machine may make it late")
    if isinstance(runner, WorkerRunner):
        # Requests that fail are a finding, not a failure of the worker.
        environment.process_exit_code = 0


def _become_conductor(environment: Environment, runner: Runner, plan: Plan, conduct: Conduct) -> None:
    options = environment.parsed_options
    options.num_users = options.num_users or plan.max_in_flight
    if not options.spawn_rate:
        options.spawn_rate = plan.max_in_flight
        # Our users wait for the station and send nothing as they are spawned: the warning does not concern them.
        logging.getLogger("locust.runners").addFilter(lambda said: "spawn rate is very high" not in str(said.msg))
    workers, live = Workers(runner), Live(plan)
    web.install(environment, live)
    conductor = _Conductor(environment, lambda: conduct(plan, workers, live))
    environment.events.test_start.add_listener(conductor.start)
    environment.events.quitting.add_listener(conductor.finish)
    gevent.signal_handler(signal.SIGINT, conductor.interrupt)


class _Conductor:
    """The greenlet of a run, and what follows from its end. A start ends the run before, if it still goes on."""

    def __init__(self, environment: Environment, conducted: Callable[[], int]) -> None:
        self._environment, self._conducted = environment, conducted
        self._greenlet: Any = None

    def start(self, **_: Any) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
        self._environment.process_exit_code = UNFINISHED
        self._greenlet = gevent.spawn(self._run)

    def interrupt(self) -> None:
        """Ctrl-C; a second one is Python's own. It would else be raised in whatever greenlet happens to run."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.finish()
        self._environment.runner.quit()
        if self._environment.web_ui is not None:
            self._environment.web_ui.stop()

    def finish(self, **_: Any) -> None:
        """Before locust ends, what was measured until now is judged and written."""
        if self._greenlet is not None and not self._greenlet.dead:
            self._environment.runner.stop()
            self._greenlet.join(_REPORT_SECONDS)

    def _run(self) -> None:
        try:
            self._environment.process_exit_code = self._conducted()
        except ProbeBroken as broken:
            logger.error("no verdict: %s", broken)
        finally:
            self._end()

    def _end(self) -> None:
        runner = self._environment.runner
        if self._environment.web_ui is None:
            runner.quit()
        else:
            runner.stop()
