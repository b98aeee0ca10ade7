"""The engine pods as Kubernetes has them, and the one annotation that is written to them."""

from __future__ import annotations

from typing import Any, NamedTuple

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
_TIMEOUT_SECONDS = 10.0
_FORBIDDEN = frozenset({401, 403})
_NOT_FOUND = 404
_FINISHED = frozenset({"Succeeded", "Failed"})


class PodsUnknown(Exception):
    """The cluster did not do what it was asked; the message says what to do."""


class Pod(NamedTuple):
    """`cost` is the annotation's value as it stands, None where there is none."""

    name: str
    address: str | None
    is_ready: bool
    cost: str | None


class ClusterPods:
    """The pods of one namespace that `selector` selects: by the pod's service account, else by KUBECONFIG."""

    def __init__(self, namespace: str, selector: str) -> None:
        try:
            config.load_config()
        except config.ConfigException as error:
            raise PodsUnknown(f"no cluster: neither in a pod nor KUBECONFIG is set ({error})") from None
        self._api = client.CoreV1Api()
        self._namespace = namespace
        self._selector = selector

    def list(self) -> list[Pod]:
        """Those that neither ended nor are being deleted. Raises `PodsUnknown`."""
        try:
            # Version 0 is answered from the API server's memory: this asks every few seconds.
            found = self._api.list_namespaced_pod(
                self._namespace,
                label_selector=self._selector,
                resource_version="0",
                _request_timeout=_TIMEOUT_SECONDS,
            )
        except (ApiException, HTTPError) as error:
            raise PodsUnknown(self._explained(error, "list")) from None
        alive = [one for one in found.items if one.metadata.deletion_timestamp is None]
        return [_pod(one) for one in alive if one.status.phase not in _FINISHED]

    def write(self, pod: Pod, cost: str) -> None:
        """Set the annotation; no effect on a pod that is gone. Raises `PodsUnknown`."""
        body = {"metadata": {"annotations": {ANNOTATION: cost}}}
        try:
            self._api.patch_namespaced_pod(pod.name, self._namespace, body, _request_timeout=_TIMEOUT_SECONDS)
        except ApiException as error:
            if error.status != _NOT_FOUND:
                raise PodsUnknown(self._explained(error, "patch")) from None
        except HTTPError as error:
            raise PodsUnknown(self._explained(error, "patch")) from None

    def _explained(self, error: ApiException | HTTPError, verb: str) -> str:
        if isinstance(error, ApiException) and error.status in _FORBIDDEN:
            return (
                f"the cluster refuses ({error.status}) to {verb} pods in {self._namespace}: "
                "the service account needs the verbs list and patch on pods there"
            )
        reason = error.reason if isinstance(error, ApiException) else str(error)
        return f"cannot {verb} pods in {self._namespace}: {type(error).__name__}: {reason}"


def _pod(one: Any) -> Pod:
    conditions = {condition.type: condition.status for condition in one.status.conditions or ()}
    is_ready = conditions.get("Ready") == "True"
    return Pod(one.metadata.name, one.status.pod_ip, is_ready, (one.metadata.annotations or {}).get(ANNOTATION))
