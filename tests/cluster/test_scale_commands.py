"""`tidegate scale lint --cluster` and `replay` as an operator runs them: what they find and say, how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kubernetes import client

from tests.cluster import fast
from tests.cluster.chatters import Chatters
from tests.cluster.fast import ENGINE, FRONT, chat, values
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release

_SCALED_OBJECTS = ("keda.sh", "v1alpha1")
# Nobody listens there, and there is no such name.
_AWAY, _UNKNOWN = "http://127.0.0.1:9", "http://prometheus.nowhere.svc:9090"


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Its one line on standard error; nothing was printed."""
        (line,) = self.err.splitlines()
        assert self.out == ""
        return line.removeprefix("tidegate: error: ")


def scale(*words: str) -> Said:
    command = [sys.executable, "-m", "serving.cli", "scale", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    print(f"$ tidegate scale {' '.join(words)}\n{done.stdout}{done.stderr}(status {done.returncode})")
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def release(kube: Kube) -> Iterator[Release]:
    """Cells and fronts scaled, and a rise of the load behind it."""
    made = Release("charts/tidegate", fast.NAME, kube.namespace)
    asked = values()
    made.install({**asked, "front": {**asked["front"], "autoscaling": {"enabled": True}}})
    with Chatters(chat(kube), 20):
        until("2 cells under load", lambda: kube.replicas(ENGINE)[1] >= 2)
    yield made
    made.uninstall()
    until("every pod has left", lambda: not kube.pods("engine") and not kube.pods("front"))


@contextmanager
def there(kube: Kube, scaled_object: dict[str, Any], hpa: dict[str, Any]) -> Iterator[None]:
    """Both objects, made by somebody else."""
    custom, hpas = client.CustomObjectsApi(), client.AutoscalingV1Api()
    place = (*_SCALED_OBJECTS, kube.namespace, "scaledobjects")
    custom.create_namespaced_custom_object(*place, scaled_object)
    hpas.create_namespaced_horizontal_pod_autoscaler(kube.namespace, hpa)
    try:
        yield
    finally:
        hpas.delete_namespaced_horizontal_pod_autoscaler(hpa["metadata"]["name"], kube.namespace)
        custom.delete_namespaced_custom_object(*place, scaled_object["metadata"]["name"])


def playbook(workload: str) -> dict[str, Any]:
    """The playbook's trigger as pasted, for a workload that is not there."""
    metadata = {"serverAddress": _UNKNOWN, "query": "avg(vllm:kv_cache_usage_perc)", "threshold": "0.75"}
    spec = {"scaleTargetRef": {"name": workload}, "triggers": [{"type": "prometheus", "metadata": metadata}]}
    return {
        **{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"},
        **{"metadata": {"name": "playbook"}, "spec": {**spec, "minReplicaCount": 1}},
    }


def by_cpu(workload: str) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80}
    return {"metadata": {"name": "by-cpu"}, "spec": spec}


def test_an_installed_release_has_no_finding_against_its_own_live_series(release: Release, kube: Kube) -> None:
    front, cell = (kube.pods(component)[0].status.pod_ip for component in ("front", "engine"))
    live = ("--exposition", f"http://{front}:9000/metrics", "--exposition", f"http://{cell}:30000/metrics")

    # Scraped once a second, as the rates of 10 s want it.
    said = scale("lint", "--cluster", "-n", kube.namespace, "--scrape", "1", *live)

    assert said == Said(0, "", "2 ScaledObjects, 0 findings, 0 errors\n")


def test_what_others_put_beside_it_is_found_out_and_does_not_hide_the_rest(release: Release, kube: Kube) -> None:
    with there(kube, playbook("gone"), by_cpu(ENGINE)):
        linted = scale("lint", "--cluster", "-n", kube.namespace, "--format", "json")
        examined = scale("doctor", "-n", kube.namespace, "--hours", "0.002")

    errors = {(one["where"], one["rule"]) for one in json.loads(linted.out) if one["severity"] == "error"}
    assert (linted.status, linted.err) == (1, "")
    assert errors == {
        ("ScaledObject playbook spec.triggers[0]", "ratio-average-value"),
        (f"ScaledObject {ENGINE}", "two-scalers"),
    }
    wrong = [line for line in examined.out.splitlines() if line.startswith("WRONG")]
    assert examined.status == 1
    assert "WRONG playbook: there is no Deployment gone: correct scaleTargetRef, or delete it" in wrong
    assert any(line.startswith(f"WRONG playbook: 0: {_UNKNOWN} does not answer") for line in wrong)
    assert all("playbook" in line for line in wrong)
    assert f"ok    {ENGINE}: prefill: " in examined.out


def test_a_replay_of_what_just_was_asks_for_what_the_load_needed(release: Release, kube: Kube, tmp_path: Path) -> None:
    page, data = tmp_path / "replay.html", tmp_path / "replay.json"
    files = ("--out", str(page), "--json", str(data))

    said = scale("replay", "--from", "2m", "--step", "1", "-n", kube.namespace, ENGINE, *files)

    assert (said.status, said.err) == (0, "")
    changes = json.loads(data.read_text(encoding="utf-8"))["changes"]
    assert [one for one in changes if one["after"] == 2 and one["why"] in ("decode", "queued", "missed")]
    assert "note: the replicas there were are counted by the trigger ready" in said.out
    assert said.out.endswith(f"{page} draws it\n")
    assert f"What {ENGINE} would have asked for" in page.read_text(encoding="utf-8")


def test_a_front_is_replayed_by_its_own_signal_from_a_count_that_is_given(
    release: Release, kube: Kube, tmp_path: Path
) -> None:
    words = ("replay", "--from", "1m", "--step", "1", "-n", kube.namespace, FRONT, "--out", str(tmp_path / "r.html"))

    uncounted, counted = scale(*words), scale(*words, "--begin", "2")

    assert uncounted.status == 2
    assert uncounted.error.startswith("nobody counted the replicas in this range: give --replicas-query, or --begin")
    assert counted.status == 0
    assert "would have asked for: 2 to 2 replicas" in counted.out


def test_what_is_not_there_is_one_line_that_names_it_and_the_way_on(
    release: Release, kube: Kube, tmp_path: Path
) -> None:
    here, replay = ("-n", kube.namespace), ("replay", "--from", "1m", "--out", str(tmp_path / "r.html"))
    known = f"there: {ENGINE}, {FRONT}"
    cases: list[tuple[tuple[str, ...], str]] = [
        (("lint", "--cluster", "-n", "nowhere"), "no namespace nowhere in this cluster"),
        ((*replay, "-n", "nowhere", ENGINE), "no namespace nowhere in this cluster"),
        ((*replay, *here, "nobody"), f"{kube.namespace}: no ScaledObject nobody; {known}"),
        ((*replay, *here), f"{kube.namespace}: not exactly one ScaledObject, name the one; {known}"),
        ((*replay, *here, ENGINE, "--prometheus", _AWAY), f"{_AWAY} does not answer"),
    ]
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda case: scale(*case[0]), cases))

    assert [one.status for one in said] == [2] * len(cases)
    assert [one.error[: len(wanted)] for one, (_, wanted) in zip(said, cases, strict=True)] == [
        wanted for _, wanted in cases
    ]
