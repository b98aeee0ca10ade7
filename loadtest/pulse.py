"""What a worker sends home every half second of a probe, and the sending; it knows no locust beyond its messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import gevent

from loadtest.probe import Probe

PROBE_MESSAGE = "goodput_probe"
CUT_MESSAGE = "goodput_cut"
PULSE_MESSAGE = "goodput_pulse"
PULSE_SECONDS = 0.5


@dataclass(frozen=True)
class Pulse:
    """Rows and lags are those since the pulse before; the other figures are the whole probe's so far, or of now."""

    probe: int
    share: int
    seconds: float = 0.0
    """Since the probe began; below 0 before it."""
    rows: bytes = b""
    """`records.to_bytes` of the requests that ended."""
    rows_so_far: int = 0
    """Of all pulses, this one's included: shows the receiver whether one was lost."""
    in_flight: int = 0
    waiting: int = 0
    """Turns whose time has not come, or that no user has taken yet."""
    late: int = 0
    dropped: int = 0
    loop_lags: tuple[int, ...] = ()
    """Counts over `selfcheck.EDGES_SECONDS`."""
    cpu_share: float = 0.0
    was_cut: bool = False
    done: bool = False
    error: str = ""
    """Why this worker cannot run its share; empty when it can."""

    def to_message(self) -> dict[str, Any]:
        """For locust's messages."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Pulse:
        """The pulse of `to_message`."""
        return cls(**{**message, "loop_lags": tuple(message["loop_lags"])})


class Runner(Protocol):
    """What is needed of locust's runner."""

    def register_message(self, msg_type: str, listener: Callable[..., None], concurrent: bool = False) -> None:
        """Call `listener(environment=…, msg=…)` for each."""

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        """To the master; in a local run, to itself."""


class Course(Protocol):
    """What is needed of a probe that runs."""

    def wait(self, seconds: float) -> None:
        """Return when it is done, or after this long."""

    def pulse(self) -> Pulse:
        """What is new."""


class Station(Protocol):
    """What is needed of the worker's station."""

    def begin(self, probe: Probe) -> Course:
        """Start it; OSError and ValueError say why it cannot be."""

    def cut(self) -> None:
        """End it early."""


def listen(runner: Runner, station: Station) -> None:
    """Let the master's messages drive this worker's station, and its pulses go back."""

    def on_probe(msg: Any, **_: Any) -> None:
        probe = Probe.from_message(msg.data)
        try:
            course = station.begin(probe)
        except (OSError, ValueError) as error:
            _send(runner, Pulse(probe.number, probe.share, done=True, error=str(error)))
        else:
            gevent.spawn(_beat, runner, course)

    def on_cut(**_: Any) -> None:
        station.cut()

    runner.register_message(PROBE_MESSAGE, on_probe)
    runner.register_message(CUT_MESSAGE, on_cut)


def _beat(runner: Runner, course: Course) -> None:
    done = False
    while not done:
        course.wait(PULSE_SECONDS)
        pulse = course.pulse()
        _send(runner, pulse)
        done = pulse.done


def _send(runner: Runner, pulse: Pulse) -> None:
    runner.send_message(PULSE_MESSAGE, pulse.to_message())
