"""Clients that do not read: bounded memory, an engine that is held back, nobody else disturbed."""

from __future__ import annotations

import time

from tests.support.raw_http import Wire
from tests.support.script import Script, tokens
from tests.support.waiting import eventually
from tests.support.world import MakeWorld, World

MIB = 1024 * 1024
FLOOD = Script(tokens(1500, size=32 * 1024))  # 48 MB


def stopped_at(world: World) -> int:
    """Bytes the engine had written when it had to stop."""
    last = -1
    while (sent := world.engine.seen[0].bytes_sent) != last:
        last = sent
        time.sleep(0.15)
    return sent


def lazy(world: World) -> Wire:
    """A connection with a small kernel buffer, on which a flood was asked for."""
    wire = world.wire(receive_buffer=4096)
    wire.send(world.chat(user="flood"))
    world.engine.wait_for(1)
    return wire


def test_a_reader_that_stops_holds_the_engine_back_and_costs_bounded_memory(world: MakeWorld) -> None:
    solo = world()
    solo.engine.by_user = {"flood": FLOOD}
    before = solo.front.rss_bytes
    with lazy(solo):
        assert stopped_at(solo) < 24 * MIB
        assert solo.front.rss_bytes - before < 6 * MIB
        started = time.monotonic()
        assert solo.say().text == "Hello, world"
        assert time.monotonic() - started < 2


def test_a_reader_that_stops_and_goes_on_misses_nothing(solo: World) -> None:
    solo.engine.by_user = {"flood": Script(tokens(400, size=32 * 1024))}
    with lazy(solo) as wire:
        stopped_at(solo)
        answer = wire.answer()
    assert answer.text == "".join(tokens(400, size=32 * 1024))
    assert answer.end == "complete"


def test_a_reader_that_stopped_and_left_frees_the_engine(solo: World) -> None:
    solo.engine.by_user = {"flood": FLOOD}
    with lazy(solo) as wire:
        stopped_at(solo)
        wire.reset()
    eventually(lambda: solo.engine.in_flight == 0, within=2, what="engine free")


def test_a_reader_that_reads_nothing_for_write_seconds_is_closed(world: MakeWorld) -> None:
    strict = world(settings={"front.timeouts.write_seconds": 1})
    strict.engine.by_user = {"flood": FLOOD}
    with lazy(strict) as wire:
        eventually(lambda: strict.engine.in_flight == 0, within=6, what="engine free")
        eventually(lambda: strict.front.metric("tidegate_requests_in_flight") == 0, what="request over")
        assert wire.answer().end == "cut"


def test_a_document_that_nobody_reads_is_closed_too(world: MakeWorld) -> None:
    strict = world(settings={"front.timeouts.write_seconds": 1})
    strict.engine.script = Script(("x" * 16 * MIB,))
    before = strict.front.open_files
    with strict.wire(receive_buffer=4096) as wire:
        wire.send(strict.chat(stream=False))
        eventually(lambda: strict.front.open_files > before, what="the connection")
        strict.engine.wait_for(1)
        time.sleep(2.2)
        assert wire.answer().end == "cut"


def test_a_slow_reader_that_reads_a_little_is_not_closed(world: MakeWorld) -> None:
    strict = world(settings={"front.timeouts.write_seconds": 1})
    strict.engine.script = Script(tokens(150, size=32 * 1024))
    with strict.wire(receive_buffer=65536) as wire:
        wire.send(strict.chat())
        answer = wire.head()
        for number, piece in enumerate(wire.pieces(answer)):
            answer.body += piece
            if number % 15 == 0:
                time.sleep(0.2)
    assert answer.end == "complete"
