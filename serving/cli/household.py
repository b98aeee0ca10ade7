"""Decides what one `tidegate up` consists of: its cells' and its front's settings, ports, GPUs and key.

It starts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.cli.machine import gpus
from serving.cli.ports import free_blocks, is_free
from serving.cli.ready import urls
from serving.errors import SettingsError
from serving.settings import Settings
from serving.settings_sources import ENV_PREFIX


@dataclass(frozen=True)
class Member:
    """One process to run: a `tidegate` command, its whole settings, and the URLs that answer 200 once it is ready."""

    name: str
    command: str
    settings: Settings
    ready_urls: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Household:
    """The front, then the cells."""

    front: Member
    cells: tuple[Member, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        return (self.front, *self.cells)


def plan(settings: Settings, cells: int, environ: Mapping[str, str], mint: Callable[[], str]) -> Household:
    """Lay out `cells` cells and one front. Raises `SettingsError` where ports or GPUs do not suffice."""
    _require_free("front.port", settings.front.port, settings.front.host)
    _require_free("front.admin_port", settings.front.admin_port, settings.front.admin_host)
    # A member's file holds all its settings; a variable left in its environment would override its own port.
    clean = {name: text for name, text in environ.items() if not name.startswith(ENV_PREFIX)}
    devices = _devices(settings, cells)
    ports = list(free_blocks(settings.engine.port or 30000, settings.engine.replicas, cells))
    if len(ports) < cells:
        raise SettingsError("engine.port", f"fewer than {cells} free ports from {settings.engine.port} on")
    members = tuple(
        _cell(number, settings, port, {**clean, **device})
        for number, (port, device) in enumerate(zip(ports, devices, strict=True))
    )
    return Household(_front(settings, members, clean, mint), members)


def replica_urls(cell: Settings) -> list[str]:
    """Where the replicas of a cell listen, as the front reaches them."""
    engine = cell.engine
    return [f"http://{engine.host}:{engine.port + replica}" for replica in range(engine.replicas)]


def _cell(number: int, settings: Settings, port: int, environ: Mapping[str, str]) -> Member:
    # Without the front's part: a cell need not hold the keys.
    own = Settings(engine=settings.engine.model_copy(update={"port": port}))
    ready = tuple(f"{url}/-/healthz" for url in replica_urls(own))
    return Member(f"engine-{number}", "engine", own, ready, environ)


def _front(
    settings: Settings, cells: tuple[Member, ...], environ: Mapping[str, str], mint: Callable[[], str]
) -> Member:
    here = tuple(url for cell in cells for url in replica_urls(cell.settings))
    changes: dict[str, Any] = {"engines": (*settings.front.engines, *here)}
    if not settings.front.api_keys and not settings.front.keys_file:
        changes["api_keys"] = (mint(),)
    own = Settings(front=settings.front.model_copy(update=changes))
    _, admin_url = urls(own.front)
    return Member("front", "front", own, (f"{admin_url}/readyz",), environ)


def _require_free(key: str, port: int, host: str) -> None:
    if not is_free(port, host):
        raise SettingsError(key, f"port {port} of {host} is in use; name another one, or 0 for any free one")


def _devices(settings: Settings, cells: int) -> list[dict[str, str]]:
    """The variables that give each cell GPUs of its own; nothing to say for one cell or without GPUs."""
    engine = settings.engine
    seen = len(gpus()) if cells > 1 and engine.device != "cpu" else 0
    if not seen:
        return [{}] * cells
    share = engine.tensor_parallel_size * engine.pipeline_parallel_size * engine.replicas
    if share * cells > seen:
        raise SettingsError(
            "engine.tensor_parallel_size",
            f"{cells} cells of {share} GPUs need {share * cells}, this machine has {seen}",
        )
    return [
        {"CUDA_VISIBLE_DEVICES": ",".join(str(gpu) for gpu in range(number * share, (number + 1) * share))}
        for number in range(cells)
    ]
