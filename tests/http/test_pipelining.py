"""Several requests on one connection: answers come in the order of the requests, hot and cold mixed."""

from __future__ import annotations

from tests.support.script import Script
from tests.support.waiting import eventually
from tests.support.world import World


def test_streams_pipelined_in_one_segment_are_answered_in_order(solo: World) -> None:
    solo.engine.by_user = {"slow": Script(("slow",), first_delay=0.2), "fast": Script(("fast",))}
    with solo.wire() as wire:
        wire.send(solo.chat(user="slow") + solo.chat(user="fast"))
        assert [wire.answer().text, wire.answer().text] == ["slow", "fast"]


def test_hot_cold_hot_in_one_segment_are_answered_in_order(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(solo.chat() + solo.request("/v1/models") + solo.chat(stream=False))
        stream, models, document = wire.answer(), wire.answer(), wire.answer()
    assert stream.text == "Hello, world"
    assert models.json()["data"][0]["id"] == "tiny"
    assert document.json()["choices"][0]["message"]["content"] == "Hello, world"


def test_cold_hot_cold_in_one_segment_are_answered_in_order(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(solo.request("/v1/models") + solo.chat() + solo.request("/v1/nothing"))
        assert wire.answer().json()["object"] == "list"
        assert wire.answer().text == "Hello, world"
        assert wire.answer().status == 404


def test_hot_cold_hot_one_after_the_other_share_a_connection(solo: World) -> None:
    with solo.wire() as wire:
        for _ in range(2):
            assert wire.send(solo.chat()).answer().text == "Hello, world"
            assert wire.send(solo.request("/v1/models")).answer().status == 200
            assert wire.send(solo.chat(stream=False)).answer().status == 200


def test_thirty_pipelined_requests_keep_their_order(solo: World) -> None:
    solo.engine.by_user = {str(number): Script((f"answer {number}",)) for number in range(30)}
    with solo.wire() as wire:
        wire.send(b"".join(solo.chat(stream=number % 2 == 0, user=str(number)) for number in range(30)))
        answers = [wire.answer() for _ in range(30)]
    texts = [answer.text or answer.json()["choices"][0]["message"]["content"] for answer in answers[::2]]
    assert texts == [f"answer {number}" for number in range(0, 30, 2)]
    documents = [answer.json()["choices"][0]["message"]["content"] for answer in answers[1::2]]
    assert documents == [f"answer {number}" for number in range(1, 30, 2)]


def test_a_refused_request_leaves_the_connection_to_the_next_one(solo: World) -> None:
    with solo.wire() as wire:
        wire.send(solo.request("/v1/chat/completions", b"{") + solo.chat(model="unknown") + solo.chat())
        assert [wire.answer().status, wire.answer().status] == [400, 404]
        assert wire.answer().text == "Hello, world"


def test_a_segment_may_end_inside_the_next_request(solo: World) -> None:
    both = solo.chat() + solo.chat(stream=False)
    with solo.wire() as wire:
        wire.send(both[:-40])
        assert wire.answer().text == "Hello, world"
        assert wire.send(both[-40:]).answer().json()["object"] == "chat.completion"


def test_a_client_that_leaves_takes_its_pipelined_requests_along(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=2)
    with solo.wire() as wire:
        wire.send(solo.chat() + solo.chat() + solo.chat())
        solo.engine.wait_for(1)
    eventually(lambda: solo.engine.in_flight == 0, what="engine free")
    solo.engine.script = Script()
    assert solo.say().status == 200
    assert len(solo.engine.seen) == 2


def test_a_long_queue_of_refusals_is_answered_to_its_end(solo: World) -> None:
    solo.engine.next(Script(head_delay=0.3))
    refused = solo.request("/v1/chat/completions", {"model": "none", "messages": [{"role": "user", "content": "x"}]})
    with solo.wire() as wire:
        wire.send(solo.chat() + refused * 400)
        assert wire.answer().text == "Hello, world"
        assert {wire.answer().status for _ in range(400)} == {404}


def test_a_client_that_leaves_is_noticed_however_much_it_pipelined(solo: World) -> None:
    solo.engine.script = Script(fault="hang", at=2)
    with solo.wire() as wire:
        wire.send(solo.chat() * 40)
        solo.engine.wait_for(1)
    eventually(lambda: solo.engine.in_flight == 0, within=2, what="engine free")


def test_the_last_of_two_pipelined_requests_may_close_the_connection(solo: World) -> None:
    closing = {"Connection": "close"}
    with solo.wire() as wire:
        wire.send(solo.chat() + solo.request("/v1/models", headers=closing))
        assert wire.answer().text == "Hello, world"
        assert wire.answer().status == 200
        assert wire.is_closed()


def test_nothing_is_answered_after_connection_close(solo: World) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
    with solo.wire() as wire:
        wire.send(solo.request("/v1/chat/completions", body, headers={"Connection": "close"}) + solo.chat())
        assert wire.answer().status == 200
        assert wire.is_closed()
    assert len(solo.engine.seen) == 1
