"""Each scenario of charts/tidegate, rendered once."""

from __future__ import annotations

from functools import cache

import pytest

from tests.support.helm import ROOT, Rendered, render, scenario

CHART = "charts/tidegate"
SCENARIOS = sorted(path.name.removesuffix("-values.yaml") for path in (ROOT / CHART / "ci").glob("*-values.yaml"))


@cache
def release(name: str) -> Rendered:
    return render(CHART, scenario(CHART, name))


@pytest.fixture(params=SCENARIOS)
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return release(request.param)
