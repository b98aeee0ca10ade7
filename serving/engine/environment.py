"""The environment of a cell's processes, set before Ray starts; it starts nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from serving.engine.device import Device
from serving.engine.models import ResolvedModel
from serving.settings import EngineSettings


def environment(
    settings: EngineSettings, model: ResolvedModel, device: Device, token: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """Variables to set over `environ`. `token` guards this cell's Ray against other local users.

    A Ray token or mode that `environ` names already (one mounted in a pod) stays.
    """
    chosen = {**_vllm(settings, model), **_ray(settings)}
    if device == "cpu":
        chosen |= _cpu(settings)
    if not any(name.startswith("RAY_AUTH_") for name in environ):
        chosen |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    return chosen


def _cpu(settings: EngineSettings) -> dict[str, str]:
    return {
        # Unset, vLLM takes every core and a token takes ten times as long on a busy machine.
        "OMP_NUM_THREADS": str(settings.cpu.omp_threads),
        "VLLM_CPU_KVCACHE_SPACE": str(settings.cpu.kv_cache_gib),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def _vllm(settings: EngineSettings, model: ResolvedModel) -> dict[str, str]:
    chosen = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        # A fork of a Ray worker's threads can deadlock.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if all(os.path.isdir(path) for path in (model.path, *settings.lora_modules.values())):
        chosen["HF_HUB_OFFLINE"] = "1"
    return chosen


def _ray(settings: EngineSettings) -> dict[str, str]:
    """Ports are exactly the cell's own, and a replacement gets its predecessor's."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Its name speaks of other systems, but on Linux too it makes Ray's processes meet on the loopback address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(settings.port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(settings.port + settings.replicas),
        "RAY_SERVE_PORT_QUARANTINE_S": "0",
        # The cell refuses new work by itself while it drains, so nothing is gained by staying open when idle.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(math.ceil(settings.drain.node_seconds)),
        # vLLM is asynchronous throughout: a second thread only costs a hop per token.
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    }
