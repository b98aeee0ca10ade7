"""A real front over scripted engines: its own counts agree with the client's rows, and whoever else asks is noticed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from loadtest.client.answer import Ask
from loadtest.client.client import Client
from loadtest.plan import Target
from loadtest.records import Record, rows
from loadtest.results import CrossCheck
from loadtest.server.crosscheck import Expect, reconcile
from loadtest.server.scrape import Servers
from loadtest.slo import Fault
from tests.support.script import Script
from tests.support.world import HELLO, MakeWorld, World


class Run:
    """Requests by the load test's own client, one after the other, between two scrapes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = Client(f"{world.front.base_url}/v1", world.front.key, "tiny")
        self.servers = Servers(Target(base_url=world.front.base_url, front_admin_url=world.front.admin_url))
        self.before = self.servers.settled()
        self.records: list[Record] = []

    def ask(self, *, stream: bool = True, end_by: float | None = None, max_tokens: int = 8) -> Record:
        ask = Ask(HELLO, max_tokens, stream, end_by=end_by)
        answer = self.client.ask(ask, time.perf_counter)
        record = Record(
            1, 0, 0 if stream else 1, len(self.records), 0, answer.fault, answer.status, answer.sent, answer.sent,
            answer.first, answer.last, answer.ended, answer.stall, answer.prompt_tokens, answer.output_tokens,
            answer.cached_tokens, answer.first_tokens, answer.chunks, answer.detail,
        )  # fmt: skip
        self.records.append(record)
        return record

    def check(self) -> CrossCheck:
        return reconcile(self.before, self.servers.settled(), rows(self.records), Expect((True, False)))


@pytest.fixture
def run(world: MakeWorld) -> Iterator[Run]:
    made = Run(world(2, {"front.retry.budget_ratio": 1, "front.retry.cooldown_seconds": 0.05}))
    yield made
    made.client.close()


def told(found: CrossCheck) -> dict[str, tuple[float, float]]:
    return {entry.what: (entry.client, entry.server) for entry in found.entries}


def bad(found: CrossCheck) -> list[str]:
    return [f"{entry.what}: {entry.note}" for entry in found.entries if not entry.holds]


def test_streams_documents_and_refusals_add_up(run: Run) -> None:
    for number in range(12):
        run.ask(stream=number % 3 > 0)
    run.ask(max_tokens=-1)
    found = run.check()
    assert found.holds, bad(found)
    counts = told(found)
    assert counts["front: requests"] == (13, 13)
    assert counts["front: requests answered"] == (12, 12)
    assert counts["front: requests failed"] == (1, 1)
    assert counts["front: first tokens"] == (8, 8)
    assert counts["front: output tokens"] == (36, 36)
    assert "engines are not compared" in found.note  # a scripted engine has no metrics


def test_one_request_by_somebody_else_is_noticed(run: Run) -> None:
    for _ in range(5):
        run.ask()
    run.world.say()
    found = run.check()
    assert "front: requests: the client says 5, the server 6: another client was using the server" in bad(found)


def test_what_a_client_left_is_a_range_in_which_nobody_else_can_hide(run: Run) -> None:
    for _ in range(3):
        run.ask()
    for engine in run.world.engines:
        engine.script = Script(gap=0.3)
    left = run.ask(end_by=time.perf_counter() + 0.2)
    assert left.fault == Fault.TIMEOUT
    assert run.check().holds, bad(run.check())
    run.world.say()
    assert any(line.startswith("front: requests:") for line in bad(run.check()))


def test_a_stream_that_broke_off_is_counted_at_both_ends(run: Run) -> None:
    for engine in run.world.engines:
        engine.next(Script(fault="fin", at=2))
    assert run.ask().fault == Fault.ERROR
    found = run.check()
    assert found.holds, bad(found)
    assert told(found)["front: requests"] == (1, 1)


def test_a_retry_by_the_front_is_one_request(run: Run) -> None:
    once = [Script(status=500, body=b"no")]
    for engine in run.world.engines:
        engine.decide = lambda _: once.pop() if once else None
    assert run.ask().fault == Fault.NONE
    found = run.check()
    assert found.holds, bad(found)
    assert told(found)["front: requests"] == (1, 1)
    assert "the front lost 1 attempts" in found.note


def test_a_front_that_restarted_is_named(fresh_world: MakeWorld) -> None:
    run = Run(fresh_world())
    for _ in range(2):
        run.ask()
    run.before = run.servers.settled()
    run.world.front.terminate()
    run.world.front.start()
    run.ask()
    run.ask()
    run.ask()
    run.client.close()
    found = reconcile(run.before, run.servers.settled(), rows([*run.records[2:], run.records[0]]), Expect((True,)))
    assert any("the front restarted: its counters went back" in line for line in bad(found))
