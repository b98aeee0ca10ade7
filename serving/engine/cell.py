"""Runs one engine cell in the foreground: a Ray of its own, k vLLM replicas, a drain at the end. It serves no request.

The life of a cell: check, start Ray, load, watch, drain, stop.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from serving.engine.deployment import Deployment
from serving.engine.device import Device, resolve_device
from serving.engine.environment import environment
from serving.engine.logs import last_step, root_cause
from serving.engine.models import ResolvedModel, resolve_model
from serving.engine.options import check_flags, server_arguments
from serving.engine.probe import base_url, is_ready
from serving.engine.ray_head import RayHead, ray_head
from serving.engine.session import Session, require_free_ports, session
from serving.engine.signals import StopSignals
from serving.engine.warden import warden
from serving.errors import EngineStartError, SettingsError
from serving.settings import EngineSettings

_LOOK_SECONDS = 0.5
_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class _Cell:
    """What every phase after the start needs."""

    settings: EngineSettings
    model: ResolvedModel
    session: Session
    head: RayHead
    signals: StopSignals
    say: Callable[[str], None]

    def unready_ports(self) -> list[int]:
        first = self.settings.port
        return [port for port in range(first, first + self.settings.replicas) if not is_ready(self.settings.host, port)]


def run_cell(settings: EngineSettings, environ: MutableMapping[str, str], say: Callable[[str], None]) -> int:
    """Serve until a signal comes; 0 after a drain, 1 if streams were cut. `environ` is this process's own.

    Raises `SettingsError` within a second for a wrong setting, `EngineStartError` if the cell does not become ready
    or cannot replace a replica.
    """
    check_flags(settings.vllm_flags)
    device = resolve_device(settings.device, environ)
    gpus = gpus_per_replica(settings, device)
    require_free_ports(settings.host, settings.port, settings.replicas)
    signals = StopSignals()
    signals.install()
    with session(settings.port) as scratch:
        model = resolve_model(settings, device, environ, say)
        if model.nonsense:
            say(f"{model.served_name} is a tiny random model: it talks nonsense; set engine.model for a real one")
        environ.update(environment(settings, model, device, secrets.token_hex(32), environ))
        say(f"starting Ray for {model.served_name} on {device}")
        with warden(), ray_head(scratch.ray, settings.host, settings.dashboard_port) as head:
            signals.install()
            cell = _Cell(settings, model, scratch, head, signals, say)
            head.deploy(_deployment(settings, model, device, gpus, scratch.draining))
            if not _load(cell):
                say("stopped while loading")
                return 0
            _watch(cell)
            return _drain(cell)


def _deployment(
    settings: EngineSettings, model: ResolvedModel, device: Device, gpus: int, draining: Path
) -> Deployment:
    return Deployment(
        arguments=tuple(server_arguments(settings, model, device)),
        draining_file=draining,
        replicas=settings.replicas,
        gpus=gpus,
        max_ongoing_requests=settings.max_ongoing_requests,
        health_check_period_seconds=settings.health_check_period_seconds,
        graceful_shutdown_seconds=settings.drain.replica_seconds,
    )


def gpus_per_replica(settings: EngineSettings, device: Device) -> int:
    """What a replica takes of this node: in a group of nodes each has its share. Raises `SettingsError`."""
    if device != "cuda":
        return 0
    world = settings.tensor_parallel_size * settings.pipeline_parallel_size
    nodes = int(settings.vllm_flags.get("nnodes", 1))
    if world % nodes:
        raise SettingsError(
            "engine.vllm_flags.nnodes",
            f"{world} GPUs (engine.tensor_parallel_size x engine.pipeline_parallel_size) cannot be shared evenly by "
            f"{nodes} nodes",
        )
    return world // nodes


def _load(cell: _Cell) -> bool:
    """Wait until every replica is ready; False if a signal came first."""
    started = time.monotonic()
    next_progress = started + _PROGRESS_SECONDS
    while cell.unready_ports():
        if cell.signals.count:
            return False
        _require_alive(cell, started)
        if time.monotonic() >= next_progress:
            next_progress += _PROGRESS_SECONDS
            step = last_step(cell.session.logs) or "starting the replicas"
            cell.say(f"loading {cell.model.served_name}, {time.monotonic() - started:.0f} s: {step}")
        cell.signals.wait(_LOOK_SECONDS)
    first = cell.settings.port
    urls = [base_url(cell.settings.host, first + index) for index in range(cell.settings.replicas)]
    cell.say(f"{cell.model.served_name} is ready after {time.monotonic() - started:.0f} s on {', '.join(urls)}")
    return True


def _require_alive(cell: _Cell, waiting_since: float) -> None:
    failure = cell.head.status().failure
    if failure is not None:
        cause = root_cause(cell.session.logs, failure)
        raise EngineStartError(f"vLLM did not start: {cause} (logs: {cell.session.logs})")
    if time.monotonic() - waiting_since > cell.settings.start_timeout_seconds:
        step = last_step(cell.session.logs) or "starting the replicas"
        raise EngineStartError(
            f"not ready within engine.start_timeout_seconds ({cell.settings.start_timeout_seconds:g} s); last: {step}"
        )


def _watch(cell: _Cell) -> None:
    """Return when a signal comes; Serve replaces lost replicas meanwhile."""
    lost: dict[int, float] = {}
    while not cell.signals.count:
        now = time.monotonic()
        unready = cell.unready_ports()
        for port in unready:
            if port not in lost:
                lost[port] = now
                cell.say(f"the replica on port {port} is lost; a new one is being loaded")
        for port in [port for port in lost if port not in unready]:
            cell.say(f"the replica on port {port} serves again after {now - lost.pop(port):.0f} s")
        if lost:
            _require_alive(cell, min(lost.values()))
        cell.signals.wait(_LOOK_SECONDS)


def _drain(cell: _Cell) -> int:
    """Refuse new work, wait for streams in flight; a second signal or the end of `stream_seconds` cuts them."""
    cell.session.draining.touch()
    cell.head.delete()
    cell.say(f"draining: streams in flight have up to {cell.settings.drain.stream_seconds:g} s")
    deadline = time.monotonic() + cell.settings.drain.stream_seconds
    while not cell.head.status().gone:
        if cell.signals.count > 1 or time.monotonic() > deadline:
            cell.say("stopping now: streams in flight are cut")
            return 1
        time.sleep(_LOOK_SECONDS / 5)
    cell.say("drained")
    return 0
