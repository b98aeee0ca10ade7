"""`helm test`: the program of its pod, run here against a real front."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.front_process import Front
from tests.support.helm import Obj, render
from tests.support.ports import free_port
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    engine = ScriptedEngine()
    engine.up()
    front = Front([engine.url])
    try:
        yield front.start()
    finally:
        front.kill()
        engine.down()


@pytest.fixture(scope="module")
def pod() -> Obj:
    return render("charts/tidegate", {"models": [{"name": "tiny", "source": "org/tiny"}]}).one("Pod")


def chat(pod: Obj, **environment: str) -> subprocess.CompletedProcess[str]:
    container = pod["spec"]["containers"][0]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one} | environment
    command = [sys.executable, *container["command"][1:], *container["args"]]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)


def test_it_prints_what_the_model_answered_in_both_ways(pod: Obj, front: Front) -> None:
    done = chat(pod, CHAT_URL=f"{front.base_url}/v1", CHAT_KEY=front.key)

    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["tiny (stream)", "tiny (whole)"]
    assert all(line.split(": ", 1)[1].strip("'\"") for line in done.stdout.splitlines())


def test_it_tries_again_until_its_time_is_up_and_then_says_what_it_met(pod: Obj, front: Front) -> None:
    done = chat(pod, CHAT_URL=f"{front.base_url}/v1", CHAT_KEY=front.key, CHAT_MODELS="other", CHAT_SECONDS="3")

    assert done.returncode == 1
    assert done.stdout.count("trying again") >= 1
    assert "FAILED: other does not answer (stream)" in done.stderr
    assert "404" in done.stderr


def test_a_front_that_is_not_there_is_named(pod: Obj) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    done = chat(pod, CHAT_URL=url, CHAT_KEY="sk", CHAT_SECONDS="0")

    assert done.returncode == 1
    assert f"at {url}" in done.stderr
    assert "refused" in done.stderr


def test_a_secret_without_a_plain_key_is_named(pod: Obj) -> None:
    done = chat(pod)

    assert done.returncode == 1
    assert "the Secret chat-keys has no key api-key" in done.stderr


def test_it_asks_the_front_of_its_own_release_with_the_key_that_the_release_made(pod: Obj) -> None:
    rendered = render("charts/tidegate")
    environment = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
    port = rendered.one("Service", "chat-front")["spec"]["ports"][0]["port"]
    reference = environment["CHAT_KEY"]["valueFrom"]["secretKeyRef"]

    assert environment["CHAT_URL"]["value"] == f"http://chat-front.prod:{port}/v1"
    assert reference["key"] in rendered.one("Secret", reference["name"])["data"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
