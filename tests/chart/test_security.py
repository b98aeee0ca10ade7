"""Every pod under the `restricted` standard, and what must hold for all objects of a release."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.chart.conftest import CHART, release
from tests.support.helm import Obj, Rendered, render

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
# What may ask the Kubernetes API.
_WITH_TOKEN = ("Deployment/chat-front", "Deployment/chat-deletion-cost")
_SECRET_WORDS = ("PASSWORD", "SECRET", "TOKEN", "API_KEY", "REDISCLI_AUTH")


def violations(pod: Obj) -> Iterator[str]:
    """What the Pod Security Standard `restricted` refuses."""
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    yield from (f"volume {one['name']}" for one in pod.get("volumes", []) if not _VOLUMES & one.keys())
    outer = pod.get("securityContext") or {}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        inner = container.get("securityContext") or {}
        here = {**outer, **inner}
        name = container["name"]
        if here.get("runAsNonRoot") is not True or here.get("runAsUser") == 0:
            yield f"{name}: may be root"
        if (here.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccomp"
        if inner.get("allowPrivilegeEscalation") is not False or inner.get("privileged"):
            yield f"{name}: privileges"
        capabilities = inner.get("capabilities") or {}
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities"
        yield from (f"{name}: host port" for port in container.get("ports", []) if "hostPort" in port)


def containers(rendered: Rendered) -> Iterator[tuple[str, Obj]]:
    for owner, pod in rendered.pods():
        for one in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{owner} {one['name']}", one


def test_every_pod_is_one_that_restricted_admits(rendered: Rendered) -> None:
    found = {owner: list(violations(pod)) for owner, pod in rendered.pods()}

    assert found
    assert {owner: said for owner, said in found.items() if said} == {}


def test_the_check_sees_what_restricted_refuses() -> None:
    pod = {"hostPID": True, "volumes": [{"name": "h", "hostPath": {}}], "containers": [{"name": "c"}]}

    assert set(violations(pod)) == {
        *("hostPID", "volume h", "c: may be root", "c: seccomp", "c: privileges", "c: capabilities"),
    }


def test_no_container_writes_into_its_image(rendered: Rendered) -> None:
    writable = [name for name, one in containers(rendered) if not one["securityContext"].get("readOnlyRootFilesystem")]

    assert writable == []


def test_no_secret_is_in_a_pod_in_plain(rendered: Rendered) -> None:
    plain = [
        (name, entry["name"])
        for name, one in containers(rendered)
        for entry in one.get("env", [])
        if any(word in entry["name"] for word in _SECRET_WORDS) and "valueFrom" not in entry
    ]

    assert [(name, entry) for name, entry in plain if entry != "CHAT_SECRET"] == []


def test_only_what_asks_the_kubernetes_api_has_a_token_for_it(rendered: Rendered) -> None:
    holders = {owner for owner, pod in rendered.pods() if pod.get("automountServiceAccountToken") is not False}

    assert {owner for owner in holders if not owner.startswith(_WITH_TOKEN)} == set()


def test_every_port_says_its_protocol(rendered: Rendered) -> None:
    for service in rendered.of("Service"):
        assert all(port["protocol"] == "TCP" for port in service["spec"]["ports"]), service["metadata"]["name"]
    for name, one in containers(rendered):
        assert all(port["protocol"] == "TCP" for port in one.get("ports", [])), name


def test_quantities_are_text(rendered: Rendered) -> None:
    bare = [
        (name, resource, value)
        for name, one in containers(rendered)
        for part in ("requests", "limits")
        for resource, value in (one["resources"].get(part) or {}).items()
        if not isinstance(value, str)
    ]

    assert bare == []


def test_selectors_choose_the_pods_of_their_workload_and_do_not_change_with_the_version(rendered: Rendered) -> None:
    for one in rendered.objects:
        selector = (one.get("spec") or {}).get("selector")
        if one["kind"] not in ("Deployment", "StatefulSet"):
            continue
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert selector["matchLabels"].items() <= labels.items()
        assert not selector["matchLabels"].keys() & {"helm.sh/chart", "app.kubernetes.io/version"}


def test_every_object_says_whose_it_is(rendered: Rendered) -> None:
    wanted = {"app.kubernetes.io/instance": "chat", "app.kubernetes.io/managed-by": "Helm"}

    assert [
        one["metadata"]["name"] for one in rendered.objects if not wanted.items() <= one["metadata"]["labels"].items()
    ] == []


def test_two_releases_in_one_namespace_share_no_name_and_no_pod() -> None:
    def names(release_name: str) -> set[tuple[str, str]]:
        rendered = render(CHART, {"commonLabels": {"team": "chat"}}, name=release_name)
        return {(one["kind"], one["metadata"]["name"]) for one in rendered.objects}

    assert not names("blue") & names("green")


def test_a_long_release_name_still_makes_names_that_kubernetes_takes() -> None:
    rendered = render(CHART, name="r" * 53)

    assert max(len(one["metadata"]["name"]) for one in rendered.objects) <= 63
    assert all(len(f"keda-hpa-{one['metadata']['name']}") <= 63 for one in rendered.of("ScaledObject"))


def test_images_can_be_pinned_by_digest_and_pulled_with_a_secret() -> None:
    digest = f"sha256:{'0' * 64}"
    images = {name: {"digest": digest} for name in ("front", "engine")}
    rendered = render(CHART, {"images": images, "imagePullSecrets": ["registry"]})

    ours = [one["image"] for _, one in containers(rendered) if "ghcr.io" in one["image"]]
    assert {image.partition("@")[2] for image in ours} == {digest}
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for _, pod in rendered.pods())


def test_rendering_twice_differs_in_new_secrets_only() -> None:
    def steady() -> str:
        return json.dumps([one for one in render(CHART).objects if one["kind"] != "Secret"])

    assert steady() == steady()
    assert render(CHART).one("Secret", "-redis")["data"] != release("default").one("Secret", "-redis")["data"]
