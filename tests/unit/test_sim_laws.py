"""Laws on a fleet of known capacity: each is the ScaledObject that it says, and runs by KEDA's and the HPA's rules."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
import yaml

from autoscale import signals
from autoscale.decide.read import read
from autoscale.simulate import run, traffic
from autoscale.simulate.knee import Rates, knee, rates
from autoscale.simulate.laws import scaled_objects
from autoscale.simulate.laws.named import NAMES, Setting, document, law
from autoscale.simulate.laws.scaled_objects import Bounds
from autoscale.simulate.loop import LoopSettings
from autoscale.simulate.prometheus import Unreachable
from autoscale.simulate.run import Settings, simulate
from autoscale.simulate.run_result import Run
from autoscale.simulate.startup import ColdStart
from autoscale.simulate.world import ClusterSettings, Pods
from loadtest.slo import PRESETS
from tests.support.fluid_fleet import FluidFleet

ROOT = signals.PATH.resolve().parent
RATE = 10.0
# Of a fluid replica at its rate, half of each: tokens of Azure's conversations.
TOLD = Rates(2 * RATE * 1125, 2 * RATE * 201)


def setting(believed: Rates = TOLD) -> Setting:
    return Setting(
        trace=traffic.draw("ramp", 20.0, 1, hours=1.0),
        knees={"chat": RATE},
        believed=believed,
        signals=signals.load(),
        parameters={},
        model="simulated",
        ttft_seconds=0.5,
        cold_start_seconds=75.0,
        bounds=Bounds(1, 8),
    )


@cache
def ran(name: str, outages: tuple[tuple[float, float], ...] = (), seed: int = 1) -> Run:
    settings = Settings(
        cluster=ClusterSettings(ColdStart(60.0, 0.1)), loop=LoopSettings(outages=outages), slo=PRESETS["chat"]
    )
    of = setting()
    return simulate(law(name, of), lambda requests: FluidFleet(requests, RATE), settings, of, seed)


def test_the_simulated_object_scales_as_the_chart_says() -> None:
    values = yaml.safe_load((ROOT / "values.yaml").read_text(encoding="utf-8"))
    spec = document(setting())["spec"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == values["behavior"]
    assert spec["fallback"] == values["fallback"]
    assert spec["pollingInterval"] == values["targetDefaults"]["pollingInterval"]
    loaded = signals.load()
    assert {trigger["name"] for trigger in spec["triggers"]} == set(loaded.signals)
    assert spec["advanced"]["scalingModifiers"]["formula"] == loaded.formula({"model": "simulated"})


@pytest.mark.parametrize(
    "made",
    [
        document(setting()),
        scaled_objects.playbook("AverageValue", "m", Bounds()),
        scaled_objects.playbook("Value", "m", Bounds()),
        scaled_objects.production_stack("m", Bounds()),
        scaled_objects.llm_d("m", 0.5, Bounds()),
    ],
)
def test_every_law_of_others_and_ours_is_an_object_that_keda_takes(made: scaled_objects.ScaledObject) -> None:
    assert read(made).triggers


def test_the_demand_law_follows_a_ramp_up_and_down() -> None:
    ours, best = ran("tidegate"), ran("oracle")
    assert best.totals.most_replicas <= ours.totals.most_replicas <= best.totals.most_replicas + 2
    assert ours.totals.flips == 1
    assert ours.totals.attainment > 0.8
    assert {"prefill", "decode"} & set(ours.steps.why)


def test_the_playbooks_averages_cannot_hold_a_fleet_that_its_load_needs() -> None:
    """Its TTFT is worth one replica per 0.5 s: it is late, and it lets go of what it needs as soon as it has it."""
    assert ran("playbook-default").totals.attainment < ran("tidegate").totals.attainment


def test_five_minutes_without_prometheus_shrink_nothing() -> None:
    away = (2700.0, 3000.0)
    ours = ran("tidegate", (away,))
    wanted = [count for at, count in zip(ours.steps.seconds, ours.steps.wanted, strict=True) if away[0] <= at < away[1]]
    assert len(wanted) >= 19
    assert all(after >= before for before, after in pairwise(wanted))


def test_a_run_is_the_same_for_the_same_seed_and_not_for_another() -> None:
    again = run.simulate(
        law("tidegate", setting()),
        lambda requests: FluidFleet(requests, RATE),
        Settings(cluster=ClusterSettings(ColdStart(60.0, 0.1))),
        setting(),
        1,
    )
    assert again == ran("tidegate")
    assert ran("tidegate", seed=2).steps != again.steps


def test_a_knee_is_found_where_the_fleet_has_it() -> None:
    found = knee(lambda requests: FluidFleet(requests, RATE), "chat", PRESETS["chat"])
    assert 0.75 * RATE < found < RATE


def test_two_knees_tell_what_prompts_and_answers_cost() -> None:
    true = Rates(30_000.0, 6_000.0)
    chat, code = (traffic.constant(name, 50.0, 400.0, 1) for name in ("chat", "code-relaxed"))
    knees = {
        name: 1 / (of.prompt_tokens.mean() / true.prefill + of.output_tokens.mean() / true.decode)
        for name, of in (("chat", chat), ("code-relaxed", code))
    }
    assert rates(knees) == pytest.approx(true)


def test_readings_that_are_missing_leave_a_step_without_a_reason_and_not_without_an_answer() -> None:
    """KEDA's fallback may change the count while no trigger can be read; nothing is calculated then."""
    scaled = law("tidegate", setting())

    def nobody(_: str) -> list[float]:
        raise Unreachable("Prometheus does not answer")

    pods = Pods(wanted=0, pending=0, starting=0, ready=0)
    polled = [scaled.poll(5.0 * turn, pods, nobody) for turn in range(5)]
    decided = [scaled.sync(25.0 + 15 * turn, Pods(3, 0, 0, 3)._replace(wanted=9), nobody) for turn in range(5)]
    assert polled[-1] == 1
    assert all(each.replicas is None or each.replicas >= 3 for each in decided)
    assert all(value is None for each in decided for value in each.readings.values())


def test_a_law_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=f"'magic' is none of {', '.join(NAMES)}"):
        law("magic", setting())
