"""SLO classes: who chooses them, and what is counted as kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serving.front.keys import mint
from tests.support.front_process import Front
from tests.support.raw_http import Answer
from tests.support.script import BEFORE_HEAD, Script
from tests.support.waiting import eventually
from tests.support.world import CHAT, MakeWorld, World, chat_body

BATCH_KEY, CHAT_KEY = mint(), mint()
KEYS = [
    {"name": "nightly", "team": "a", "key": BATCH_KEY, "slo_class": "batch"},
    {"name": "plain", "team": "a", "key": CHAT_KEY},
]
HEADER = "X-Tidegate-SLO-Class"


class Tally:
    """What was counted since the test began, by class: (judged, good)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._before = self._read()

    def _read(self) -> dict[str, tuple[float, float]]:
        samples = self.world.front.metrics()
        read: dict[str, tuple[float, float]] = {}
        for name in ("chat", "code", "batch"):
            labels = frozenset({("model", "tiny"), ("class", name)})
            read[name] = samples["tidegate_slo_total", labels], samples["tidegate_slo_good_total", labels]
        return read

    def of(self, name: str) -> tuple[float, float]:
        (total, good), (total_before, good_before) = self._read()[name], self._before[name]
        return total - total_before, good - good_before

    @property
    def all(self) -> float:
        return sum(self.of(name)[0] for name in self._before)


@pytest.fixture
def served(world: MakeWorld) -> World:
    return world(settings={"front.hold.seconds": 0, "front.engine_poll_seconds": 0.1}, keys=KEYS)


@pytest.fixture
def tally(served: World) -> Iterator[Tally]:
    return Tally(served)


def say(world: World, key: str = CHAT_KEY, slo_class: str | None = None, *, stream: bool = True) -> Answer:
    headers = {HEADER: slo_class} if slo_class else {}
    return world.ask(CHAT, chat_body(stream=stream), key=key, headers=headers)


def test_a_class_comes_from_the_key_and_a_header_overrides_it(served: World, tally: Tally) -> None:
    say(served)
    say(served, BATCH_KEY)
    say(served, BATCH_KEY, "code", stream=False)
    assert [tally.of(name)[0] for name in ("chat", "batch", "code")] == [1, 1, 1]


def test_an_unknown_class_is_a_400_that_names_the_header(served: World, tally: Tally) -> None:
    refusal = say(served, slo_class="gold")
    assert (refusal.status, refusal.error["param"]) == (400, HEADER)
    assert "chat, code, batch" in refusal.error["message"]
    assert not served.engine.seen
    assert tally.all == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_quick_answer_is_good_and_a_slow_one_is_not(served: World, tally: Tally, stream: bool) -> None:
    say(served, stream=stream)
    served.engine.script = Script(first_delay=0.9, head_delay=0 if stream else 0.9)
    say(served, stream=stream)
    say(served, BATCH_KEY, stream=stream)
    assert tally.of("chat") == (2, 1)
    assert tally.of("batch") == (1, 1)


def test_slow_tokens_are_not_good(served: World, tally: Tally) -> None:
    served.engine.script = Script(("a",) * 5, gap=0.12)
    say(served)
    assert tally.of("chat") == (1, 0)


def test_broken_and_refused_answers_are_not_good(served: World, tally: Tally) -> None:
    served.engine.script = Script(("a",) * 5, fault="fin", at=3)
    say(served)
    served.engine.script = Script(status=500, body=b"no")
    say(served, BATCH_KEY)
    served.engine.down()
    assert say(served).status == 503
    assert tally.of("chat") == (2, 0)
    assert tally.of("batch") == (1, 0)


def test_a_clients_own_errors_count_nowhere(served: World, tally: Tally) -> None:
    served.ask(CHAT, chat_body(bogus=1), key=CHAT_KEY)
    served.ask(CHAT, chat_body(), key="wrong")
    served.ask(CHAT, chat_body(model="invented"), key=CHAT_KEY)
    served.engine.script = Script(status=400, body=b"{}")
    say(served)
    assert tally.all == 0


@pytest.mark.parametrize(("patience", "counted"), [(0.1, (0, 0)), (0.8, (1, 0))])
def test_a_client_that_leaves_counts_once_it_waited_too_long(
    served: World, tally: Tally, patience: float, counted: tuple[int, int]
) -> None:
    served.engine.script = Script(fault="hang", at=BEFORE_HEAD)
    with served.wire() as wire:
        wire.send(served.request(CHAT, chat_body(), key=CHAT_KEY))
        served.engine.wait_for()
        assert wire.is_silent(patience)
    eventually(lambda: served.front.metric("tidegate_requests_in_flight") == 0, what="the client's end")
    assert tally.of("chat") == counted


def test_a_key_with_an_unknown_class_stops_the_start(tmp_path: object, fresh_world: MakeWorld) -> None:
    world = fresh_world(1, keys=[{"name": "x", "key": mint(), "slo_class": "gold"}], started=False)
    front: Front = world.front
    front.launch()
    assert front.wait(within=20) != 0
    assert "keys[0]" in front.stderr
    assert "slo_class" in front.stderr
    assert "chat, code, batch" in front.stderr
