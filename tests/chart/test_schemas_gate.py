"""The gate itself: what it has to refuse, it refuses, by path."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.kube_schemas import HIGHEST, LOWEST, problems, require_crds

POD: dict[str, Any] = {"containers": [{"name": "engine", "image": "engine:1"}]}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "cell"},
    "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}},
}
SCALED: dict[str, Any] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "cell", "labels": {"free": "form"}},
    "spec": {
        "scaleTargetRef": {"name": "cell"},
        "minReplicaCount": 1,
        "maxReplicaCount": 4,
        "triggers": [
            {"type": "prometheus", "metadata": {"serverAddress": "http://p:9090", "query": "up", "threshold": "1"}}
        ],
    },
}
MONITOR: dict[str, Any] = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PodMonitor",
    "metadata": {"name": "cell"},
    "spec": {"selector": {"matchLabels": {"a": "b"}}, "podMetricsEndpoints": [{"port": "http", "interval": "5s"}]},
}
NOT_YET = "Kubernetes 1.25 has no ValidatingAdmissionPolicy of admissionregistration.k8s.io/v1"
GROUP: dict[str, Any] = {
    "apiVersion": "leaderworkerset.x-k8s.io/v1",
    "kind": "LeaderWorkerSet",
    "metadata": {"name": "cell"},
    "spec": {
        "leaderWorkerTemplate": {
            "size": 2,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": {"spec": POD},
            "workerTemplate": {"spec": POD},
        }
    },
}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one value at a dotted path."""
    copied = copy.deepcopy(document)
    *branches, leaf = path.split(".")
    place: Any = copied
    for branch in branches:
        place = place[int(branch)] if branch.isdigit() else place[branch]
    place[leaf] = value
    return copied


@pytest.mark.parametrize("kubernetes", [LOWEST, HIGHEST])
@pytest.mark.parametrize("document", [DEPLOYMENT, SCALED, MONITOR, GROUP], ids=lambda one: one["kind"])
def test_a_right_object_passes(document: dict[str, Any], kubernetes: str) -> None:
    require_crds()
    assert problems(document, kubernetes) == []


@pytest.mark.parametrize(
    ("document", "path", "value", "said"),
    [
        (DEPLOYMENT, "spec.template.spec.containers.0.readinesProbe", {}, "readinesProbe"),
        (DEPLOYMENT, "spec.replicas", "two", "spec.replicas"),
        (DEPLOYMENT, "apiVersion", "extensions/v1beta1", "no Deployment of extensions/v1beta1"),
        (SCALED, "spec.triggers.0.metadata.threshold", 0.75, "not a string"),
        (SCALED, "spec.triggers.0.metadata.treshold", "1", "unknown treshold"),
        (SCALED, "spec.triggers.0.metricTyp", "Value", "metricTyp"),
        (SCALED, "spec.advanced", {"scalingModifiers": {"formular": "a"}}, "formular"),
        (SCALED, "spec.minReplicaCount", 5, "above maxReplicaCount 4"),
        (MONITOR, "spec.podMetricsEndpoints.0.intervall", "5s", "intervall"),
        (GROUP, "spec.leaderWorkerTemplate.sizes", 2, "sizes"),
        (GROUP, "spec.leaderWorkerTemplate.workerTemplate.spec", {"container": []}, "workerTemplate"),
        (GROUP, "spec.leaderWorkerTemplate.restartPolicy", "Always", "restartPolicy"),
    ],
)
def test_a_wrong_object_is_refused_by_name(document: dict[str, Any], path: str, value: Any, said: str) -> None:
    require_crds()
    found = problems(changed(document, path, value), HIGHEST)

    assert said in " ".join(found), found


def test_a_kind_that_came_later_is_refused_for_an_older_kubernetes() -> None:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "newer"},
    }

    assert problems(policy, LOWEST) == ["ValidatingAdmissionPolicy/newer: " + NOT_YET]
    assert problems(policy, HIGHEST) == []
