"""Takes pods of the cluster tool off its network without a word, as when a machine loses its power."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.cluster.kube import Kube

Obj = Any


def silence(kube: Kube, node: str) -> None:
    """Nothing that the node's pods send arrives any more, not even the end of their connections."""
    pods = kube.core.list_namespaced_pod(kube.namespace, field_selector=f"spec.nodeName={node}").items
    addresses = {pod.status.pod_ip for pod in pods}
    for name in (line.split()[0] for line in _ip("netns", "list").splitlines()):
        mine = {one["local"] for link in json.loads(_ip("-n", name, "-j", "addr")) for one in link["addr_info"]}
        if mine & addresses:
            # The tool's names: namespace n0-7 has the other end of link v0-7.
            _ip("link", "set", f"v{name[1:]}", "down")


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout
