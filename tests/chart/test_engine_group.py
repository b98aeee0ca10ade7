"""A cell over several nodes: the leader is a cell, and its followers make the same engine of the same values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.engine.flags import known_flags
from serving.engine.models import ResolvedModel
from serving.engine.options import check_flags, server_arguments
from serving.settings_sources import load
from tests.support.helm import Obj, Rendered, render

# What only the leader's API server has.
_SERVER_ONLY = {"served-model-name", "enable-prompt-tokens-details", "shutdown-timeout", "lora-modules", "model"}
# What differs from node to node.
_OWN = {"node-rank"}


def group(**model: Any) -> Rendered:
    values = {"name": "big", "source": "org/big", "tensorParallelSize": 4, "pipelineParallelSize": 2, **model}
    return render("charts/tidegate", {"models": [values]})


def pods(rendered: Rendered) -> tuple[Obj, Obj]:
    """Leader's and follower's containers."""
    template = rendered.one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    leader, follower = (template[part]["spec"]["containers"][0] for part in ("leaderTemplate", "workerTemplate"))
    return leader, follower


def flags(arguments: list[str]) -> dict[str, str]:
    """`--name=value`, `--name a b`, `--name` and `--no-name` by name."""
    found: dict[str, str] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name, _, value = argument.removeprefix("--").partition("=")
            positive = name.removeprefix("no-")
            value = json.dumps(json.loads(value)) if value.startswith("{") else value
            found[positive] = value or ("false" if name != positive else "")
            name = positive
        elif name:
            found[name] = f"{found[name]} {argument}".strip()
    return found


@pytest.mark.parametrize(
    "model",
    [
        {},
        {
            "maxModelLen": 131072,
            "dtype": "bfloat16",
            "gpuMemoryUtilization": 0.85,
            "vllmFlags": {
                "max-num-seqs": 256,
                "max-num-batched-tokens": 2000000,
                "enable_expert_parallel": True,
                "async-scheduling": False,
                "compilation-config": {"level": 3},
                "allowed-origins": ["a", "b"],
            },
            "settings": {"quantization": "fp8", "lora_modules": {"fr": "org/fr"}, "enable_prefix_caching": False},
        },
    ],
)
def test_a_follower_makes_the_same_engine_as_its_leader(model: dict[str, Any]) -> None:
    leader, follower = pods(group(**model))
    settings = load({}, {one["name"]: one["value"] for one in leader["env"] if "value" in one}).engine
    led = flags(server_arguments(settings, ResolvedModel("org/big", "big", nonsense=False), "cuda"))
    followed = flags(follower["args"][1:])

    check_flags(settings.vllm_flags)
    assert follower["args"][0] == "org/big"
    assert {name: text for name, text in led.items() if name not in _SERVER_ONLY | _OWN} == {
        name: text for name, text in followed.items() if name not in _OWN | {"headless"}
    }
    assert (led["node-rank"], followed["node-rank"]) == ("0", "$(LWS_WORKER_INDEX)")
    assert {name.replace("-", "_") for name in followed} <= known_flags().keys() | {"headless"}


def test_every_node_of_a_group_has_the_gpus_of_one_stage_and_the_same_folders() -> None:
    leader, follower = pods(group(pipelineParallelSize=3))

    assert group(pipelineParallelSize=3).one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]["size"] == 3
    assert leader["resources"] == follower["resources"]
    assert leader["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert leader["volumeMounts"] == follower["volumeMounts"]
    assert flags(follower["args"])["nnodes"] == "3"


def test_the_front_sees_the_leaders_only() -> None:
    rendered = group()
    selector = rendered.one("Service", "engine-big")["spec"]["selector"]

    assert selector["leaderworkerset.sigs.k8s.io/worker-index"] == "0"
    assert [port["name"] for port in pods(rendered)[0]["ports"]] == ["http"]
    assert "ports" not in pods(rendered)[1]


def test_the_groups_own_service_does_not_take_the_name_of_ours() -> None:
    rendered = group()

    assert rendered.one("LeaderWorkerSet")["spec"]["networkConfig"] == {"subdomainPolicy": "UniquePerReplica"}
    assert rendered.one("LeaderWorkerSet")["metadata"]["name"] == rendered.one("Service", "-big")["metadata"]["name"]


def test_a_model_on_one_node_is_a_deployment_and_only_one_on_several_is_a_group() -> None:
    assert [one["metadata"]["name"] for one in group(pipelineParallelSize=1).of("LeaderWorkerSet")] == []
    assert [one["metadata"]["name"] for one in group().of("Deployment") if "engine" in one["metadata"]["name"]] == []


def test_a_follower_stays_as_long_as_its_leader_may() -> None:
    template = group().one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    leader, follower = (template[part]["spec"] for part in ("leaderTemplate", "workerTemplate"))

    assert follower["terminationGracePeriodSeconds"] == leader["terminationGracePeriodSeconds"]
    assert "LWS_LEADER_ADDRESS" in follower["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
