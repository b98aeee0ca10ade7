"""What the servers of a target say that they are, in words for a report; it judges nothing."""

from __future__ import annotations

import json

from loadtest.server.exposition import Snapshot
from loadtest.server.fetch import Unreachable
from loadtest.server.scrape import Servers
from serving.metrics import VllmSeries


def describe(servers: Servers, unix: float = 0.0) -> dict[str, str]:
    """By name: server, models, an entry per engine, and notes on what could not be read."""
    found = servers.snapshot(unix)
    told = {"server": _server(servers, len(found.engines) + len(found.missing), found.front is not None)}
    models = {name for engine in found.engines.values() for name in _models(engine)}
    if models:
        told["models"] = ", ".join(sorted(models))
    for url, engine in found.engines.items():
        told[f"engine {url}"] = _engine(servers, url, engine)
    if found.notes:
        told["notes"] = "; ".join(found.notes)
    return told


def _server(servers: Servers, engines: int, front_answers: bool) -> str:
    behind = f"{engines} vLLM engine{'' if engines == 1 else 's'}"
    if front_answers:
        return f"Tidegate front over {behind}"
    if engines:
        return behind + (f" (no front answers at {servers.front_url})" if servers.front_url else "")
    return "an OpenAI-compatible server whose metrics are not read"


def _engine(servers: Servers, url: str, found: Snapshot) -> str:
    parts = [f"vLLM {_version(servers, url)}", *_models(found)]
    for config in found.labels(VllmSeries.CACHE_CONFIG)[:1]:
        if (tokens := config.get("kv_cache_size_tokens", "")).isdecimal():
            parts.append(f"{tokens} tokens of KV cache")
        parts.append(f"prefix caching {'on' if config.get('enable_prefix_caching') == 'True' else 'off'}")
    return ", ".join(parts)


def _models(found: Snapshot) -> list[str]:
    return sorted(name for name in found.by(VllmSeries.RUNNING, "model_name") if name)


def _version(servers: Servers, url: str) -> str:
    try:
        return str(json.loads(servers.page(f"{url}/version"))["version"])
    except (Unreachable, ValueError, KeyError, TypeError):
        return "of an unknown version"
