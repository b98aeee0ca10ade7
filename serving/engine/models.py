"""Decides which model a cell serves and under which name; it does not load it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from serving.engine.device import Device
from serving.engine.tiny import is_tiny_model, make_tiny_model
from serving.errors import SettingsError
from serving.settings import EngineSettings

_SMALL_MODELS: Mapping[Device, str] = {"cpu": "Qwen/Qwen2.5-0.5B-Instruct", "cuda": "Qwen/Qwen2.5-7B-Instruct"}
_HUB = "https://huggingface.co"
_HUB_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class ResolvedModel:
    """`path` is a folder or a hub id. `nonsense`: the weights are random, whatever it says means nothing."""

    path: str
    served_name: str
    nonsense: bool


def resolve_model(
    settings: EngineSettings, device: Device, environ: Mapping[str, str], progress: Callable[[str], None]
) -> ResolvedModel:
    """The model of the settings; unset, a small one from the hub, or the tiny random one where there is no hub.

    Raises `SettingsError` for a path that is no folder.
    """
    if settings.model:
        path = os.path.expanduser(settings.model)
        if path.startswith(("/", "./", "../")) and not os.path.isdir(path):
            raise SettingsError("engine.model", f"there is no folder {path}")
        own_name = Path(path).resolve().name if os.path.isdir(path) else settings.model
        return ResolvedModel(path, settings.served_model_name or own_name, is_tiny_model(Path(path)))
    if hub_reachable(environ):
        model = _SMALL_MODELS[device]
        return ResolvedModel(model, settings.served_model_name or model, nonsense=False)
    folder = tiny_folder(environ)
    make_tiny_model(folder, progress)
    return ResolvedModel(str(folder), settings.served_model_name or "tiny", nonsense=True)


def tiny_folder(environ: Mapping[str, str]) -> Path:
    """Where the tiny model of this user lives."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "tidegate" / "tiny"


def hub_reachable(environ: Mapping[str, str]) -> bool:
    """Whether the model hub answers within two seconds; any HTTP status counts."""
    if environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    url = environ.get("HF_ENDPOINT") or _HUB
    if not url.startswith(("https://", "http://")):
        return False
    try:
        with urlopen(Request(url, method="HEAD"), timeout=_HUB_TIMEOUT_SECONDS):
            return True
    except HTTPError:
        return True
    except (URLError, OSError, ValueError):
        return False
