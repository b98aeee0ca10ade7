"""Summaries: what is asked, what is taken for one, and the background work, on a real SQLite store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from serving.adapters.sqlite.store import SqliteStore
from serving.errors import Lost
from serving.front.state import summary
from serving.front.state.prompt import Summary
from serving.front.state.records import Item, Key, Session, Turn
from serving.front.state.summaries import Job, Policy, Summaries
from serving.settings import StateSettings

pytestmark = pytest.mark.anyio

KEY = Key("team", "s1")
JOB = Job(KEY, "m", through=3, room=2000)
QUICK = Policy(pauses_seconds=(0, 0), rest_seconds=50, timeout_seconds=5)


def turn(number: int, *messages: dict[str, Any]) -> Turn:
    given = messages or (
        {"role": "user", "content": f"ask {number}"},
        {"role": "assistant", "content": f"say {number}"},
    )
    return Turn(f"t{number}", 0, "chat", tuple(Item(f"m{number}_{at}", item) for at, item in enumerate(given)))


def asked(body: dict[str, Any]) -> str:
    (message,) = body["messages"]
    return str(message["content"])


def completion(content: Any) -> bytes:
    return orjson.dumps({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})


def test_the_engine_is_asked_for_a_short_answer_that_is_not_streamed() -> None:
    body = summary.prompt(None, None, [turn(1)], room=8000)
    assert (body["stream"], body["temperature"], body["max_tokens"]) == (False, 0, 512)
    assert "user: ask 1\nassistant: say 1" in asked(body)


def test_the_summary_so_far_and_the_system_prompt_go_in_before_the_turns() -> None:
    system = turn(1, {"role": "system", "content": "Be kind."})
    text = asked(summary.prompt(system, "They met.", [turn(2)], room=8000))
    assert text.index("Be kind.") < text.index("They met.") < text.index("ask 2")


def test_tools_images_and_system_messages_are_told_in_words() -> None:
    function = {"name": "look", "arguments": '{"at":"sea"}'}
    stored = turn(
        1,
        {"role": "system", "content": "hidden"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "d"}}],
        },
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "waves"},
    )
    text = asked(summary.prompt(None, None, [stored], room=8000))
    assert 'user: See [image_url]\nassistant: called look({"at":"sea"})\nresult: waves' in text
    assert "hidden" not in text


def test_what_is_asked_fits_the_room_and_keeps_the_newest() -> None:
    turns = [turn(number, {"role": "user", "content": f"<{number}>" + "x" * 3000}) for number in range(50)]
    body = summary.prompt(None, None, turns, room=4000)
    assert len(orjson.dumps(body)) // 4 + body["max_tokens"] <= 4100
    assert "<49>" in asked(body)
    assert "<0>" not in asked(body)


def test_what_is_asked_is_bounded_where_the_context_is_not_known() -> None:
    turns = [turn(number, {"role": "user", "content": "x" * 3000}) for number in range(200)]
    assert len(asked(summary.prompt(None, None, turns, room=1 << 40))) < 4 * 32_768


def test_a_long_message_loses_its_middle() -> None:
    text = asked(summary.prompt(None, None, [turn(1, {"role": "user", "content": "a" * 50_000 + "END"})], room=100_000))
    assert "END" in text
    assert len(text) < 6000


@pytest.mark.parametrize(
    "said", ["They met.", " They met.\n", "<think>Hm.</think>\n\nThey met.", "Hm</think>They met."]
)
def test_a_summary_is_read_without_the_thoughts_before_it(said: str) -> None:
    assert summary.read(completion(said)) == "They met."


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        completion(None),
        completion(" "),
        completion("<think>x</think>"),
        completion("<think>x"),
    ],
)
def test_an_answer_without_a_summary_is_an_error(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        summary.read(answer)


class Engine:
    """Answers what it is told to, in order, the last one for ever; an exception is raised."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.asked: list[dict[str, Any]] = []
        self.salts: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._answers = list(answers) or [completion("They met.")]

    async def ask(self, model: str, body: dict[str, Any], cache_salt: str) -> bytes:
        self.asked.append(body)
        self.salts.append(cache_salt)
        await self.go_on.wait()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class World:
    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.now = 1000.0

    async def session(self, turns: int) -> None:
        await self.store.create(Session(KEY, 0))
        for number in range(1, turns + 1):
            await self.store.append(KEY, number - 1, turn(number))

    def summaries(self, engine: Engine, policy: Policy = QUICK) -> Summaries:
        return Summaries(engine, self.store, self.ending_at, lambda: self.now, policy)

    async def ending_at(self, key: Key, number: int, limit: int) -> Sequence[Turn]:
        return (await self.store.turns(key, before=number + 1, limit=limit, order="desc"))[::-1]

    async def stored(self) -> Summary | None:
        found = await self.store.get("summary", KEY)
        return Summary(**found.body) if found else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await SqliteStore.connect(str(tmp_path / "state.db"), StateSettings(), lambda: 1000.0)
    yield World(store)
    await store.close()


async def under_way(engine: Engine, requests: int = 1) -> None:
    """Until the engine has got so many."""
    async with asyncio.timeout(20):
        while len(engine.asked) < requests:
            await asyncio.sleep(0.001)


async def idle(summaries: Summaries) -> None:
    """Until nothing is under way."""
    async with asyncio.timeout(20):
        while summaries.under_way:
            await asyncio.sleep(0.001)


