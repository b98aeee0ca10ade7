"""Keys from a file: their models, their limits, their expiry."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from serving.front.keys import mint
from tests.support.front_process import Front
from tests.support.raw_http import Answer
from tests.support.script import Script
from tests.support.world import CHAT, MakeWorld, World, chat_body

KEYS: dict[str, dict[str, Any]] = {
    "free": {"name": "free", "team": "red", "key": mint()},
    "elsewhere": {"name": "elsewhere", "team": "red", "key": mint(), "models": ["other"]},
    "here": {"name": "here", "team": "red", "key": mint(), "models": ["tiny", "other"]},
    "expired": {"name": "expired", "team": "red", "key": mint(), "expires": "2026-01-01T00:00:00Z"},
    "lasting": {"name": "lasting", "team": "red", "key": mint(), "expires": "2999-01-01T00:00:00Z"},
    "few": {"name": "few", "team": "red", "key": mint(), "requests_per_minute": 3},
    "few-again": {"name": "few-again", "team": "red", "key": mint(), "requests_per_minute": 5},
    "burst": {"name": "burst", "team": "red", "key": mint(), "requests_per_minute": 20},
    "short": {"name": "short", "team": "red", "key": mint(), "tokens_per_minute": 300},
    "spender": {"name": "spender", "team": "red", "key": mint(), "tokens_per_minute": 2000},
    "quick": {"name": "quick", "team": "red", "key": mint(), "requests_per_minute": 60},
    "own-format": {"name": "own-format", "team": "red", "key": "a-key-of-another-make-0123456789"},
}


@pytest.fixture
def keyed(world: MakeWorld) -> World:
    return world(keys=list(KEYS.values()))


def ask(world: World, name: str, **fields: Any) -> Answer:
    return world.ask(CHAT, chat_body(**fields), key=KEYS[name]["key"])


@pytest.mark.parametrize("name", ["free", "here", "lasting", "own-format"])
def test_a_key_of_the_file_is_accepted(keyed: World, name: str) -> None:
    assert ask(keyed, name).text == "Hello, world"


def test_the_key_of_the_command_line_is_accepted_beside_the_file(keyed: World) -> None:
    assert keyed.say().text == "Hello, world"


def test_a_key_for_other_models_is_refused_by_model(keyed: World) -> None:
    answer = ask(keyed, "elsewhere")
    assert answer.status in (403, 404)
    assert answer.error["param"] == "model"
    assert not keyed.engine.seen


def test_the_list_of_models_is_that_of_the_key(keyed: World) -> None:
    listing = keyed.ask("/v1/models", key=KEYS["elsewhere"]["key"]).json()
    assert listing["data"] == []


def test_an_expired_key_is_401_and_says_so(keyed: World) -> None:
    answer = ask(keyed, "expired")
    assert answer.status == 401
    assert "expired" in answer.error["message"]


def test_a_key_without_limits_gets_no_limit_headers(keyed: World) -> None:
    assert not [name for name in ask(keyed, "free").headers if name.startswith("x-ratelimit")]


def test_the_fourth_request_of_three_per_minute_is_429(keyed: World) -> None:
    remaining = [int(ask(keyed, "few").headers["x-ratelimit-remaining-requests"]) for _ in range(3)]
    assert remaining == [2, 1, 0]
    refusal = ask(keyed, "few")
    assert refusal.status == 429
    assert refusal.error["type"] == "rate_limit_error"
    assert "requests" in refusal.error["message"]
    assert 1 <= int(refusal.headers["retry-after"]) <= 60
    assert refusal.headers["x-ratelimit-limit-requests"] == "3"
    assert refusal.headers["x-ratelimit-remaining-requests"] == "0"
    assert refusal.headers["x-ratelimit-reset-requests"]
    assert len(keyed.engine.seen) == 3


def test_a_limit_is_kept_by_requests_that_come_at_once(keyed: World) -> None:
    keyed.engine.script = Script(first_delay=0.2)
    wires = [keyed.wire() for _ in range(40)]
    raw = keyed.request(CHAT, chat_body(), key=KEYS["burst"]["key"])
    for wire in wires:
        wire.send(raw)
    statuses = [wire.answer().status for wire in wires]
    for wire in wires:
        wire.close()
    assert statuses.count(200) in (20, 21)
    assert statuses.count(429) == 40 - statuses.count(200)


def test_a_refused_request_costs_nothing_of_the_limit(keyed: World) -> None:
    for _ in range(10):
        assert ask(keyed, "few-again", bogus=1).status == 400
    assert ask(keyed, "few-again").status == 200


def test_a_request_limit_refills_with_time(keyed: World) -> None:
    statuses = [ask(keyed, "quick").status for _ in range(61)]
    assert 429 in statuses[-1:] or statuses.count(200) == 61
    deadline = time.monotonic() + 5
    while ask(keyed, "quick").status == 429:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_more_tokens_than_a_minute_has_are_429_naming_tokens(keyed: World) -> None:
    first = ask(keyed, "short", max_tokens=100)
    assert first.status == 200
    assert first.headers["x-ratelimit-limit-tokens"] == "300"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 300
    refusal = ask(keyed, "short", max_tokens=290)
    assert refusal.status == 429
    assert "tokens" in refusal.error["message"]
    assert int(refusal.headers["retry-after"]) >= 1


def test_tokens_reserved_and_not_used_come_back(keyed: World) -> None:
    for _ in range(8):  # each reserves half of the minute and uses ten tokens
        assert ask(keyed, "spender", max_tokens=1000).status == 200


def test_tokens_reserved_for_a_client_that_left_come_back(keyed: World) -> None:
    keyed.engine.script = Script(fault="hang", at=1)
    raw = keyed.request(CHAT, chat_body(max_tokens=1500), key=KEYS["spender"]["key"])
    for number in range(1, 4):
        with keyed.wire() as wire:
            wire.send(raw)
            keyed.engine.wait_for(number)
        time.sleep(0.1)


def test_cold_routes_take_the_same_keys(keyed: World) -> None:
    assert keyed.ask("/v1/models", key=KEYS["free"]["key"]).status == 200
    assert keyed.ask("/v1/models", key=KEYS["expired"]["key"]).status == 401


@pytest.mark.parametrize(
    ("settings", "keys", "named"),
    [
        ({}, [{"name": "x", "team": "red", "key": mint(), "request_per_minute": 3}], "request_per_minute"),
        ({}, [{"name": "x", "team": "red"}], "key"),
        ({"front.api_keys": "sk-1234"}, [], "api_keys"),
    ],
    ids=["unknown-field", "no-key", "well-known-key"],
)
def test_a_wrong_key_stops_the_start_and_is_named(
    tmp_path: Any, settings: dict[str, Any], keys: list[dict[str, Any]], named: str
) -> None:
    front = Front(["http://127.0.0.1:9"], settings, keys, tmp_path)
    if settings:
        front.command[front.command.index("--api-key") + 1] = "sk-1234"
        front.command = front.command[: front.command.index("--set")]
    done = subprocess.run(front.command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode != 0
    assert named in done.stderr
    assert "Traceback" not in done.stderr
