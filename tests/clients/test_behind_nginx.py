"""Streams through an nginx that nobody tuned."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.clients.conftest import Door
from tests.support.raw_http import Wire, parsed
from tests.support.script import Script
from tests.support.waiting import eventually

pytestmark = pytest.mark.nginx


def test_each_event_arrives_at_once(behind_nginx: Door) -> None:
    behind_nginx.engine.script = Script(("a", "b", "c"), gap=0.15)
    with Wire(behind_nginx.address) as wire:
        answer = wire.send(behind_nginx.world.chat()).head()
        times = [time.monotonic() for _ in wire.events(answer)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len([gap for gap in gaps if gap > 0.1]) >= 4


def test_a_client_that_leaves_nginx_frees_the_engine(behind_nginx: Door) -> None:
    behind_nginx.engine.script = Script(fault="hang", at=2)
    with Wire(behind_nginx.address) as wire:
        wire.send(behind_nginx.world.chat()).head()
        behind_nginx.engine.wait_for()
    eventually(lambda: behind_nginx.engine.in_flight == 0, within=1, what="engine free")


def test_a_broken_stream_is_cut_by_nginx_too(behind_nginx: Door) -> None:
    behind_nginx.engine.script = Script(("a",) * 9, fault="fin", at=4)
    with Wire(behind_nginx.address) as wire:
        answer = wire.send(behind_nginx.world.chat()).answer()
    assert "error" in parsed(answer.events)[-1]
    assert answer.end == "cut"


def test_seventy_seconds_of_silence_survive_the_default_time_out(behind_nginx: Door) -> None:
    """nginx gives up after 60 s without a byte; the heartbeat every 10 s keeps it waiting."""
    behind_nginx.engine.script = Script(first_delay=70)
    with Wire(behind_nginx.address, timeout=15) as wire:
        answer = wire.send(behind_nginx.world.chat()).answer()
    assert (answer.text, answer.end) == ("Hello, world", "complete")
    assert 6 <= len(answer.comments) <= 7
