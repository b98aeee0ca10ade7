"""Stands for Prometheus' Kubernetes discovery, which Debian's build lacks: pods become targets by HTTP discovery.

A test double of that one part. `discovery.py PROMETHEUS ARGUMENTS` runs the real Prometheus on a copy of its
configuration in which every `kubernetes_sd_configs` of role pod asks this process instead; the copy follows the
original. Labels are those that Prometheus documents for that role, one target per container port.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Obj = dict[str, Any]
_LOOK_SECONDS = 0.2
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")


class Api:
    """The API server, as the configuration says how to reach it."""

    def __init__(self) -> None:
        self.server, self.token = "", ""
        self._context = ssl._create_unverified_context()

    def pods(self, namespace: str) -> list[Obj]:
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        request = urllib.request.Request(self.server + path, headers={"authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, context=self._context, timeout=5) as answer:
            found: list[Obj] = json.load(answer)["items"]
        return found


def targets(pod: Obj) -> Iterator[Obj]:
    """None for a pod that has no address yet."""
    address = pod["status"].get("podIP")
    for container in pod["spec"]["containers"] if address else ():
        for port in container.get("ports", []):
            labels = {
                **_pod_labels(pod),
                "pod_container_name": container["name"],
                "pod_container_port_name": port.get("name", ""),
                "pod_container_port_number": str(port["containerPort"]),
                "pod_container_port_protocol": port.get("protocol", "TCP"),
                "pod_container_init": "false",
            }
            yield {
                "targets": [f"{address}:{port['containerPort']}"],
                "labels": {f"__meta_kubernetes_{name}": value for name, value in labels.items()},
            }


def _pod_labels(pod: Obj) -> dict[str, str]:
    meta, status = pod["metadata"], pod["status"]
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    owner = next((one for one in meta.get("ownerReferences", []) if one.get("controller")), {})
    labels = {
        "namespace": meta["namespace"],
        "pod_name": meta["name"],
        "pod_uid": meta["uid"],
        "pod_ip": status["podIP"],
        "pod_phase": status.get("phase", ""),
        "pod_ready": conditions.get("Ready", "Unknown").lower(),
        "pod_node_name": pod["spec"].get("nodeName", ""),
        "pod_host_ip": status.get("hostIP", ""),
        "pod_controller_kind": owner.get("kind", ""),
        "pod_controller_name": owner.get("name", ""),
    }
    for kind in ("label", "annotation"):
        for name, value in (meta.get(f"{kind}s") or {}).items():
            labels[f"pod_{kind}_{_UNFIT.sub('_', name)}"] = value
            labels[f"pod_{kind}present_{_UNFIT.sub('_', name)}"] = "true"
    return labels


class Handler(BaseHTTPRequestHandler):
    """`/NAMESPACE` or `/`: Prometheus' HTTP discovery."""

    api: Api

    def do_GET(self) -> None:
        """All pods of the namespace, or of all."""
        try:
            body = json.dumps([one for pod in self.api.pods(self.path.strip("/")) for one in targets(pod)]).encode()
            self.send_response(200)
        except (OSError, KeyError, ValueError) as error:
            body = str(error).encode()
            self.send_response(500)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def rewritten(original: str, api: Api, url: str) -> str:
    """The configuration with our discovery in it; what the original says of the API server goes to `api`."""
    config = json.loads(original)
    for job in config["scrape_configs"]:
        searches = job.pop("kubernetes_sd_configs", [])
        for search in searches:
            api.server, api.token = search["api_server"], search["authorization"]["credentials"]
        names = [name for search in searches for name in search.get("namespaces", {}).get("names", [""])]
        if searches:
            job["http_sd_configs"] = [{"url": f"{url}/{name}", "refresh_interval": "1s"} for name in names]
    return json.dumps(config)


def main(prometheus: str, arguments: list[str]) -> None:
    """Until killed: the copy follows the original, whether Prometheus runs or not."""
    Handler.api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    place = arguments.index("--config.file") + 1
    original = Path(arguments[place])
    copy = original.with_suffix(".discovered.yml")
    copy.write_text(seen := rewritten(original.read_text(), Handler.api, url))
    arguments[place] = str(copy)
    listen = arguments[arguments.index("--web.listen-address") + 1]
    subprocess.Popen([prometheus, *arguments])
    while True:
        time.sleep(_LOOK_SECONDS)
        try:
            now = rewritten(original.read_text(), Handler.api, url)
            if now != seen:
                copy.write_text(now)
                urllib.request.urlopen(f"http://{listen}/-/reload", data=b"", timeout=5).close()
                seen = now
        except (ValueError, OSError, urllib.error.URLError):
            continue  # half written, or Prometheus is away: the next look is soon


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
