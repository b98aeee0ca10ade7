"""What a good answer is, class by class."""

from __future__ import annotations

import pytest

from serving.errors import ClientLeft, EngineFailed, EngineRefused, InvalidRequest, NoEngine, RateLimited, RequestError
from serving.front.auth import Caller
from serving.front.events import Usage
from serving.front.relay import Outcome
from serving.front.slo import Ended, Slo
from serving.settings import SloSettings

CLASSES = {
    "chat": SloSettings(ttft_seconds=0.5, tpot_seconds=0.05),
    "code": SloSettings(ttft_seconds=0.1),
    "batch": SloSettings(),
}
SLO = Slo(CLASSES, "chat")


def caller(slo_class: str | None = None) -> Caller:
    return Caller("id", "tg_", "team", "salt", slo_class=slo_class)


def streamed(first: float, last: float, tokens: int) -> Outcome:
    return Outcome(Usage(10, tokens, 0), tokens, "stop", first, last)


def stream(outcome: Outcome | None, error: RequestError | None = None, ended_at: float = 60.0) -> Ended:
    return Ended(True, 0.0, ended_at, outcome, error)


def whole(ended_at: float, tokens: int) -> Ended:
    return Ended(False, 0.0, ended_at, Outcome(Usage(10, tokens, 0), 0, "stop", 0.01, 0.01), None)


def test_the_header_wins_over_the_key_and_the_key_over_the_default() -> None:
    assert SLO.class_of({}, caller()) == "chat"
    assert SLO.class_of({}, caller("code")) == "code"
    assert SLO.class_of({b"x-tidegate-slo-class": b"batch"}, caller("code")) == "batch"


@pytest.mark.parametrize("name", [b"gold", b"", b"Chat", b"\xff"])
def test_an_unknown_class_names_the_header_and_the_classes(name: bytes) -> None:
    with pytest.raises(InvalidRequest, match="Known: chat, code, batch") as refusal:
        SLO.class_of({b"x-tidegate-slo-class": name}, caller())
    assert refusal.value.param == "X-Tidegate-SLO-Class"


@pytest.mark.parametrize(
    ("name", "first", "last", "tokens", "good"),
    [
        ("chat", 0.5, 0.5 + 9 * 0.05, 10, True),
        ("chat", 0.501, 0.6, 10, False),
        ("chat", 0.2, 0.2 + 9 * 0.0501, 10, False),
        ("chat", 0.5, 9.0, 1, True),
        ("code", 0.1, 90.0, 10, True),
        ("code", 0.11, 0.2, 10, False),
        ("batch", 50.0, 59.0, 10, True),
    ],
)
def test_a_stream_is_good_within_both_limits(name: str, first: float, last: float, tokens: int, good: bool) -> None:
    assert SLO.is_good(name, stream(streamed(first, last, tokens))) is good


@pytest.mark.parametrize(
    ("name", "ended_at", "tokens", "good"),
    [
        ("chat", 0.999, 10, True),
        ("chat", 1.001, 10, False),
        ("chat", 0.499, 0, True),
        ("chat", 0.501, 0, False),
        ("code", 9.0, 10, True),
        ("code", 0.2, 0, False),
        ("batch", 900.0, 10, True),
    ],
)
def test_a_document_has_the_time_of_all_its_tokens(name: str, ended_at: float, tokens: int, good: bool) -> None:
    assert SLO.is_good(name, whole(ended_at, tokens)) is good


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("error", [NoEngine("none", retry_after_seconds=1), EngineFailed("broken")])
def test_refused_and_broken_answers_are_not_good_in_any_class(name: str, error: RequestError) -> None:
    assert SLO.is_good(name, stream(None, error)) is False
    assert SLO.is_good(name, stream(streamed(0.1, 0.2, 5), error)) is False


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("no"),
        RateLimited("own budget", retry_after_seconds=1),
        EngineRefused("too long", status=400, param=None, code=None),
    ],
)
def test_a_clients_own_errors_count_nowhere(error: RequestError) -> None:
    assert SLO.is_good("chat", stream(None, error)) is None


def test_an_answer_that_no_engine_gave_counts_nowhere() -> None:
    assert SLO.is_good("chat", stream(None)) is None


@pytest.mark.parametrize(("ended_at", "good"), [(0.4, None), (0.6, False)])
def test_a_client_that_left_before_its_first_token_was_right_after_its_limit(
    ended_at: float, good: bool | None
) -> None:
    assert SLO.is_good("chat", stream(None, ClientLeft("gone"), ended_at)) is good
    assert SLO.is_good("batch", stream(None, ClientLeft("gone"), ended_at)) is None


@pytest.mark.parametrize(("first", "good"), [(0.4, True), (0.6, False)])
def test_a_client_that_stopped_an_answer_has_had_this_much_of_it(first: float, good: bool) -> None:
    assert SLO.is_good("chat", stream(streamed(first, 1.0, 50), ClientLeft("gone"))) is good
