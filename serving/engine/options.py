"""Turns the engine's settings into the arguments of vLLM's server; it knows neither Ray nor the environment."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from serving.engine.device import Device
from serving.engine.flags import Flag, known_flags
from serving.engine.models import ResolvedModel
from serving.errors import SettingsError
from serving.settings import EngineSettings

_KEY = "engine.vllm_flags"
_SETTINGS = {
    "model": "engine.model",
    "served_model_name": "engine.served_model_name",
    "host": "engine.host",
    "port": "engine.port",
    "dtype": "engine.dtype",
    "max_model_len": "engine.max_model_len",
    "tensor_parallel_size": "engine.tensor_parallel_size",
    "pipeline_parallel_size": "engine.pipeline_parallel_size",
    "gpu_memory_utilization": "engine.gpu_memory_utilization",
    "enable_prefix_caching": "engine.enable_prefix_caching",
    "quantization": "engine.quantization",
    "lora_modules": "engine.lora_modules",
    "enable_lora": "engine.lora_modules",
    "shutdown_timeout": "engine.drain.stream_seconds",
}
_REFUSED = {
    "api_key": "the front tier holds the keys (front.keys_file); an engine is reached by it alone",
    "config": "settings come from Tidegate's own file",
    "disable_log_stats": "routing and scaling read the engine's metrics",
    "tokens_only": "it opens an unauthenticated route that aborts anybody's request",
    **dict.fromkeys(
        ("headless", "grpc", "grpc_port", "api_server_count", "uds", "root_path"), "Ray Serve owns the server's socket"
    ),
    **dict.fromkeys(
        ("ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_cert_reqs", "ssl_ciphers", "enable_ssl_refresh"),
        "Ray Serve owns the server's socket; end TLS at the front tier",
    ),
}
_SHORT_NUMBER = re.compile(r"\d+(\.\d+)?[kKmMgGtT]?")


def check_flags(flags: Mapping[str, Any]) -> None:
    """Raise `SettingsError` naming the first flag that vLLM has not, that takes another value, or that is not free."""
    known = known_flags() if flags else {}
    for name, value in flags.items():
        plain = _plain(name)
        if plain in _SETTINGS:
            raise SettingsError(f"{_KEY}.{name}", f"set {_SETTINGS[plain]} instead")
        if plain in _REFUSED:
            raise SettingsError(f"{_KEY}.{name}", f"not available: {_REFUSED[plain]}")
        if plain not in known:
            near = difflib.get_close_matches(plain, known, n=1)
            hint = f"; did you mean {near[0].replace('_', '-')}?" if near else ""
            raise SettingsError(f"{_KEY}.{name}", f"the installed vLLM has no such flag{hint}")
        problem = _problem(known[plain], value)
        if problem:
            raise SettingsError(f"{_KEY}.{name}", f"{problem} (got {value!r})")


def server_arguments(settings: EngineSettings, model: ResolvedModel, device: Device) -> list[str]:
    """The command line of vLLM's server for one replica, less the program's name."""
    arguments: dict[str, Any] = {
        "model": model.path,
        "served_model_name": model.served_name,
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "pipeline_parallel_size": settings.pipeline_parallel_size,
        "quantization": settings.quantization,
        "enable_prefix_caching": settings.enable_prefix_caching,
        # Without it `usage` says nothing about cached tokens, which the front tier bills and reports.
        "enable_prompt_tokens_details": True,
        # A SIGTERM that reaches vLLM's own processes must not abort what the replica still drains.
        "shutdown_timeout": math.ceil(settings.drain.stream_seconds),
        **_by_device(settings, device),
        **{_plain(name): value for name, value in settings.vllm_flags.items()},
    }
    if settings.lora_modules:
        arguments["enable_lora"] = True
        arguments["lora_modules"] = [f"{name}={path}" for name, path in settings.lora_modules.items()]
    return [part for name, value in arguments.items() for part in _argument(name.replace("_", "-"), value)]


def _by_device(settings: EngineSettings, device: Device) -> dict[str, Any]:
    if device == "cpu":
        return {"enforce_eager": True}
    chosen: dict[str, Any] = {"gpu_memory_utilization": settings.gpu_memory_utilization}
    if settings.tensor_parallel_size * settings.pipeline_parallel_size > 1:
        # vLLM would otherwise place its workers as Ray actors as soon as it runs inside one.
        chosen["distributed_executor_backend"] = "mp"
    return chosen


def _argument(name: str, value: Any) -> Iterator[str]:
    match value:
        case None:
            return
        case True:
            yield f"--{name}"
        case False:
            yield f"--no-{name}"
        case list() | tuple():
            yield f"--{name}"
            yield from (str(part) for part in value)
        case dict():
            yield f"--{name}={json.dumps(value)}"
        case _:
            yield f"--{name}={value}"


def _plain(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _problem(flag: Flag, value: Any) -> str | None:
    """Why `value` is certainly wrong for `flag`; None where only vLLM can tell."""
    if value is None:
        return None
    match flag.kind:
        case "bool" if not isinstance(value, bool):
            return "must be true or false"
        case "int" if isinstance(value, bool) or not _SHORT_NUMBER.fullmatch(str(value)):
            return None if re.fullmatch(r"-\d+", str(value)) else "must be a whole number"
        case "float" if isinstance(value, bool) or not _is_number(value):
            return "must be a number"
        case "choice" if str(value) not in flag.choices:
            return f"must be one of {', '.join(flag.choices)}"
        case None if isinstance(value, bool):
            return "takes a value, not true or false"
    return None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
