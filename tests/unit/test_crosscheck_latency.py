"""TTFTs of a client against a server's histogram: what can be true of one answer, seen from both ends."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.results import Reconciled
from loadtest.server.latency import compared
from loadtest.verdict.measures import Floats
from serving.metrics import TTFT_EDGES

RNG = np.random.default_rng(4)
SERVER = RNG.lognormal(-2.0, 0.8, 500)


def seen(client: Floats, server: Floats = SERVER, network_seconds: float = 0.02) -> Reconciled:
    buckets = [(edge, float(np.sum(server <= edge))) for edge in (*TTFT_EDGES, np.inf)]
    return compared("TTFT", client, buckets, float(server.sum()), network_seconds)


def test_a_client_behind_a_network_holds_and_its_share_is_told() -> None:
    found = seen(SERVER + RNG.uniform(0.001, 0.003, 500))
    assert found.holds
    assert found.note == "+2.0 ms at the client: network and queue"
    assert found.client == pytest.approx(found.server + 2, abs=0.2)


@pytest.mark.parametrize("early_seconds", [0.003, 0.05])
def test_a_client_that_saw_tokens_before_they_were_sent_is_found(early_seconds: float) -> None:
    found = seen(SERVER - early_seconds)
    assert not found.holds
    assert "a clock is wrong" in found.note


def test_one_token_before_its_time_is_found_where_the_mean_hides_it() -> None:
    client = SERVER + 0.01
    client[np.argmin(SERVER)] = 0.001
    server = np.maximum(SERVER, 0.02)
    found = seen(client, server)
    assert found.client > found.server - 2
    assert not found.holds
    assert "by 0.01 s the client had 1 first tokens, the server 0" in found.note


def test_times_within_the_clocks_own_error_hold() -> None:
    assert seen(SERVER - 0.001).holds


def test_a_client_far_above_its_server_is_found() -> None:
    allowed_ms = max(20.0, 0.5 * SERVER.mean() * 1e3)
    assert seen(SERVER + (allowed_ms - 1) / 1e3).holds
    found = seen(SERVER + (allowed_ms + 1) / 1e3)
    assert not found.holds
    assert f"{allowed_ms:.0f} ms are allowed" in found.note


def test_a_known_network_is_allowed_for_and_an_infinite_one_always() -> None:
    assert not seen(SERVER + 0.18).holds
    assert seen(SERVER + 0.18, network_seconds=0.2).holds
    assert seen(SERVER + 80, network_seconds=np.inf).holds


def test_streams_that_the_client_left_early_do_not_pull_the_mean_down() -> None:
    server = np.concatenate([SERVER, np.full(20, 30.0)])
    found = seen(SERVER + 0.002, server)
    assert found.holds
    assert "the server has 20 more" in found.note


def test_the_order_of_requests_does_not_matter() -> None:
    assert seen(RNG.permutation(SERVER + 0.002)).holds
