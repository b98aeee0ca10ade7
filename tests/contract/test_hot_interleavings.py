"""The hot store beside a durable one, in every order that turns, changes, deaths and losses can come in.

Whatever came before, a copy that it gives while nobody is at work is what the durable store has.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

import pytest

from serving.adapters.redis.hot import RedisHot
from serving.front.state.records import Key, Opened, Session, Turn
from tests.contract.values import turn
from tests.support.redis_replica import PATIENT, replica
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
SEEDS = 600
STEPS = 50
HOT_TURNS = 3
KEY = Key("acme", "one")
NAME = "tg:{acme:one}:hot1:settled"
Steps = AsyncGenerator[None, None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@dataclass
class Durable:
    """One session, as a durable store has it; every life of it begins at another time."""

    life: float = 1.0
    note: int = 0
    turns: list[Turn] = field(default_factory=list)

    def read(self) -> Opened:
        session = Session(KEY, self.life, metadata={"note": str(self.note)})
        return Opened(session, tuple(self.turns[-HOT_TURNS:]))

    def change(self, rng: random.Random) -> None:
        """What happens to a session besides turns."""
        if self.turns and rng.random() < 0.5:
            place = rng.randrange(len(self.turns))
            self.turns[place] = self.turns[place]._replace(items=())
        elif rng.random() < 0.5:
            self.note += 1
        else:
            self.life += 1
            self.turns.clear()


async def take_turn(hot: RedisHot, durable: Durable, turn_id: str) -> Steps:
    opened = await hot.open(KEY, turn_id)
    yield
    if opened is None:
        opened = durable.read()
        yield
        await hot.fill(opened, turn_id)
    yield
    # A real store refuses the turn as it does that of a session that is gone.
    if opened.session.created_at != durable.life or opened.version != len(durable.turns):
        await hot.forget(KEY)
        return
    stored = turn(turn_id, "text", number=opened.version + 1)
    durable.turns.append(stored)
    yield
    await hot.append(KEY, stored)


async def make_change(hot: RedisHot, durable: Durable, change_id: str, rng: random.Random) -> Steps:
    await hot.open(KEY, change_id)
    yield
    durable.change(rng)
    yield
    await hot.forget(KEY)


@pytest.mark.parametrize("half", [0, 1])
async def test_a_copy_is_what_the_durable_store_has(server: RedisServer, half: int) -> None:
    settings = PATIENT.model_copy(update={"hot_turns": HOT_TURNS})
    copies = 0
    server.settle()
    async with replica(server.url, settings) as here, replica(server.url, settings) as there:
        for seed in range(half, SEEDS, 2):
            server.flush()
            server.settle()
            copies += await _run(random.Random(seed), server, (here.hot, there.hot), seed)

    assert copies > SEEDS / 8


async def _run(rng: random.Random, server: RedisServer, hots: tuple[RedisHot, RedisHot], seed: int) -> bool:
    """Whether there was a copy in the end."""
    durable, running = Durable(), list[tuple[Steps, bool]]()
    for number in range(STEPS):
        chance = rng.random()
        if len(running) < 3 and chance < 0.04:
            running.append((make_change(rng.choice(hots), durable, f"change-{number}", rng), False))
        elif len(running) < 3 and chance < 0.3:
            running.append((take_turn(rng.choice(hots), durable, f"turn-{number}"), True))
        elif chance > 0.98:
            server.command("DEL", *rng.choice([(NAME,), (f"{NAME}:turns",), (NAME, f"{NAME}:turns")]))
        elif running:
            await _go_on(running, rng, death=0.04)
    while running:
        await _go_on(running, rng, death=0.1)
    if rng.random() < 0.5:
        running.append((take_turn(rng.choice(hots), durable, "last"), False))
        while running:
            await _go_on(running, rng, death=0)
    found = await hots[0].open(KEY, "afterwards")
    assert found is None or found == durable.read(), f"seed {seed}: {found} instead of {durable.read()}"
    return found is not None


async def _go_on(running: list[tuple[Steps, bool]], rng: random.Random, *, death: float) -> None:
    """One step of one that runs, which may end it, or be its death."""
    place = rng.randrange(len(running))
    steps, may_die = running[place]
    if may_die and rng.random() < death:
        del running[place]
        return
    try:
        await anext(steps)
    except StopAsyncIteration:
        del running[place]
