"""The only wiring: settings become the front tier's steps, their adapters and two listening ports."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import uvloop
from prometheus_client.metrics_core import Metric

from serving import background
from serving.adapters import known_keys
from serving.adapters.engines.directory import EngineDirectory
from serving.adapters.engines.http import EnginePool, Patience
from serving.adapters.log_lines import LogLines
from serving.draining import Drain, drain
from serving.errors import SettingsError
from serving.front import admin, flow, ticks
from serving.front.attempt import Attempts
from serving.front.auth import Auth
from serving.front.budget import Budget
from serving.front.cold import app as api
from serving.front.deadlines import Limits
from serving.front.demand import Demand
from serving.front.edge import Edge
from serving.front.hold import Hold
from serving.front.hot import HotProtocol
from serving.front.ids import minter
from serving.front.ledger import Counting, Ledger
from serving.front.readiness import Readiness
from serving.front.retries import RetryBudget
from serving.front.route import Endpoint, Fleet
from serving.front.slo import Slo
from serving.front.state.running import Running
from serving.front.steps import Steps
from serving.keeping import KeptState
from serving.metrics import FrontMetrics
from serving.servers import Listener, Signals
from serving.settings import FrontSettings, Settings

_log = logging.getLogger("tidegate.front")
_clock = time.monotonic
_mint = minter()
new_request_id = partial(_mint, "req")


def run_front(settings: Settings, *, on_ready: Callable[[], None] = lambda: None) -> int:
    """Serve until a signal; returns the exit status. Raises `SettingsError` before anything listens."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    for talkative in ("uvicorn", "aiobotocore", "botocore"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    status: int = uvloop.run(Front(settings.front).serve(on_ready))
    return status


class Front:
    """One replica. Owns its parts from start to stop."""

    def __init__(self, settings: FrontSettings) -> None:
        if not (settings.engines or settings.ray_serve or settings.endpoint_slices):
            raise SettingsError(
                "front.engines", "no engine is configured: give --engine URL, --ray-serve URL or --endpoint-slices NAME"
            )
        self._settings = settings
        secret = (settings.cache_salt_secret or secrets.token_hex(16)).encode()
        self._keys = known_keys.read(settings.api_keys, settings.keys_file, secret, settings.slo)
        self._fleet = Fleet(_clock, settings.retry.cooldown_seconds, settings.models)
        self._hold = Hold(settings.hold, _clock, lambda then: asyncio.get_running_loop().call_soon(then))
        self._readiness = Readiness(self._fleet, waits=bool(settings.models and settings.hold.seconds))
        self._lines = LogLines(sys.stdout.fileno()) if settings.request_log else None
        self._metrics = FrontMetrics(self._gauges, self._keys.teams())
        self._demand = Demand(self._metrics, settings.slo, _clock)
        self._demand.know(settings.models)
        self._state: KeptState | None = None
        self._clients: Listener | None = None
        self._running = Running(_clock, settings.timeouts.total_seconds)

    async def serve(self, on_ready: Callable[[], None]) -> int:
        settings, loop = self._settings, asyncio.get_running_loop()
        signals = Signals(loop)
        times = settings.timeouts
        patience = Patience(
            times.connect_seconds, times.first_byte_seconds, times.idle_seconds, times.engine_keep_alive_seconds
        )
        state = self._state = await KeptState.open(settings, _mint, self._running)
        pool = EnginePool(_clock, patience, loop, settings.engine_api_key)
        directory = EngineDirectory(pool, settings, self._take_over)
        auth = Auth(self._keys, time.time)
        clients = self._clients = self._client_listener(auth, self._steps(auth, pool, state), state)
        operators = self._admin_listener()
        # What lives as long as the process need not be looked through again.
        gc.collect()
        gc.freeze()
        await clients.start()
        await operators.start()
        self._readiness.tell(on_ready)
        tasks = background.start(engine_directory=directory.run(), tick=self._tick(pool), purge=state.purge())
        await signals.first.wait()
        await self._drain(clients, signals)
        for task in tasks:
            task.cancel()
        await operators.stop(within_seconds=1)
        pool.close()
        await state.close()
        if self._lines is not None:
            self._lines.flush()
        return 0

    def _steps(self, auth: Auth, pool: EnginePool, state: KeptState) -> Steps:
        settings, retry = self._settings, self._settings.retry
        slo = Slo(settings.slo, settings.default_slo_class)
        attempts = Attempts(pool, self._fleet, RetryBudget(retry.budget_ratio), retry)
        return Steps(
            auth=auth,
            budget=Budget(_clock),
            slo=slo,
            demand=self._demand,
            fleet=self._fleet,
            hold=self._hold,
            attempts=attempts,
            keeping=state.keeping(self._fleet, attempts, _clock),
            ledger=Ledger(Counting(self._metrics, self._demand, slo), self._lines, _clock, time.time),
            limits=settings.limits,
            clock=_clock,
        )

    def _client_listener(self, auth: Auth, steps: Steps, state: KeptState) -> Listener:
        settings, times = self._settings, self._settings.timeouts
        edge = Edge(
            flow=partial(flow.serve, steps),
            identify=auth.identify,
            new_id=new_request_id,
            clock=_clock,
            body_bytes=settings.limits.body_bytes,
            head_bytes=settings.limits.head_bytes,
            waits=Limits(times.head_seconds, times.write_seconds, times.keep_alive_seconds),
            total_seconds=times.total_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            is_leaving=lambda: self._readiness.is_leaving,
        )
        return Listener(
            api.create(auth, self._fleet, self._readiness.is_ready, new_request_id, state.state()),
            "front.port",
            settings.host,
            settings.port,
            protocol=partial(HotProtocol, edge),
        )

    def _admin_listener(self) -> Listener:
        app = admin.create(admin.registry(self._metrics), self._fleet, self._readiness.is_ready, new_request_id)
        settings = self._settings
        return Listener(app, "front.admin_port", settings.admin_host, settings.admin_port)

    def _take_over(self, endpoints: tuple[Endpoint, ...]) -> None:
        gone = {endpoint.id for endpoint in self._fleet.endpoints} - {endpoint.id for endpoint in endpoints}
        self._fleet.replace(endpoints)
        self._demand.know(self._fleet.models())
        self._hold.look(self._fleet.ready)
        for engine in gone:
            self._metrics.forget_engine(engine)
        self._readiness.look()

    def _gauges(self) -> Iterator[Metric]:
        redis_is_up = self._state.redis_is_up if self._state is not None else None
        return admin.gauges(self._fleet, self._demand.needs(), self._in_flight, self._readiness.is_ready, redis_is_up)

    def _in_flight(self) -> int:
        connections = self._clients.connections if self._clients is not None else []
        return sum(connection.is_running for connection in connections) + self._running.alone

    async def _tick(self, pool: EnginePool) -> None:
        period = ticks.period_seconds(self._settings)
        while True:
            await asyncio.sleep(period)
            now = _clock()
            pool.tick()
            self._hold.tick(self._fleet.ready)
            self._running.tick()
            for connection in self._clients.connections if self._clients is not None else ():
                connection.tick(now)
            if self._lines is not None:
                self._lines.flush()

    async def _drain(self, clients: Listener, signals: Signals) -> None:
        self._readiness.end()
        _log.info("draining: %d requests in flight", self._in_flight())
        times = Drain(self._settings.drain_delay_seconds, self._settings.drain_seconds)
        await drain(times, clients, self._running, signals, _clock)
