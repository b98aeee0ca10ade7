"""Servers found, scraped and sampled; one that cannot be scraped costs a note and its time-out, never the run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loadtest.plan import Target
from loadtest.server.preflight import describe
from loadtest.server.sampler import NAMES, Sampler
from loadtest.server.scrape import Servers, in_flight
from serving.metrics import VllmSeries
from tests.support.pages import DRIPS, HANGS, Pages
from tests.support.ports import free_port
from tests.support.recorded import FOLDER, Recorded

BUSY = (FOLDER / "engine_busy.txt").read_bytes()
FRONT = Recorded("exact").text("front_after").encode()


@pytest.fixture
def engine() -> Iterator[Pages]:
    with Pages({"/metrics": BUSY, "/version": b'{"version": "0.32.0"}'}) as pages:
        yield pages


@pytest.fixture
def front(engine: Pages) -> Iterator[Pages]:
    with Pages({"/metrics": FRONT, "/admin/engines": listed(engine.url)}) as pages:
        yield pages


def listed(*urls: str) -> bytes:
    return json.dumps({"engines": [{"id": url, "url": url, "models": {"tiny": 4096}} for url in urls]}).encode()


def servers(front: str = "", *engines: str) -> Servers:
    return Servers(Target(base_url="http://unused/v1", front_admin_url=front, engine_urls=engines))


def test_engines_are_found_through_their_front(front: Pages, engine: Pages) -> None:
    found = servers(front.url).snapshot(7.0)
    assert (found.unix, found.notes, found.missing) == (7.0, (), frozenset())
    assert found.front is not None
    assert found.engines[engine.url].total(VllmSeries.RUNNING) == 3
    assert in_flight(found) == 3


@pytest.mark.parametrize("written", ["", "/", "/metrics"])
def test_engines_without_a_front_are_read_however_their_url_is_written(engine: Pages, written: str) -> None:
    assert list(servers("", engine.url + written).snapshot(0.0).engines) == [engine.url]


def test_an_engine_that_comes_later_is_found(front: Pages, engine: Pages) -> None:
    found = servers(front.url)
    assert len(found.snapshot(0.0).engines) == 1
    with Pages({"/metrics": BUSY}) as second:
        front.pages["/admin/engines"] = listed(engine.url, second.url)
        assert set(found.snapshot(1.0).engines) == {engine.url, second.url}


def test_engines_stay_known_while_their_front_is_away(front: Pages, engine: Pages) -> None:
    found = servers(front.url)
    found.snapshot(0.0)
    front.pages.clear()
    later = found.snapshot(1.0)
    assert (later.front, list(later.engines)) == (None, [engine.url])
    assert f"{front.url}/admin/engines answers 404" in later.notes


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (HANGS, "did not answer within"),
        (DRIPS, "did not answer within"),
        (b"<html>hello</html>\n", "has no vllm:num_requests_running"),
        (b"vllm:num_requests_running{engine=\n", "is no exposition"),
        (BUSY[:-100], "is no exposition"),
    ],
)
def test_a_page_that_is_of_no_use_is_a_note_and_the_rest_is_read(engine: Pages, page: bytes, told: str) -> None:
    with Pages({"/metrics": page}) as broken:
        target = Target(base_url="http://unused/v1", engine_urls=(broken.url, engine.url))
        found = Servers(target, timeout_seconds=0.3).snapshot(0.0)
    assert (list(found.engines), found.missing) == ([engine.url], {broken.url})
    (note,) = found.notes
    assert broken.url in note
    assert told in note


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid", "127.0.0.1:{port}", "http://a:b"]
)
def test_an_address_where_nobody_is_is_a_note(url: str) -> None:
    url = url.format(port=free_port())
    found = servers(url, url).snapshot(0.0)
    assert (found.front, dict(found.engines)) == (None, {})
    assert any(url in note for note in found.notes)


def test_a_port_that_is_no_front_says_what_is_wanted(engine: Pages) -> None:
    engine.pages["/admin/engines"] = b'{"detail": "no"}'
    assert any("is it the admin port of a front?" in note for note in servers(engine.url).snapshot(0.0).notes)


def test_samples_are_of_one_length_and_hold_the_load(front: Pages, engine: Pages) -> None:
    wall = iter((100.0, 102.0, 104.0))
    sampler = Sampler(servers(front.url), lambda: next(wall))
    sampler.sample()
    with Pages({"/metrics": BUSY.replace(b"0.0549", b"0.9549")}) as second:
        front.pages["/admin/engines"] = listed(engine.url, second.url)
        sampler.sample()
    front.pages.clear()
    engine.pages.clear()
    sampler.sample()
    series = sampler.series()
    assert series.unix == (100.0, 102.0, 104.0)
    assert set(series.values) == set(NAMES)
    assert series.values["replicas"] == (1.0, 2.0, 0.0)
    assert series.values["running"] == (3.0, 6.0, None)
    assert series.values["waiting"] == (0.0, 0.0, None)
    assert series.values["front_in_flight"] == (0.0, 0.0, None)
    mean, highest = series.values["kv_usage"], series.values["kv_usage_max"]
    assert mean[:2] == pytest.approx((0.0549, 0.5049), abs=1e-4)
    assert highest[:2] == pytest.approx((0.0549, 0.9549), abs=1e-4)
    assert mean[2] is highest[2] is None


def test_a_settled_snapshot_waits_for_the_last_request(engine: Pages) -> None:
    waits = 0

    def wait(seconds: float) -> None:
        nonlocal waits
        waits += 1
        engine.pages["/metrics"] = Recorded("exact").text("engine_after").encode()

    found = servers("", engine.url).settled(wall=lambda: 5.0, wait=wait)
    assert (in_flight(found), found.notes, found.unix) == (0, (), 5.0)
    assert waits >= 1


def test_a_server_that_never_settles_is_told(engine: Pages) -> None:
    found = servers("", engine.url).settled(within_seconds=0.0, wait=lambda _: None)
    assert found.notes == ("3 requests were still running at the last scrape",)


UNDER_LOCUST = """
from gevent import monkey
monkey.patch_all()
import sys, time
from loadtest.plan import Target
from loadtest.server.scrape import Servers
began = time.perf_counter()
found = Servers(Target(base_url="http://unused", engine_urls=tuple(sys.argv[1:])), 0.5).snapshot(0.0)
print(len(found.engines), len(found.missing), time.perf_counter() - began)
"""


def test_under_locust_engines_that_hang_are_waited_for_at_once(engine: Pages) -> None:
    with Pages({"/metrics": HANGS}) as stuck:
        # One server, ten engines: a path of their own keeps them apart.
        stuck.pages |= {f"/{number}/metrics": HANGS for number in range(10)}
        urls = [f"{stuck.url}/{number}" for number in range(10)]
        command = [sys.executable, "-c", UNDER_LOCUST, engine.url, *urls]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    assert said[:2] == ["1", "10"]
    assert float(said[2]) < 10 * 0.5 / 2


def test_servers_are_described_in_words(front: Pages, engine: Pages) -> None:
    told = describe(servers(front.url))
    assert told["server"] == "Tidegate front over 1 vLLM engine"
    assert told["models"] == "tiny"
    assert told[f"engine {engine.url}"] == "vLLM 0.32.0, tiny, 32768 tokens of KV cache, prefix caching on"
    assert "notes" not in told


def test_a_server_that_shows_nothing_is_described_as_such() -> None:
    assert describe(servers()) == {"server": "an OpenAI-compatible server whose metrics are not read"}
    dead = describe(servers(f"http://127.0.0.1:{free_port()}"))
    assert "cannot be read" in dead["notes"]
