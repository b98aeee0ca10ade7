"""The chart's whole system with a real vLLM on the CPU: it chats, a session outlives its engine, nothing is left."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.engine.tiny import make_tiny_model
from tests.cluster import fast
from tests.cluster.kube import Kube, until
from tests.cluster.release import Release
from tests.cluster.tool import is_inside

NAME, MODEL = "real", "tiny"
ENGINE, FRONT = f"{NAME}-engine-{MODEL}", f"{NAME}-front"
_START_SECONDS = 300


@pytest.fixture(scope="module")
def weights() -> Path:
    """The tiny model, readable for the pods' user."""
    if not is_inside():
        pytest.skip("the tiny model lies on this machine: only the tool's pods see it")
    # Beside the interpreter: the one folder that no volume of a pod hides.
    folder = Path(sys.prefix) / "tiny-in-cluster"
    shutil.rmtree(folder, ignore_errors=True)
    make_tiny_model(folder, lambda _: None)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def values(weights: Path) -> dict[str, Any]:
    """The scripted release's, with a real cell that needs no GPU."""
    small = fast.values()
    entry = {
        **small["models"][0],
        "name": MODEL,
        "source": str(weights),
        "device": "cpu",
        "tolerations": [],
        "maxModelLen": 1024,
        "sharedMemory": "512Mi",
        "startSeconds": _START_SECONDS,
        "drain": {"preStopSeconds": 3, "streamSeconds": 60},
        "scaling": {"minReplicas": 1, "maxReplicas": 2},
    }
    return {**small, "images": {}, "models": [entry]}


@pytest.fixture(scope="module")
def release(kube: Kube, weights: Path) -> Iterator[Release]:
    made = Release("charts/tidegate", NAME, kube.namespace)
    made.install(values(weights))
    yield made
    if kube.pods("front"):
        made.uninstall()


def turn(kube: Kube, session: str, text: str) -> dict[str, Any]:
    """One turn of a session through the front's Service; the answer's message."""
    headers = {"authorization": f"Bearer {kube.secret(f'{NAME}-keys')['api-key']}", "x-session-id": session}
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 8}
    url = f"{kube.service_address(FRONT)}/v1/chat/completions"
    answer = httpx.post(url, json=body, headers=headers, timeout=_START_SECONDS)
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def test_helm_test_chats_with_a_real_engine(release: Release, kube: Kube) -> None:
    until("the cell", lambda: kube.replicas(ENGINE) == (1, 1), _START_SECONDS)

    release.test()


def test_a_session_goes_on_when_its_engine_has_left(release: Release, kube: Kube) -> None:
    first = turn(kube, "trip", "I am going to Lisbon.")
    (old,) = kube.pods("engine")
    kube.delete_pod(old.metadata.name)

    second = turn(kube, "trip", "Where am I going?")

    (new,) = kube.pods("engine")
    assert new.metadata.name != old.metadata.name
    grown = second["usage"]["prompt_tokens"] - first["usage"]["prompt_tokens"]
    print(f"prompts of {first['usage']['prompt_tokens']} and {second['usage']['prompt_tokens']} tokens, two engines")
    assert grown > first["usage"]["completion_tokens"]


def test_uninstalling_leaves_the_conversations_and_nothing_else(release: Release, kube: Kube) -> None:
    release.uninstall()
    until("every pod has left", lambda: not any(kube.pods(one) for one in ("engine", "front", "redis", "postgres")))

    # The database's claim stays, and the password that opens it. The HPA is KEDA's and goes with its ScaledObject.
    left = [f"Secret/{NAME}-postgres"]
    until(f"{left} and nothing else", lambda: [one for one in kube.left_over() if f"{NAME}-" in one] == left)
