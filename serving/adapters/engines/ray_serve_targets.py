"""Reads which replicas a Ray Serve has from its dashboard's answer; it neither fetches it nor imports Ray.

The answer is that of `GET {front.ray_serve}/api/serve/applications/`, with `Authorization: Bearer` and the Ray token
where the cluster has one. Serve must run with direct ingress. A cell without a dashboard (the default: it takes 0.6 GB)
has its replicas on `engine.port` and the ports after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Serve lists its own proxy instead while an application has no running replica.
_REPLICA_PREFIX = "SERVE_REPLICA::"


def targets(applications_json: bytes) -> tuple[str, ...]:
    """Base URLs of the running replicas, sorted; empty while there are none. Raises `ValueError` for another shape."""
    answer = json.loads(applications_json)
    groups = answer.get("target_groups") if isinstance(answer, dict) else None
    if not isinstance(groups, list):
        raise ValueError("not an answer of Ray Serve's /api/serve/applications/: it has no target_groups")
    return tuple(sorted({url for group in groups for url in _urls(group)}))


def _urls(group: Any) -> Iterator[str]:
    match group:
        case {"protocol": "HTTP", "targets": list() as entries}:
            for entry in entries:
                match entry:
                    case {"ip": str(ip), "port": int(port), "name": str(name)} if name.startswith(_REPLICA_PREFIX):
                        yield f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"
