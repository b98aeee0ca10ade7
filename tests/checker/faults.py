"""What is done to Redis, the store's connection and the fronts, when and for how long: a schedule from a seed."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.support.chaos_proxy import ChaosProxy, Mode
from tests.support.state_world import StateWorld

# It strikes on entry, and what it did is undone on exit.
Strike = Callable[[StateWorld], AbstractContextManager[None]]
_LONGEST_SECONDS = 2.5
# When a track's first fault comes, and what lies between two, seconds. Copies in Redis are not trusted for some seconds
# after many of its faults: in a longer peace they are used, and the next fault matters.
_RHYTHM = {"redis": ((3.5, 5.5), (0.5, 6.0))}


@dataclass(frozen=True)
class Fault:
    """From `at`, seconds after the run began, for `seconds`. Faults of one track follow each other."""

    at: float
    seconds: float
    track: str
    name: str

    def __str__(self) -> str:
        return f"{self.at:6.2f} s for {self.seconds:.2f} s  {self.track}: {self.name}"


def schedule(
    seed: int, seconds: float, store: str, tracks: tuple[str, ...] = ("redis", "store", "front")
) -> list[Fault]:
    """The same for the same arguments; by time. Everything is healed when the run ends."""
    source = random.Random(f"faults of {seed}")
    faults: list[Fault] = []
    for track in tracks:
        names = sorted(_choice(track, store))
        begins, pauses = _RHYTHM.get(track, ((0.2, 1.5), (0.3, 2.0)))
        at = source.uniform(*begins)
        while True:
            length = source.uniform(0.2, _LONGEST_SECONDS)
            if at + length > seconds:
                break
            faults.append(Fault(round(at, 2), round(length, 2), track, source.choice(names)))
            at += length + source.uniform(*pauses)
    return sorted(faults, key=lambda fault: fault.at)


def play(world: StateWorld, store: str, faults: list[Fault], began: float) -> None:
    """The faults of one track, in the caller's thread. `began` is of time.monotonic()."""
    for fault in faults:
        time.sleep(max(began + fault.at - time.monotonic(), 0))
        with _choice(fault.track, store)[fault.name](world):
            time.sleep(max(began + fault.at + fault.seconds - time.monotonic(), 0))


def _choice(track: str, store: str) -> Mapping[str, Strike]:
    if track == "redis":
        return _REDIS
    if track == "front":
        return {f"{name} {front}": strike for front in (0, 1) for name, strike in _front(front).items()}
    if store == "sqlite":
        return {"locked": _locked}
    # The DynamoDB stand-ins keep their tables in memory.
    return {**_STORE, "killed": _store_killed} if store == "postgres" else _STORE


def _redis_proxy(world: StateWorld) -> ChaosProxy:
    assert world.redis_proxy is not None
    return world.redis_proxy


def _store_proxy(world: StateWorld) -> ChaosProxy:
    assert world.store_proxy is not None
    return world.store_proxy


def _network(proxy_of: Callable[[StateWorld], ChaosProxy]) -> dict[str, Strike]:
    """What a network does to the connections of one server."""

    def mode(name: Mode, **options: float) -> Strike:
        @contextmanager
        def strike(world: StateWorld) -> Iterator[None]:
            proxy_of(world).switch(name, **options)
            try:
                yield
            finally:
                proxy_of(world).switch("pass")

        return strike

    @contextmanager
    def gone(world: StateWorld) -> Iterator[None]:
        with mode("refuse")(world):
            proxy_of(world).cut()
            yield

    @contextmanager
    def cut(world: StateWorld) -> Iterator[None]:
        for _ in range(5):
            proxy_of(world).cut()
            time.sleep(0.03)
        yield

    return {
        "gone": gone,
        "cut": cut,
        "black hole": mode("black_hole"),
        "half open": mode("half_open"),
        "stalled": mode("stall"),
        "slow": mode("slow", delay_seconds=0.05, bytes_per_second=200_000),
    }


@contextmanager
def _redis_killed(world: StateWorld) -> Iterator[None]:
    assert world.redis is not None
    world.redis.kill()
    try:
        yield
    finally:
        world.redis.start()


@contextmanager
def _redis_flushed(world: StateWorld) -> Iterator[None]:
    assert world.redis is not None
    world.redis.flush()
    yield


@contextmanager
def old_redis_data(world: StateWorld) -> Iterator[None]:
    """Saved on entry; on exit Redis is killed and starts from what was saved."""
    assert world.redis is not None
    said = world.redis.command("SAVE")
    assert said == "+OK", said
    try:
        yield
    finally:
        world.redis.kill()
        world.redis.start()
        for dump in (world.folder / "redis").glob("*.rdb"):
            dump.unlink()


@contextmanager
def _store_killed(world: StateWorld) -> Iterator[None]:
    world.store.kill()
    try:
        yield
    finally:
        world.store.start()


@contextmanager
def _locked(world: StateWorld) -> Iterator[None]:
    """Another process writes and does not come to an end."""
    other = sqlite3.connect(world.store_url.removeprefix("sqlite:///"), timeout=5, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def _front(front: int) -> dict[str, Strike]:
    @contextmanager
    def killed(world: StateWorld) -> Iterator[None]:
        world.kill(front)
        try:
            yield
        finally:
            world.restart(front)

    @contextmanager
    def paused(world: StateWorld) -> Iterator[None]:
        world.fronts[front].signal(signal.SIGSTOP)
        try:
            yield
        finally:
            world.fronts[front].signal(signal.SIGCONT)

    return {"killed": killed, "paused": paused}


_REDIS: Mapping[str, Strike] = {
    **_network(_redis_proxy),
    "killed": _redis_killed,
    "flushed": _redis_flushed,
    "rewound": old_redis_data,
}
_STORE: Mapping[str, Strike] = _network(_store_proxy)
