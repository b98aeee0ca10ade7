"""Replica URLs in the answer of Ray Serve's dashboard. The shapes were taken from Ray 2.60."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.adapters.engines.ray_serve_targets import targets


def _target(port: int, name: str = "SERVE_REPLICA::engine#vllm#abc", ip: str = "127.0.0.1") -> dict[str, Any]:
    return {"ip": ip, "port": port, "instance_id": "", "name": name}


def _group(*entries: dict[str, Any], protocol: str = "HTTP") -> dict[str, Any]:
    return {"targets": list(entries), "route_prefix": "/", "protocol": protocol, "app_name": "engine"}


def _answer(*groups: dict[str, Any]) -> bytes:
    return json.dumps({"proxy_location": "HeadOnly", "applications": {}, "target_groups": list(groups)}).encode()


def test_every_replica_has_a_url() -> None:
    answer = _answer(_group(_target(30001), _target(30000)), _group(_target(30000, ip="fd00::1")))
    assert targets(answer) == ("http://127.0.0.1:30000", "http://127.0.0.1:30001", "http://[fd00::1]:30000")


def test_the_proxy_that_stands_in_for_missing_replicas_is_none() -> None:
    assert targets(_answer(_group(_target(8000, name="SERVE_PROXY_ACTOR-c178d9dc")))) == ()


def test_other_protocols_are_left_out() -> None:
    assert targets(_answer(_group(_target(40000), protocol="gRPC"))) == ()


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"target_groups": 1}', b"Unauthorized: Missing token"])
def test_another_answer_is_an_error(answer: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        targets(answer)
