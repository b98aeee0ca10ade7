"""Looks at one namespace of a cluster and breaks things in it; it installs nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.cluster.tool import cluster

Obj = Any


class Kube:
    """The objects of a namespace, read anew at each call."""

    def __init__(self, namespace: str) -> None:
        config.load_kube_config()
        self.namespace = namespace
        self.core, self.apps = client.CoreV1Api(), client.AppsV1Api()
        self._scaling, self._custom = client.AutoscalingV1Api(), client.CustomObjectsApi()

    def replicas(self, deployment: str) -> tuple[int, int]:
        """Wanted and ready ones."""
        found = self.apps.read_namespaced_deployment(deployment, self.namespace)
        return found.spec.replicas or 0, found.status.ready_replicas or 0

    def scale(self, deployment: str, replicas: int) -> None:
        self.apps.patch_namespaced_deployment_scale(deployment, self.namespace, {"spec": {"replicas": replicas}})

    def pods(self, component: str) -> list[Obj]:
        """Those that are not being deleted, oldest first."""
        selector = f"app.kubernetes.io/component={component}"
        found = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        alive = [pod for pod in found if pod.metadata.deletion_timestamp is None]
        return sorted(alive, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))

    def unscheduled(self, component: str) -> list[str]:
        """Why the scheduler placed them nowhere, one text for each such pod."""
        conditions = [one for pod in self.pods(component) for one in pod.status.conditions or ()]
        return [one.message for one in conditions if one.type == "PodScheduled" and one.status == "False"]

    def holds_only(self, node: str, component: str) -> bool:
        """No pod of another component runs on the node."""
        pods = self.core.list_namespaced_pod(self.namespace, field_selector=f"spec.nodeName={node}").items
        return all((pod.metadata.labels or {}).get("app.kubernetes.io/component") == component for pod in pods)

    def restarts(self, pod: str) -> int:
        """How often its containers came back."""
        status = self.core.read_namespaced_pod(pod, self.namespace).status
        return sum(one.restart_count for one in status.container_statuses or ())

    def log(self, pod: str) -> str:
        told: str = self.core.read_namespaced_pod_log(pod, self.namespace)
        return told

    def delete_pod(self, name: str) -> None:
        self.core.delete_namespaced_pod(name, self.namespace)

    def service_address(self, name: str) -> str:
        """`http://IP:PORT` of its first port."""
        spec = self.core.read_namespaced_service(name, self.namespace).spec
        return f"http://{spec.cluster_ip}:{spec.ports[0].port}"

    def secret(self, name: str) -> dict[str, str]:
        import base64

        data = self.core.read_namespaced_secret(name, self.namespace).data or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def hpa(self, name: str) -> Obj:
        return self._scaling.read_namespaced_horizontal_pod_autoscaler(name, self.namespace)

    def scaled_object(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._custom.get_namespaced_custom_object(
            "keda.sh", "v1alpha1", self.namespace, "scaledobjects", name
        )
        return found

    def condition(self, scaled_object: str, kind: str) -> str:
        """The status of a ScaledObject's condition."""
        conditions = self.scaled_object(scaled_object).get("status", {}).get("conditions", [])
        return next((one["status"] for one in conditions if one["type"] == kind), "")

    def scaled_objects(self) -> list[str]:
        found = self._custom.list_namespaced_custom_object("keda.sh", "v1alpha1", self.namespace, "scaledobjects")
        return [one["metadata"]["name"] for one in found["items"]]

    def left_over(self) -> list[str]:
        """Every object of the namespace that a chart could have made, as kind/name."""
        listed = {
            "Deployment": self.apps.list_namespaced_deployment,
            "StatefulSet": self.apps.list_namespaced_stateful_set,
            "Service": self.core.list_namespaced_service,
            "ConfigMap": self.core.list_namespaced_config_map,
            "Secret": self.core.list_namespaced_secret,
            "ServiceAccount": self.core.list_namespaced_service_account,
            "HorizontalPodAutoscaler": self._scaling.list_namespaced_horizontal_pod_autoscaler,
        }
        return [f"{kind}/{one.metadata.name}" for kind, list_ in listed.items() for one in list_(self.namespace).items]


def until(what: str, happened: Callable[[], bool], seconds: float = 120) -> float:
    """Wait for it; the seconds that it took. Fails with what the cluster says of its pods."""
    began = time.monotonic()
    while True:
        try:
            if happened():
                return time.monotonic() - began
        except ApiException as error:
            if error.status != 404:
                raise
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{_explained()}")
        time.sleep(0.2)


def _explained() -> str:
    try:
        return cluster("explain")
    except (RuntimeError, subprocess.SubprocessError) as error:
        return f"(nothing more is known: {error})"