async def test_a_summary_is_made_of_the_turns_it_stands_for_and_stored(world: World) -> None:
    await world.session(5)
    engine = Engine()
    summaries = world.summaries(engine)
    summaries.want(JOB)
    await idle(summaries)
    stored = await world.stored()
    assert stored is not None
    assert (stored.through, stored.text) == (3, "They met.")
    assert stored.tokens > 0
    assert "ask 3" in asked(engine.asked[0])
    assert "ask 4" not in asked(engine.asked[0])


async def test_the_next_summary_is_made_of_the_one_before_and_what_came_after_it(world: World) -> None:
    await world.session(9)
    engine = Engine(completion("They met."), completion("They met and ate."))
    summaries = world.summaries(engine)
    for through in (3, 6):
        summaries.want(JOB._replace(through=through))
        await idle(summaries)
    text = asked(engine.asked[1])
    assert "They met." in text
    assert "ask 3" not in text
    assert "ask 4" in text
    stored = await world.stored()
    assert stored is not None
    assert (stored.through, stored.text) == (6, "They met and ate.")


async def test_one_summary_is_made_at_a_time_of_a_session(world: World) -> None:
    await world.session(3)
    engine = Engine()
    engine.go_on.clear()
    summaries = world.summaries(engine)
    for _ in range(5):
        summaries.want(JOB)
        await asyncio.sleep(0.01)
    engine.go_on.set()
    await idle(summaries)
    assert len(engine.asked) == 1


async def test_so_many_are_made_at_once_and_no_more(world: World) -> None:
    engine = Engine()
    summaries = world.summaries(engine, QUICK._replace(at_once=2))
    for number in range(5):
        summaries.want(JOB._replace(key=Key("team", f"s{number}")))
    assert summaries.under_way == 2
    await idle(summaries)


async def test_a_summary_that_is_there_already_is_not_made_again(world: World) -> None:
    await world.session(5)
    engine = Engine()
    summaries = world.summaries(engine)
    for through in (3, 3, 2):
        summaries.want(JOB._replace(through=through))
        await idle(summaries)
    assert len(engine.asked) == 1


@pytest.mark.parametrize("failure", [Lost("gone"), completion(""), b"{", RuntimeError("secret text")])
async def test_a_failure_is_tried_again(world: World, failure: bytes | Exception) -> None:
    await world.session(3)
    summaries = world.summaries(Engine(failure, failure, completion("They met.")))
    summaries.want(JOB)
    await idle(summaries)
    assert await world.stored() is not None


async def test_after_its_last_try_a_session_rests_and_then_is_tried_again(world: World) -> None:
    await world.session(3)
    engine = Engine(*[Lost("gone")] * 3, completion("They met."))
    summaries = world.summaries(engine)
    summaries.want(JOB)
    await idle(summaries)
    summaries.want(JOB)
    assert summaries.under_way == 0
    world.now += 60
    summaries.want(JOB)
    await idle(summaries)
    assert len(engine.asked) == 4
    assert await world.stored() is not None


async def test_an_engine_that_never_answers_is_given_up(world: World) -> None:
    await world.session(3)
    engine = Engine()
    engine.go_on.clear()
    summaries = world.summaries(engine, QUICK._replace(timeout_seconds=0.01))
    summaries.want(JOB)
    await idle(summaries)
    assert len(engine.asked) == 3


async def test_the_log_names_the_session_and_no_word_of_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.session(3)
    summaries = world.summaries(Engine(RuntimeError("ask 1")))
    summaries.want(JOB)
    await idle(summaries)
    assert "s1" in caplog.text
    assert "ask 1" not in caplog.text


async def test_the_summary_of_a_session_that_is_deleted_meanwhile_goes_too(world: World) -> None:
    await world.session(3)
    engine = Engine()
    engine.go_on.clear()
    summaries = world.summaries(engine)
    summaries.want(JOB)
    await under_way(engine)
    await world.store.delete_session(KEY)
    await world.store.delete("summary", KEY)
    engine.go_on.set()
    await idle(summaries)
    assert await world.stored() is None


async def test_a_session_without_turns_has_no_summary(world: World) -> None:
    engine = Engine()
    summaries = world.summaries(engine)
    summaries.want(JOB)
    await idle(summaries)
    assert engine.asked == []


async def test_two_replicas_that_make_the_same_summary_leave_one(world: World) -> None:
    await world.session(3)
    engine = Engine()
    engine.go_on.clear()
    replicas = [world.summaries(engine), world.summaries(engine)]
    for summaries in replicas:
        summaries.want(JOB)
    await under_way(engine, 2)
    engine.go_on.set()
    for summaries in replicas:
        await idle(summaries)
    found = await world.store.get("summary", KEY)
    assert found is not None
    assert found.revision == 1


async def test_closing_stops_what_is_under_way_and_nothing_begins_after_it(world: World) -> None:
    await world.session(3)
    engine = Engine()
    engine.go_on.clear()
    summaries = world.summaries(engine)
    summaries.want(JOB)
    await under_way(engine)
    await summaries.close()
    summaries.want(JOB)
    assert summaries.under_way == 0
    assert await world.stored() is None


async def test_the_engine_gets_the_salt_of_the_tenant(world: World) -> None:
    await world.session(3)
    engine = Engine()
    summaries = world.summaries(engine)
    summaries.want(JOB._replace(cache_salt="salt"))
    await idle(summaries)
    assert engine.salts == ["salt"]
