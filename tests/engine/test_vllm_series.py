"""vLLM's series that the load test reads are those of a live engine, and count its requests and tokens exactly."""

from __future__ import annotations

import time

import pytest

from loadtest.client.answer import Ask
from loadtest.client.client import Client
from loadtest.plan import Target
from loadtest.records import Record, rows
from loadtest.server.crosscheck import Expect, reconcile
from loadtest.server.exposition import parse
from loadtest.server.preflight import describe
from loadtest.server.scrape import Servers
from loadtest.slo import Fault
from serving.metrics import VllmSeries
from tests.engine.cell_process import CellProcess

pytestmark = pytest.mark.timeout(400)
HISTOGRAMS = (VllmSeries.TTFT,)
FINISH_REASONS = {"stop", "length", "abort", "error", "repetition"}


@pytest.fixture
def exposition(engine_cell: CellProcess) -> str:
    with engine_cell.chat(max_tokens=2) as response:
        response.read()
    with engine_cell.request("/metrics") as response:
        return response.read().decode()


@pytest.mark.parametrize("name", VllmSeries)
def test_a_live_engine_has_each_series(exposition: str, name: VllmSeries) -> None:
    found = parse(exposition)
    parts = [f"{name}_{part}" for part in ("bucket", "sum", "count")] if name in HISTOGRAMS else [name]
    assert all(found.has(part) for part in parts)


def test_slo_limits_are_edges_of_its_first_token_histogram(exposition: str) -> None:
    edges = {edge for edge, _ in parse(exposition).buckets(VllmSeries.TTFT)}
    assert {0.1, 0.25, 0.5, 1.0} <= edges


def test_every_way_to_finish_is_known(exposition: str) -> None:
    assert set(parse(exposition).by(VllmSeries.FINISHED, "finished_reason")) == FINISH_REASONS


def test_a_real_engine_counts_what_the_client_counts(engine_cell: CellProcess) -> None:
    servers = Servers(Target(base_url=engine_cell.url, engine_urls=(engine_cell.url,)))
    client = Client(f"{engine_cell.url}/v1", "", engine_cell.model)
    before = servers.settled()
    records = [asked(client, number, 3 + number) for number in range(6)]
    records.append(asked(client, 6, 3000, limit_seconds=0.5))
    after = servers.settled()
    client.close()

    assert records[-1].fault == Fault.TIMEOUT
    # The distance to the client says how busy this machine is, and nothing of the counts.
    found = reconcile(before, after, rows(records), Expect((True,), network_seconds=10))
    assert found.holds, found
    told = {entry.what: entry.server for entry in found.entries}
    assert told["engines: requests finished"] == 6
    assert told["engines: first tokens"] == 7
    assert not reconcile(before, after, rows(records[1:]), Expect((True,))).holds


def test_a_real_engine_says_what_it_is(engine_cell: CellProcess) -> None:
    told = describe(Servers(Target(base_url=engine_cell.url, engine_urls=(engine_cell.url,))))
    assert told["models"] == engine_cell.model
    assert told[f"engine {engine_cell.url}"].startswith("vLLM 0.")


def asked(client: Client, number: int, tokens: int, limit_seconds: float = 60) -> Record:
    body = {"min_tokens": tokens}
    messages = [{"role": "user", "content": f"hello {number}"}]
    answer = client.ask(Ask(messages, tokens, body=body, end_by=time.perf_counter() + limit_seconds), time.perf_counter)
    return Record(
        1, 0, 0, number, 0, answer.fault, answer.status, answer.sent, answer.sent, answer.first, answer.last,
        answer.ended, answer.stall, answer.prompt_tokens, answer.output_tokens, answer.cached_tokens,
        answer.first_tokens, answer.chunks, answer.detail,
    )  # fmt: skip
