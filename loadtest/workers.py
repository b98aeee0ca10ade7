"""The conductor's side of a probe: sends it to every worker, follows it to its end; it plans and judges nothing.

Speaks through locust's runner, a master's or a local one, and needs it for messages and for who is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import gevent

from loadtest.gathered import Gathered, Live, ProbeBroken, Run, RunStopped, WorkerLost
from loadtest.probe import Probe
from loadtest.pulse import CUT_MESSAGE, PROBE_MESSAGE, PULSE_MESSAGE, PULSE_SECONDS, Pulse

__all__ = ["Live", "ProbeBroken", "Run", "RunStopped", "WorkerLost", "Workers"]

_LOCAL = "local"
_THERE = ("ready", "spawning", "running")
_SPAWN_SECONDS = 60.0


class Runner(Protocol):
    """What is needed of locust's runner. A master's has `clients` and `get_worker_index` too."""

    state: str
    target_user_count: int

    def register_message(self, msg_type: str, listener: Callable[..., None], concurrent: bool = False) -> None:
        """Call `listener(environment=…, msg=…)` for each."""

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        """To one worker."""


class Workers:
    """All worker processes of this run; in a local run this process is the one."""

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.perf_counter) -> None:
        self._runner, self._clock = runner, clock
        self._gathered: Gathered | None = None
        runner.register_message(PULSE_MESSAGE, self._on_pulse)

    def run(self, probe: Probe, watch: Callable[[Live], str]) -> Run:
        """Run it to its end. `watch` looks every half second and gives a reason to cut it, or "".

        Raises `WorkerLost` and `RunStopped`; the other workers are cut then.
        """
        names = self._spawned()
        gathered = self._gathered = Gathered(probe.number, names, self._clock)
        try:
            for share, name in enumerate(names):
                message = replace(probe, share=share, shares=len(names)).to_message()
                self._runner.send_message(PROBE_MESSAGE, message, client_id=name)
            return self._followed(gathered, watch)
        except BaseException:
            self._cut(names)
            raise
        finally:
            self._gathered = None

    def _followed(self, gathered: Gathered, watch: Callable[[Live], str]) -> Run:
        cut_at, reason = 0.0, ""
        while not gathered.wait(PULSE_SECONDS):
            there = set(self._there())
            gathered.check(there)
            self._check_state()
            live = gathered.live()
            if not reason and (reason := watch(live)):
                cut_at = live.seconds
                self._cut(there)
        # Whoever stops locust ends the stations' probes too: as whole ones, by their pulses.
        self._check_state()
        return gathered.run(reason, cut_at)

    def _check_state(self) -> None:
        if self._runner.state not in _THERE:
            raise RunStopped("locust was stopped")

    def _spawned(self) -> list[str]:
        """The workers once all users are there."""
        with gevent.Timeout(_SPAWN_SECONDS, WorkerLost(f"the users were not there after {_SPAWN_SECONDS:.0f} s")):
            while self._runner.state != "running":
                self._check_state()
                gevent.sleep(0.05)
        names = self._there()
        if not names:
            raise WorkerLost("no worker is left")
        if self._runner.target_user_count < len(names):
            raise WorkerLost(f"{len(names)} workers and fewer users: raise max_in_flight to at least that")
        return names

    def _there(self) -> list[str]:
        clients: Mapping[str, Any] | None = getattr(self._runner, "clients", None)
        if clients is None:
            return [_LOCAL]
        index: Callable[[str], int] = self._runner.get_worker_index  # type: ignore[attr-defined]
        return sorted((name for name, client in clients.items() if client.state in _THERE), key=index)

    def _cut(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            self._runner.send_message(CUT_MESSAGE, {}, client_id=name)

    def _on_pulse(self, msg: Any, **_: Any) -> None:
        if self._gathered is not None:
            self._gathered.take(msg.node_id, Pulse.from_message(msg.data))
