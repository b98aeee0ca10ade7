"""Decides what one `tidegate up` consists of: its cells' and its front's settings, ports, GPUs, key and Redis.

It starts nothing.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from serving.cli.embedded_redis import EmbeddedRedis, server_binary
from serving.cli.machine import gpus
from serving.cli.ports import any_free, free_blocks, is_free
from serving.cli.ready import urls
from serving.errors import SettingsError
from serving.settings import Settings
from serving.settings_sources import ENV_PREFIX


class Member(Protocol):
    """One process to run."""

    @property
    def name(self) -> str: ...

    @property
    def command(self) -> tuple[str, ...]:
        """What to run; the path of a file with its `config` comes last."""

    @property
    def config(self) -> str: ...

    @property
    def ready_urls(self) -> tuple[str, ...]:
        """They answer once it is ready."""

    @property
    def environ(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class TidegateMember:
    """A `tidegate` subcommand and its whole settings."""

    name: str
    subcommand: str
    settings: Settings
    ready_urls: tuple[str, ...]
    environ: Mapping[str, str]

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "serving.cli", self.subcommand, "--config")

    @property
    def config(self) -> str:
        return yaml.safe_dump(self.settings.model_dump(mode="json"))


@dataclass(frozen=True)
class Household:
    """The front, the cells, and a Redis unless the front has one elsewhere or there is no program for it."""

    front: TidegateMember
    cells: tuple[TidegateMember, ...]
    redis: EmbeddedRedis | None


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
    redis = _redis(settings, clean)
    url = redis.url if redis is not None else settings.front.redis or clean.get("REDIS_URL") or None
    return Household(_front(settings, members, url, clean, mint), members, redis)


def replica_urls(cell: Settings) -> list[str]:
    """Where the replicas of a cell listen, as the front reaches them."""
    engine = cell.engine
    return [f"http://{engine.host}:{engine.port + replica}" for replica in range(engine.replicas)]


def _cell(number: int, settings: Settings, port: int, environ: Mapping[str, str]) -> TidegateMember:
    # Without the front's part: a cell need not hold the keys.
    own = Settings(engine=settings.engine.model_copy(update={"port": port}))
    ready = tuple(f"{url}/-/healthz" for url in replica_urls(own))
    return TidegateMember(f"engine-{number}", "engine", own, ready, environ)


def _redis(settings: Settings, environ: Mapping[str, str]) -> EmbeddedRedis | None:
    if settings.front.redis or environ.get("REDIS_URL"):
        return None
    binary = server_binary(environ)
    return EmbeddedRedis(binary, any_free(), secrets.token_hex(16), environ) if binary else None


def _front(
    settings: Settings,
    cells: tuple[TidegateMember, ...],
    redis_url: str | None,
    environ: Mapping[str, str],
    mint: Callable[[], str],
) -> TidegateMember:
    here = tuple(url for cell in cells for url in replica_urls(cell.settings))
    changes: dict[str, Any] = {"engines": (*settings.front.engines, *here), "redis": redis_url}
    if not settings.front.api_keys and not settings.front.keys_file:
        changes["api_keys"] = (mint(),)
    own = Settings(front=settings.front.model_copy(update=changes))
    _, admin_url = urls(own.front)
    return TidegateMember("front", "front", own, (f"{admin_url}/readyz",), environ)


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
