"""Reads ScaledObjects, their HPAs and their workloads from a cluster; it judges nothing and changes nothing."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, InsecureRequestWarning
from yaml import YAMLError

Document = dict[str, Any]
_GROUP, _VERSION, _PLURAL = "keda.sh", "v1alpha1", "scaledobjects"
# An HPA read as autoscaling/v1 carries the newer versions' conditions here, on every Kubernetes.
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_NOT_FOUND = 404
_TIMEOUT_SECONDS = 10.0


class ClusterError(Exception):
    """The cluster cannot be read; the message says what to do."""


class Condition(NamedTuple):
    """One condition of an object. `status` is True, False or Unknown, as Kubernetes writes it."""

    kind: str
    status: str
    reason: str
    message: str


class Hpa(NamedTuple):
    """The HPA that KEDA made."""

    name: str
    current: int
    desired: int
    conditions: tuple[Condition, ...]


class Scaled(NamedTuple):
    """One ScaledObject and what belongs to it. `hpa` is None before KEDA made it; counts are 0 where nothing is.

    `missing` names the workload that its target is and that is not there; "": it is.
    """

    document: Document
    conditions: tuple[Condition, ...]
    hpa: Hpa | None
    spec_replicas: int
    status_replicas: int
    ready_replicas: int
    missing: str = ""

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    def condition(self, kind: str) -> Condition | None:
        return next((one for one in self.conditions if one.kind == kind), None)


class Cluster:
    """One namespace, by KUBECONFIG or, inside a pod, by its service account. Raises `ClusterError`."""

    def __init__(self, namespace: str, context: str | None = None) -> None:
        _load(context)
        self._namespace = namespace
        self._custom, self._apps = client.CustomObjectsApi(), client.AppsV1Api()
        self._hpas, self._core = client.AutoscalingV1Api(), client.CoreV1Api()

    def scaled(self, name: str | None = None) -> list[Scaled]:
        """All ScaledObjects of the namespace, or the one of this name, with what they scale. Raises `ClusterError`."""
        return [self._read(document) for document in self.documents(name)]

    def documents(self, name: str | None = None) -> list[Document]:
        """They alone: what they scale may be gone. Raises `ClusterError`, also where there is no such namespace."""
        try:
            found = _asked(self._custom.list_namespaced_custom_object, _GROUP, _VERSION, self._namespace, _PLURAL)
        except ApiException as error:
            known = "KEDA is not installed there" if error.status == _NOT_FOUND else error.reason
            raise ClusterError(f"no ScaledObjects in {self._namespace}: {known}") from None
        if not found["items"]:
            self._check_namespace()
        chosen: list[Document] = [one for one in found["items"] if name in (None, one["metadata"]["name"])]
        if name is not None and not chosen:
            there = ", ".join(one["metadata"]["name"] for one in found["items"]) or "none"
            raise ClusterError(f"no ScaledObject {name} in {self._namespace}; there: {there}")
        return chosen

    def others(self) -> list[Document]:
        """The HPAs of the namespace that no ScaledObject made, as far as their owner and target go."""
        try:
            found = _asked(self._hpas.list_namespaced_horizontal_pod_autoscaler, self._namespace).items
        except ApiException as error:
            raise ClusterError(f"no HorizontalPodAutoscalers in {self._namespace}: {error.reason}") from None
        return [
            {
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": one.metadata.name, "namespace": self._namespace},
                "spec": {"scaleTargetRef": {"kind": target.kind, "name": target.name}},
            }
            for one in found
            if all(owner.kind != "ScaledObject" for owner in one.metadata.owner_references or ())
            for target in (one.spec.scale_target_ref,)
        ]

    def _check_namespace(self) -> None:
        """Where there is nothing in it. One that may not be looked at may be there."""
        try:
            _asked(self._core.read_namespace, self._namespace)
        except ApiException as error:
            if error.status == _NOT_FOUND:
                raise ClusterError(f"no namespace {self._namespace} in this cluster; give another by -n") from None

    def _read(self, document: Document) -> Scaled:
        status = document.get("status") or {}
        hpa = status.get("hpaName") or f"keda-hpa-{document['metadata']['name']}"
        counts = self._replicas(target := document["spec"]["scaleTargetRef"])
        missing = "" if counts else f"{target.get('kind', 'Deployment')} {target['name']}"
        conditions = _conditions(status.get("conditions"))
        return Scaled(document, conditions, self._hpa(hpa), *(counts or (0, 0, 0)), missing)

    def _hpa(self, name: str) -> Hpa | None:
        try:
            found = _asked(self._hpas.read_namespaced_horizontal_pod_autoscaler, name, self._namespace)
        except ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise ClusterError(f"HorizontalPodAutoscaler {name}: {error.reason}") from None
        told = json.loads((found.metadata.annotations or {}).get(_CONDITIONS, "[]"))
        return Hpa(name, found.status.current_replicas or 0, found.status.desired_replicas or 0, _conditions(told))

    def _replicas(self, target: Document) -> tuple[int, int, int] | None:
        """Wanted, there, ready; None: there is no such workload."""
        kind, name = target.get("kind", "Deployment"), target["name"]
        try:
            if kind == "Deployment":
                found = _asked(self._apps.read_namespaced_deployment, name, self._namespace)
                status = found.status
                return found.spec.replicas or 0, status.replicas or 0, status.ready_replicas or 0
            group, _, version = target["apiVersion"].partition("/")
            plural = f"{kind.lower()}s"
            place = (group, version, self._namespace, plural, name)
            found = _asked(self._custom.get_namespaced_custom_object, *place)
        except ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise ClusterError(f"{kind} {name}, which is to be scaled: {error.reason}") from None
        status = found.get("status") or {}
        return found["spec"].get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)


def _load(context: str | None) -> None:
    place = config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        config.load_kube_config(context=context)
    except (YAMLError, OSError, AttributeError, TypeError):
        raise ClusterError(f"no cluster: {place} is no kubeconfig; set KUBECONFIG to one") from None
    except config.ConfigException as error:
        if context is not None:
            raise ClusterError(f"no context {context}: {error}") from None
        try:
            config.load_incluster_config()
        except config.ConfigException:
            raise ClusterError(f"no cluster: {place}: {error} Set KUBECONFIG to a kubeconfig") from None


def _asked(call: Callable[..., Any], *place: str) -> Any:
    try:
        with warnings.catch_warnings():
            # A kubeconfig with insecure-skip-tls-verify says so itself.
            warnings.simplefilter("ignore", InsecureRequestWarning)
            return call(*place, _request_timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        raise ClusterError(f"the cluster does not answer: {getattr(error, 'reason', None) or error}") from None


def _conditions(told: list[Document] | None) -> tuple[Condition, ...]:
    return tuple(
        Condition(one["type"], str(one.get("status", "")), one.get("reason", ""), one.get("message", ""))
        for one in told or ()
    )
