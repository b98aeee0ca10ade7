"""Everything that both charts render, held against strict schemas of the lowest and the highest Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.helm import ROOT, render, scenario
from tests.support.kube_schemas import HIGHEST, LOWEST, problems, require_crds

CHARTS = [chart for chart in ("charts/tidegate", "keda") if (ROOT / chart / "Chart.yaml").exists()]
SCENARIOS = [
    (chart, name)
    for chart in CHARTS
    for name in ["", *sorted(path.name.removesuffix("-values.yaml") for path in (ROOT / chart / "ci").glob("*.yaml"))]
]


def values(chart: str, name: str) -> dict[str, Any]:
    return scenario(chart, name) if name else {}


@pytest.mark.parametrize("kubernetes", [LOWEST, HIGHEST])
@pytest.mark.parametrize(("chart", "name"), SCENARIOS)
def test_every_rendered_object_is_one_that_a_strict_api_server_takes(chart: str, name: str, kubernetes: str) -> None:
    require_crds()
    rendered = render(chart, values(chart, name), kubernetes=f"{kubernetes}.0")

    assert [problem for one in rendered.objects for problem in problems(one, kubernetes)] == []


@pytest.mark.parametrize(("chart", "name"), SCENARIOS)
def test_rendering_twice_gives_the_same_objects_but_for_new_secrets(chart: str, name: str) -> None:
    first, second = (
        [
            {**one, "data": None} if one["kind"] == "Secret" else one
            for one in render(chart, values(chart, name)).objects
        ]
        for _ in range(2)
    )

    assert first == second


@pytest.mark.parametrize(("chart", "name"), SCENARIOS)
def test_no_two_objects_of_a_release_have_the_same_name(chart: str, name: str) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in render(chart, values(chart, name)).objects]

    assert len(names) == len(set(names)), sorted(names)
