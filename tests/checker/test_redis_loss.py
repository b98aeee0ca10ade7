"""What is in Redis may vanish or be old: sessions go on from the durable store, from either front."""

from __future__ import annotations

from tests.checker import witness
from tests.checker.conftest import MakeStateWorld, listen
from tests.checker.faults import old_redis_data
from tests.support.said import Said
from tests.support.state_world import StateWorld
from tests.support.waiting import eventually


def turn(world: StateWorld, front: int, number: int) -> Said:
    return world.say(front, "s1", witness.say(f"red/s1/t{number}"))


def warm(world: StateWorld) -> None:
    """Wait until both fronts trust what Redis has."""
    listen(world)
    for front in (0, 1):
        session = f"warm-{front}"

        def is_hot(front: int = front, session: str = session) -> bool:
            before = world.histories()["hot"]
            world.say(front, session, witness.say(f"red/{session}/t"))
            return world.histories()["hot"] > before

        eventually(is_hot, within=20, what="a history from Redis")


def markers_seen(said: Said) -> list[str]:
    """What the answer was generated from, and that it was acknowledged."""
    assert said.outcome == "acked", said
    statement = witness.understand(said.text)
    assert statement is not None, said
    return [pair.marker.rpartition("/")[2] for pair in statement.seen]


def test_a_flushed_session_goes_on_with_its_whole_history(state_world: MakeStateWorld) -> None:
    world = state_world()
    warm(world)
    for number in range(4):
        assert turn(world, number % 2, number).outcome == "acked"
    assert world.redis is not None
    world.redis.flush()
    assert markers_seen(turn(world, 0, 4)) == ["t0", "t1", "t2", "t3"]
    assert markers_seen(turn(world, 1, 5)) == ["t0", "t1", "t2", "t3", "t4"]


def test_without_redis_every_turn_succeeds_at_both_fronts(state_world: MakeStateWorld) -> None:
    world = state_world()
    warm(world)
    assert turn(world, 0, 0).outcome == "acked"
    assert world.redis is not None
    world.redis.kill()
    for number in range(1, 9):
        assert markers_seen(turn(world, number % 2, number)) == [f"t{before}" for before in range(number)]


def test_old_data_in_redis_is_not_answered_from(state_world: MakeStateWorld) -> None:
    world = state_world()
    warm(world)
    for number in range(3):
        assert turn(world, number % 2, number).outcome == "acked"
    with old_redis_data(world):
        for number in range(3, 6):
            assert turn(world, number % 2, number).outcome == "acked"
    kept = [f"t{number}" for number in range(6)]
    for number in range(6, 12):
        said = turn(world, number % 2, number)
        assert said.outcome in ("acked", "refused", "failed"), said
        if said.outcome == "acked":
            assert markers_seen(said) == kept
            kept.append(f"t{number}")
    assert kept[-2:] == ["t10", "t11"]
