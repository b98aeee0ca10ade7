"""A ScaledObject's YAML becomes values, strictly: an unknown or wrong field is an error that names it and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscale.decide.spec import ScaledObject


def read(document: Mapping[str, Any]) -> ScaledObject:
    """Of one document, kind ScaledObject, Prometheus triggers only. Raises `SpecError`."""
    raise NotImplementedError
