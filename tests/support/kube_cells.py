"""Cells of the rendered chart, and what they make of their environment."""

from __future__ import annotations

from typing import Any

from serving.settings import EngineSettings
from serving.settings_sources import load
from tests.support.helm import Obj, Rendered, render

CHART = "charts/tidegate"


def cells(*models: dict[str, Any], **values: Any) -> Rendered:
    return render(CHART, {"models": [{"name": "m", "source": "org/m", **model} for model in models], **values})


def pod(rendered: Rendered, name: str = "engine-m") -> Obj:
    return rendered.one("Deployment", name)["spec"]["template"]["spec"]


def container(rendered: Rendered, name: str = "engine-m") -> Obj:
    return pod(rendered, name)["containers"][0]


def settings(engine: Obj) -> EngineSettings:
    """What the cell itself makes of its environment; it refuses a variable that is no setting."""
    return load({}, {one["name"]: one["value"] for one in engine["env"] if "value" in one}).engine
