"""Reads EndpointSlices: which addresses of a Service take requests. It neither fetches them nor watches them.

`discovery.k8s.io/v1` and `v1beta1` have the same shape in all that is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from serving.errors import SettingsError

_NAME = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_ENTRY = re.compile(rf"(?:(?P<namespace>{_NAME})/)?(?P<service>{_NAME})(?::(?P<port>{_NAME}))?")

Slice = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """Whose endpoints are meant; `port` is the name of one of its ports, None for its only one."""

    namespace: str
    name: str
    port: str | None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" + (f":{self.port}" if self.port else "")


class PortUnclear(ValueError):
    """The Service has no port of that name, or several and none is named."""


def service(entry: str, own_namespace: str) -> Service:
    """`[NAMESPACE/]SERVICE[:PORT_NAME]`. Raises `SettingsError`."""
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise SettingsError(
            "front.endpoint_slices", f"{entry!r} is not [NAMESPACE/]SERVICE[:PORT_NAME], e.g. models/qwen3:http"
        )
    return Service(match["namespace"] or own_namespace, match["service"], match["port"])


def urls(of: Service, slices: Iterable[Slice]) -> tuple[str, ...]:
    """Base URLs of the endpoints that take requests, sorted; one per pod, however many families it has.

    Raises `PortUnclear`.
    """
    found: dict[object, str] = {}
    # IPv4 comes before IPv6 in this order, and a pod keeps the first address that it is seen with.
    for one in sorted(slices, key=lambda one: str(one.get("addressType"))):
        endpoints = [endpoint for endpoint in one.get("endpoints") or () if _takes_requests(endpoint)]
        if not endpoints:
            continue
        port = _port(of, one)
        for endpoint in endpoints:
            for address in (endpoint.get("addresses") or ())[:1]:
                url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
                found.setdefault(_identity(endpoint) or url, url)
    return tuple(sorted(set(found.values())))


def _takes_requests(endpoint: dict[str, Any]) -> bool:
    """Not told means yes, and not terminating.

    A Service that publishes addresses that are not ready calls all of them ready; `serving` tells the truth there.
    """
    conditions = endpoint.get("conditions") or {}
    ready = conditions.get("ready") is not False and conditions.get("serving") is not False
    return ready and conditions.get("terminating") is not True


def _port(of: Service, one: Slice) -> int:
    numbered = [port for port in one.get("ports") or () if port.get("port")]
    named = [port for port in numbered if of.port is None or port.get("name") == of.port]
    if len(named) == 1:
        return int(named[0]["port"])
    names = ", ".join(sorted(str(port.get("name") or port["port"]) for port in numbered)) or "none"
    raise PortUnclear(f"which port of {of} is meant? Write SERVICE:PORT_NAME; it has: {names}")


def _identity(endpoint: dict[str, Any]) -> tuple[str, ...]:
    target = endpoint.get("targetRef") or {}
    return tuple(_texts(target)) if target.get("name") else ()


def _texts(target: dict[str, Any]) -> Iterator[str]:
    for key in ("kind", "namespace", "name"):
        yield str(target.get(key))
