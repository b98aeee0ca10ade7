"""What a model of the values becomes: a cell whose settings, GPUs and folders fit together."""

from __future__ import annotations

import pytest
from helm_python import HelmError

from serving.engine.options import check_flags
from tests.support.helm import render
from tests.support.kube_cells import CHART, cells, container, pod, settings


def test_a_cell_understands_every_setting_that_the_chart_gives_it() -> None:
    model = {
        "dtype": "bfloat16",
        "maxModelLen": 131072,
        "tensorParallelSize": 2,
        "gpuMemoryUtilization": 0.85,
        "startSeconds": 900,
        "settings": {"quantization": "fp8", "lora_modules": {"fr": "org/fr"}, "enable_prefix_caching": False},
    }
    got = settings(container(cells(model)))

    assert (got.model, got.served_model_name, got.device, got.dtype) == ("org/m", "m", "cuda", "bfloat16")
    assert (got.max_model_len, got.tensor_parallel_size, got.gpu_memory_utilization) == (131072, 2, 0.85)
    assert (got.quantization, got.lora_modules, got.enable_prefix_caching) == ("fp8", {"fr": "org/fr"}, False)
    assert got.start_timeout_seconds == 900


def test_vllm_takes_the_flags_with_the_types_that_the_values_gave_them() -> None:
    flags = {"max-num-seqs": 256, "enable-expert-parallel": True, "max-num-batched-tokens": 1000000, "seed": 0}
    got = settings(container(cells({"vllmFlags": flags}))).vllm_flags

    check_flags(got)
    assert got == flags
    assert [type(value) for value in got.values()] == [type(flags[name]) for name in got]


def test_a_setting_that_the_chart_derives_cannot_be_given_twice() -> None:
    with pytest.raises(HelmError, match=r"models\[m\]\.settings\.max_model_len"):
        cells({"settings": {"max_model_len": 4096}})


@pytest.mark.parametrize("gpus", [1, 4, 8])
def test_a_cell_asks_for_as_many_gpus_as_share_its_layers(gpus: int) -> None:
    engine = container(cells({"tensorParallelSize": gpus}))

    assert engine["resources"]["limits"]["nvidia.com/gpu"] == str(settings(engine).tensor_parallel_size) == str(gpus)


def test_a_gpu_by_another_name_is_asked_for_by_that_name_beside_other_limits() -> None:
    model = {"gpu": {"resource": "amd.com/gpu"}, "resources": {"requests": {}, "limits": {"memory": "64Gi"}}}

    assert container(cells(model))["resources"]["limits"] == {"amd.com/gpu": "1", "memory": "64Gi"}


def test_a_cell_without_a_gpu_neither_asks_for_one_nor_goes_where_they_are() -> None:
    own = {"key": "dedicated", "operator": "Equal", "value": "cpu"}
    rendered = cells({"device": "cpu"}, {"name": "n", "device": "cpu", "tolerations": [own, {"operator": "Exists"}]})

    assert not any("gpu" in name for name in container(rendered)["resources"].get("limits", {}))
    assert "tolerations" not in pod(rendered)
    assert pod(rendered, "engine-n")["tolerations"] == [own, {"operator": "Exists"}]
    assert settings(container(rendered)).device == "cpu"


def test_everything_that_a_cell_writes_is_in_a_volume() -> None:
    engine = container(cells({}))
    mounts = [mount["mountPath"] for mount in engine["volumeMounts"] if not mount.get("readOnly")]
    environment = {one["name"]: one.get("value", "") for one in engine["env"]}

    assert engine["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"/tmp", "/dev/shm"} < set(mounts)
    for name in ("HOME", "XDG_CACHE_HOME", "HF_HOME", "VLLM_CACHE_ROOT"):
        assert any(f"{environment[name]}/".startswith(f"{mount}/") for mount in mounts), name


def test_shared_memory_is_memory_of_the_size_asked_for() -> None:
    volumes = {volume["name"]: volume for volume in pod(cells({"sharedMemory": "16Gi"}))["volumes"]}

    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}


def test_weights_of_a_claim_are_mounted_read_only_and_named_by_their_folder() -> None:
    rendered = cells({"source": "qwen3", "weights": {"existingClaim": "weights"}})
    claims = [volume["persistentVolumeClaim"] for volume in pod(rendered)["volumes"] if "weights" in volume["name"]]
    mount = next(mount for mount in container(rendered)["volumeMounts"] if mount["name"] == "weights")

    assert claims == [{"claimName": "weights", "readOnly": True}]
    assert (mount["mountPath"], mount["readOnly"]) == ("/models", True)
    assert settings(container(rendered)).model == "/models/qwen3"


@pytest.mark.parametrize(
    ("cache", "claim", "made"),
    [
        ({}, None, 0),
        ({"size": "100Gi", "storageClass": "fast"}, "chat-engine-m-cache", 1),
        ({"existingClaim": "shared", "size": "1Gi"}, "shared", 0),
    ],
)
def test_the_cache_is_the_claim_that_there_is_or_a_new_one_or_nothing_lasting(
    cache: dict[str, str], claim: str | None, made: int
) -> None:
    rendered = cells({"cache": cache})
    volume = next(volume for volume in pod(rendered)["volumes"] if volume["name"] == "cache")

    assert volume.get("persistentVolumeClaim", {}).get("claimName") == claim
    assert len([one for one in rendered.of("PersistentVolumeClaim") if "engine" in one["metadata"]["name"]]) == made


def test_the_token_of_a_hub_is_only_named() -> None:
    environment = container(cells({"hubTokenSecret": "hub"}))["env"]

    assert [one["valueFrom"] for one in environment if one["name"] == "HF_TOKEN"] == [
        {"secretKeyRef": {"name": "hub", "key": "HF_TOKEN"}}
    ]


def test_a_cells_pod_cannot_speak_to_the_kubernetes_api() -> None:
    rendered = cells({})

    assert pod(rendered)["automountServiceAccountToken"] is False
    account = rendered.one("ServiceAccount", pod(rendered)["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("release", ["a", "a-release-with-a-name-as-long-as-helm-lets-you-give-it"])
def test_names_stay_short_enough_for_what_is_added_to_them(release: str) -> None:
    model = {"name": "a-model-whose-name-is-quite-long-too-32b-instruct", "source": "org/m"}
    for parts in (1, 2):
        rendered = render(CHART, {"models": [{**model, "pipelineParallelSize": parts}]}, name=release[:53])
        kind = "Deployment" if parts == 1 else "LeaderWorkerSet"
        names = [one["metadata"]["name"] for one in rendered.of(kind)]
        # KEDA's HPA adds keda-hpa-, a ReplicaSet's pod 17 characters at most cut by Kubernetes, a group's pod -N-N.
        assert all(len(f"keda-hpa-{one['metadata']['name']}") <= 63 for one in rendered.of("ScaledObject"))
        assert all(len(f"{name}-99-9") <= 63 for name in names)
        assert all(len(one["metadata"]["name"]) <= 63 for one in rendered.of("Service"))
