"""Offered tokens: counted at arrival, corrected by what engines counted, never falling."""

from __future__ import annotations

import random

import pytest

from serving.errors import ClientLeft, EngineRefused, NoEngine, RequestError
from serving.front.demand import Demand
from serving.front.dialect import CHAT, COUNT_TOKENS, EMBEDDINGS, Route
from serving.front.events import Usage
from serving.front.wire import GenerationRequest
from serving.metrics import FrontMetrics, Need


class Books:
    """Demand for one model, `tiny`, at a time that the test sets."""

    def __init__(self) -> None:
        self.metrics = FrontMetrics()
        self.now = 100.0
        self.demand = Demand(self.metrics, ("chat",), lambda: self.now)
        self.demand.know(["tiny"])

    @property
    def offered(self) -> tuple[float, float]:
        offered = self.metrics.offered
        return offered["tiny", "prefill"].value, offered["tiny", "decode"].value

    @property
    def need(self) -> Need:
        (need,) = self.demand.needs()
        return need

    def answer(self, request: GenerationRequest, usage: Usage | None, error: RequestError | None = None) -> None:
        offer = self.demand.offer(request, self.now)
        offer.begun()
        self.demand.settle(offer, usage, error)


@pytest.fixture
def books() -> Books:
    return Books()


def asked(
    prompt: int = 400, bound: int = 0, *, stream: bool = True, route: Route = CHAT, model: str = "tiny"
) -> GenerationRequest:
    return GenerationRequest(route, {}, model, stream, False, 1, prompt, bound, None)


def test_a_request_counts_when_it_arrives(books: Books) -> None:
    books.demand.offer(asked(400, bound=100), books.now)
    prefill, decode = books.offered
    assert prefill == pytest.approx(400)
    assert 0 < decode <= 100


def test_history_before_a_turn_counts(books: Books) -> None:
    books.demand.offer(asked(100), books.now, history_tokens=900)
    assert books.offered[0] == pytest.approx(1000)


def test_a_bound_is_never_exceeded_and_without_one_there_is_an_estimate(books: Books) -> None:
    books.demand.offer(asked(bound=1), books.now)
    assert books.offered[1] <= 1
    books.demand.offer(asked(bound=0), books.now)
    assert books.offered[1] > 1


@pytest.mark.parametrize("bound", [0, 4096])
def test_the_sums_become_the_engines_and_no_counter_falls(books: Books, bound: int) -> None:
    chance = random.Random(5)
    used = [0, 0]
    before = (0.0, 0.0)
    for _ in range(3000):
        prompt, cached, output = chance.randint(300, 900), chance.randint(0, 250), chance.randint(1, 400)
        books.answer(asked(700, bound), Usage(prompt, output, cached))
        used[0] += prompt - cached
        used[1] += output
        assert books.offered >= before
        before = books.offered
    assert books.offered[0] == pytest.approx(used[0], rel=0.01)
    assert books.offered[1] == pytest.approx(used[1], rel=0.01)


def test_a_fully_cached_prompt_still_says_that_somebody_asks(books: Books) -> None:
    for _ in range(500):
        before = books.offered[0]
        books.answer(asked(2000), Usage(2000, 10, 2000))
        assert books.offered[0] > before


def test_one_wrong_guess_does_not_hide_what_arrives_after_it(books: Books) -> None:
    books.answer(asked(100, bound=100_000), Usage(100, 1, 0))
    before = books.offered[1]
    books.demand.offer(asked(100), books.now)
    assert books.offered[1] > before


def test_a_refused_request_stays_counted(books: Books) -> None:
    for _ in range(50):
        books.answer(asked(400, 10), None, NoEngine("none", retry_after_seconds=1))
    assert books.offered[0] == pytest.approx(50 * 400)


def test_a_clients_error_is_taken_back_from_what_follows(books: Books) -> None:
    books.answer(asked(400), None, EngineRefused("too long", status=400, param=None, code=None))
    for _ in range(10):
        books.answer(asked(400), None, ClientLeft("gone"))
    assert books.offered[0] == pytest.approx(10 * 400)


def test_what_nobody_generates_has_no_decode(books: Books) -> None:
    books.answer(asked(400, route=EMBEDDINGS, stream=False), Usage(400, 0, 0))
    assert books.offered == (400, 0)
    books.answer(asked(400, route=COUNT_TOKENS, stream=False), None)
    assert books.offered == (401, 0)


def test_a_stream_waits_until_its_first_token(books: Books) -> None:
    offer = books.demand.offer(asked(400, 100), books.now)
    books.now += 3
    assert books.need == Need("tiny", 400, 0, 1, 3.0)
    offer.begun()
    assert books.need == Need("tiny", 0, 0, 0, 0.0)


def test_a_document_waits_only_while_it_is_held(books: Books) -> None:
    offer = books.demand.offer(asked(400, 100, stream=False), books.now)
    assert books.need.requests == 0
    offer.held()
    books.now += 2
    assert (books.need.requests, books.need.prefill_tokens, books.need.oldest_seconds) == (1, 400, 2.0)
    assert books.need.decode_tokens > 0
    offer.sent()
    assert books.need == Need("tiny", 0, 0, 0, 0.0)


def test_whatever_ended_waits_no_more(books: Books) -> None:
    offer = books.demand.offer(asked(), books.now)
    offer.held()
    books.demand.settle(offer, None, ClientLeft("gone"))
    assert books.need.requests == 0


def test_a_model_that_is_not_known_gets_no_series(books: Books) -> None:
    books.answer(asked(model="invented"), Usage(1, 1, 0))
    assert {labels[0] for labels in books.metrics.offered} == {"tiny"}
    assert [need.model for need in books.demand.needs()] == ["tiny"]
