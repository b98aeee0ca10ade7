"""One run of the history checker: clients talk while faults strike, everything heals, all is read back and judged."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.checker import faults, readers
from tests.checker.faults import Fault
from tests.checker.history import Reading, Request, Violation
from tests.checker.history_checker import check
from tests.checker.talk import Talk
from tests.checker.witness import Witness
from tests.checker.workload import Workload
from tests.support.state_world import PATIENCE_SECONDS, TEAMS, StateWorld

# With everything healed, new turns succeed within this.
_RECOVERY_SECONDS = 5.0
# A lease shorter than the longest pause of a front: it may come back when another has taken over.
SETTINGS = {
    "front.state.store_timeout_seconds": 1,
    "front.state.lease_seconds": 2,
    "front.engine_poll_seconds": 1,
}


@dataclass(frozen=True)
class Report:
    """`str` of it is what a person reads. `histories` counts those that turns were generated from, by store."""

    seed: int
    store: str
    faults: tuple[Fault, ...]
    requests: tuple[Request, ...]
    histories: Counter[str]
    readings: int
    violations: tuple[Violation, ...]

    @property
    def counts(self) -> Counter[str]:
        return Counter(request.outcome for request in self.requests)

    def __str__(self) -> str:
        details = Counter(f"{request.outcome}: {request.detail}" for request in self.requests)
        lines = [f"seed {self.seed}, store {self.store}"]
        lines += [f"  {fault}" for fault in self.faults]
        lines += [f"{count:6d}  {detail}" for detail, count in details.most_common()]
        lines += [f"{count:6d}  histories from the {source} store" for source, count in self.histories.most_common()]
        lines += [f"{self.readings} histories read back, {len(self.violations)} violations"]
        lines += [f"  {violation}" for violation in self.violations]
        return "\n".join(lines)


def run(
    folder: Path,
    store: str,
    seed: int,
    seconds: float,
    *,
    clients: int = 8,
    pace_seconds: float = 0.05,
    strikes: Iterable[Fault] | None = None,
) -> Report:
    """`strikes` takes the place of the schedule that the seed gives."""
    planned = faults.schedule(seed, seconds, store) if strikes is None else list(strikes)
    with StateWorld(folder, store, settings=SETTINGS) as world:
        witness = Witness(seed)
        for engine in world.engines:
            engine.decide = witness.decide
        workload = Workload(world, seed, seconds, clients, pace_seconds)
        _under_fire(world, store, workload, planned)
        violations = [*_recovery(world, workload), *_hung(workload), *_unanswered(workload)]
        readings, late = _read_back(world, workload)
        violations += late + check(workload.requests, readings, witness.statements)
        violations += _tracebacks(world)
        histories = world.histories()
    return Report(seed, store, tuple(planned), tuple(workload.requests), histories, len(readings), tuple(violations))


def _under_fire(world: StateWorld, store: str, workload: Workload, planned: list[Fault]) -> None:
    """Returns with everything healed, and every client at its end."""
    tracks = sorted({fault.track for fault in planned})
    with ThreadPoolExecutor(len(tracks) + 1) as threads:
        running = [
            threads.submit(
                faults.play, world, store, [fault for fault in planned if fault.track == track], workload.began
            )
            for track in tracks
        ]
        clients = threads.submit(workload.run)
        try:
            for track in running:
                track.result()
        except BaseException:
            workload.halt()
            raise
        clients.result()
    world.wait_until_ready()


def _recovery(world: StateWorld, workload: Workload) -> list[Violation]:
    """A new session at each front."""
    found: list[Violation] = []
    for front in range(len(world.fronts)):
        talk = Talk(f"{TEAMS[0]}/healed-{front}", "chat", f"healed-{front}")
        found += _must_be_acked(workload, talk, front, "new")
    return found


def _must_be_acked(workload: Workload, talk: Talk, front: int, what: str) -> list[Violation]:
    ended = workload.until_acked(talk, lambda number: f"{talk.name}/{what}{front}.{number}", front, _RECOVERY_SECONDS)
    if ended.outcome == "acked":
        return []
    evidence = f"no turn succeeded at front {front} for {_RECOVERY_SECONDS} s: {ended.detail}"
    return [Violation("not recovered", talk.name, evidence)]


def _hung(workload: Workload) -> list[Violation]:
    return [
        Violation("hung", request.session, str(request))
        for request in workload.requests
        if request.ended - request.began >= PATIENCE_SECONDS
    ]


def _unanswered(workload: Workload) -> list[Violation]:
    return [
        Violation("not recovered", last.session, f"its key never got an answer; at last {last}")
        for last in workload.unanswered
    ]


def _tracebacks(world: StateWorld) -> list[Violation]:
    return [
        Violation("traceback", f"front {number}", front.stderr[-3000:])
        for number, front in enumerate(world.fronts)
        if "Traceback" in front.stderr
    ]


def _read_back(world: StateWorld, workload: Workload) -> tuple[list[Reading], list[Violation]]:
    """Each session by one last turn at each front, then by the store and by the API."""
    lock = threading.Lock()
    readings: list[Reading] = []
    late: list[Violation] = []

    def last_turns(talk: Talk) -> None:
        if talk.api == "chain" and talk.last is None:
            return
        for front in range(len(world.fronts)):
            at = workload.now()
            missing = _must_be_acked(workload, talk, front, "last")
            acks = [r for r in workload.requests if r.session == talk.name and r.outcome == "acked" and r.began >= at]
            found = [readers.of_answer(talk, front, at, ack.text) for ack in acks]
            if talk.api != "chain":
                found.append(readers.of_api(world, front, talk, workload.now()))
            with lock:
                readings.extend(found)
                late.extend(missing)

    talks = workload.talks
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(last_turns, talks))
    readings += readers.of_store(world, talks, workload.now())
    return readings, late
