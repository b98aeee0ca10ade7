"""What tests of discovery put into a cluster: scripted cells behind a Service, an account that may look for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubernetes import client

from serving.adapters.kubernetes.access import Access, in_cluster
from tests.cluster.kube import Kube

GROUP = "discovery.k8s.io"
SLICES = "endpointslices"


def reader(kube: Kube, account: str, folder: Path) -> Access:
    """A new service account that may list and watch EndpointSlices here and nothing else, as a pod would have it."""
    rbac, meta = client.RbacAuthorizationV1Api(), {"name": account}
    kube.core.create_namespaced_service_account(kube.namespace, {"metadata": meta})
    rules = [{"apiGroups": [GROUP], "resources": [SLICES], "verbs": ["list", "watch"]}]
    rbac.create_namespaced_role(kube.namespace, {"metadata": meta, "rules": rules})
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": kube.namespace}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    rbac.create_namespaced_role_binding(kube.namespace, {"metadata": meta, "roleRef": role, "subjects": subjects})
    ask = {"spec": {"audiences": [], "expirationSeconds": 3600}}
    token = kube.core.create_namespaced_service_account_token(account, kube.namespace, ask).status.token
    authority = kube.core.read_namespaced_config_map("kube-root-ca.crt", kube.namespace).data["ca.crt"]
    for name, text in {"token": token, "namespace": kube.namespace, "ca.crt": authority}.items():
        (folder / name).write_text(text, encoding="ascii")
    host = kube.core.read_namespaced_service("kubernetes", "default").spec.cluster_ip
    return in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, folder)


def cells(kube: Kube, name: str, replicas: int) -> None:
    """A Deployment of scripted cells and its headless Service."""
    labels = {"app.kubernetes.io/component": "engine", "app.kubernetes.io/name": name}
    container: dict[str, Any] = {
        "name": "engine",
        "image": "tidegate/engine:scripted",
        "env": [{"name": "TIDEGATE_ENGINE__SERVED_MODEL_NAME", "value": name}],
        "ports": [{"name": "http", "containerPort": 30000, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/-/healthz", "port": "http"}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "2"]}}},
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    kube.apps.create_namespaced_deployment(kube.namespace, {"metadata": {"name": name}, "spec": spec})
    ports = [{"name": "http", "port": 30000, "targetPort": "http", "protocol": "TCP"}]
    service = {"clusterIP": "None", "selector": labels, "ports": ports}
    kube.core.create_namespaced_service(kube.namespace, {"metadata": {"name": name}, "spec": service})


def remove_cells(kube: Kube, name: str) -> None:
    kube.apps.delete_namespaced_deployment(name, kube.namespace)
    kube.core.delete_namespaced_service(name, kube.namespace)
