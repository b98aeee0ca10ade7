"""Which engines EndpointSlices mean. The shapes were taken from Kubernetes 1.20 and 1.34."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.adapters.kubernetes.access import in_cluster
from serving.adapters.kubernetes.slices import PortUnclear, Service, service, urls
from serving.errors import SettingsError
from tests.support.slice_api import endpoint, slice_of

QWEN = Service("models", "qwen", None)


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("qwen", Service("models", "qwen", None)),
        ("qwen:http", Service("models", "qwen", "http")),
        ("other/qwen-3:http-1", Service("other", "qwen-3", "http-1")),
    ],
)
def test_an_entry_names_a_service_and_perhaps_its_namespace_and_port(entry: str, meant: Service) -> None:
    assert service(entry, own_namespace="models") == meant


@pytest.mark.parametrize("entry", ["", "a/b/c", "qwen:", "/qwen", "Qwen", "http://qwen:80", "qwen&watch=1"])
def test_another_entry_is_refused_with_an_example(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"^front\.endpoint_slices: .*models/qwen3:http"):
        service(entry, own_namespace="models")


@pytest.mark.parametrize(
    ("conditions", "is_engine"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": True, "serving": True, "terminating": False}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        # A Service that publishes addresses that are not ready.
        ({"ready": True, "serving": False, "terminating": False}, False),
        ({"ready": True, "serving": True, "terminating": True}, False),
    ],
)
def test_ready_and_not_terminating_is_an_engine(conditions: dict[str, bool], is_engine: bool) -> None:
    found = urls(QWEN, [slice_of("qwen", endpoint("10.0.0.1", **conditions), http=30000)])
    assert found == (("http://10.0.0.1:30000",) if is_engine else ())


def test_slices_of_one_service_are_joined() -> None:
    first = slice_of("qwen", endpoint("10.0.0.2"), endpoint("10.0.0.1"), name="a", http=30000)
    second = slice_of("qwen", endpoint("10.0.0.1"), endpoint("10.0.0.3"), name="b", http=30001)
    empty = slice_of("qwen", name="c")
    assert urls(QWEN, [first, second, empty]) == (
        "http://10.0.0.1:30000",
        "http://10.0.0.1:30001",
        "http://10.0.0.2:30000",
        "http://10.0.0.3:30001",
    )


def test_a_pod_with_two_families_is_one_engine() -> None:
    six = slice_of("qwen", endpoint("fd00::1", pod="qwen-0"), name="a", family="IPv6", http=30000)
    four = slice_of("qwen", endpoint("10.0.0.1", pod="qwen-0"), name="b", http=30000)
    assert urls(QWEN, [six, four]) == ("http://10.0.0.1:30000",)
    assert urls(QWEN, [six]) == ("http://[fd00::1]:30000",)


def test_the_named_port_is_taken() -> None:
    both = slice_of("qwen", endpoint("10.0.0.1"), http=30000, metrics=9000)
    assert urls(Service("models", "qwen", "http"), [both]) == ("http://10.0.0.1:30000",)


@pytest.mark.parametrize("port", [None, "grpc"])
def test_a_port_that_is_not_clear_is_asked_for(port: str | None) -> None:
    both = slice_of("qwen", endpoint("10.0.0.1"), http=30000, metrics=9000)
    with pytest.raises(PortUnclear, match="SERVICE:PORT_NAME; it has: http, metrics"):
        urls(Service("models", "qwen", port), [both])


def test_outside_a_cluster_the_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^front\.endpoint_slices: works in a pod only"):
        in_cluster({})


def test_a_pod_without_a_service_account_is_told_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"token, ca\.crt, namespace: .*automountServiceAccountToken"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_a_pod_with_a_service_account_reaches_its_api(tmp_path: Path, host: str, url: str) -> None:
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).write_text(f"{name}\n", encoding="ascii")
    access = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (access.url, access.namespace(), access.bearer()) == (url, "namespace", "Bearer token")
