"""The running processes of one `tidegate up`: starts them, tells what they do, keeps them running, stops them.

What they are and how they are configured, `household` decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from serving.cli import embedded_redis
from serving.cli.child import Child
from serving.cli.household import Household, Member
from serving.cli.orphans import adopt, end_orphans
from serving.cli.probe import get
from serving.cli.progress import Progress
from serving.cli.state import StateFolder
from serving.cli.supervisor import KeptRunning, how_it_ended, stop
from serving.errors import EngineStartError, SettingsError

_OURS = "tidegate: "
_ERROR = f"{_OURS}error: "
# vLLM prints its whole configuration as one step.
_LONGEST_LINE = 160
_FRONT_SECONDS = 60.0
_REDIS_SECONDS = 5.0


class Worker:
    """One member as a process."""

    def __init__(self, member: Member, folder: StateFolder) -> None:
        file = folder.settings(member.name, member.config)
        self.child = Child(member.name, [*member.command, str(file)], folder.log(member.name), member.environ)
        self.kept = KeptRunning(self.child)
        self.ready = False
        self._ready_urls = member.ready_urls

    def ask_whether_ready(self) -> bool:
        """True when it has become ready just now."""
        self.ready = all(_answers(url) for url in self._ready_urls)
        return self.ready


class Crew:
    """The front, the cells and the Redis."""

    def __init__(self, household: Household, folder: StateFolder, progress: Progress) -> None:
        self.logs: Path = folder.folder
        self._front = Worker(household.front, folder)
        self._cells = [Worker(cell, folder) for cell in household.cells]
        self._redis = [Worker(household.redis, folder)] if household.redis is not None else []
        self._progress = progress
        self._front_due_at: float | None = None

    @property
    def _workers(self) -> list[Worker]:
        return [*self._redis, self._front, *self._cells]

    def start(self) -> None:
        """The front along with the cells, so that a wrong setting of either shows before a model is loaded."""
        adopt()
        for worker in self._workers:
            worker.kept.start(time.monotonic())

    def ready(self) -> bool:
        """One look at the start. Raises what the first member that gave up said."""
        for worker in self._workers:
            self._relay(worker, self._progress.detail if not worker.ready else _ignore)
            if worker.child.exit_status is not None:
                raise _gave_up(worker.child)
            if not worker.ready and worker.ask_whether_ready() and worker is not self._front:
                self._progress.say(f"{worker.child.name} is ready")
        waiting = [worker.child.name for worker in self._cells if not worker.ready]
        self._progress.tick(f"waiting for {' and '.join(waiting) or 'the front'}")
        if not waiting and not self._front.ready:
            self._require_front()
        return all(worker.ready for worker in self._workers)

    def _require_front(self) -> None:
        """With every cell ready, the front has a minute to see one."""
        now = time.monotonic()
        self._front_due_at = self._front_due_at or now + _FRONT_SECONDS
        if now > self._front_due_at:
            end = "\n".join(self._front.child.tail())
            raise EngineStartError(f"the front does not find the engines; the end of {self._front.child.log}:\n{end}")

    def keep_running(self) -> None:
        """One look at everything that runs: say what it says, restart what died, say when it is back."""
        for worker in self._workers:
            self._relay(worker, self._progress.say)
            if worker.child.exit_status is not None:
                worker.ready = False
                self._end_orphans()
            elif not worker.ready and worker.ask_whether_ready():
                self._progress.say(f"{worker.child.name} is ready again")
            worker.kept.check(time.monotonic(), self._progress.say)

    def stop_front(self, limit_seconds: float, hurry: Callable[[], bool]) -> None:
        self._drain([self._front], limit_seconds, hurry)

    def stop_cells(self, limit_seconds: float, hurry: Callable[[], bool]) -> None:
        self._drain(self._cells, limit_seconds, hurry)

    def stop_redis(self) -> None:
        self._stop(self._redis, _REDIS_SECONDS, lambda: False)

    def _drain(self, workers: list[Worker], limit_seconds: float, hurry: Callable[[], bool]) -> None:
        names = [worker.child.name for worker in workers if worker.child.exit_status is None]
        if names:
            self._progress.say(f"draining {' and '.join(names)}")
        self._stop(workers, limit_seconds, hurry)

    def _stop(self, workers: list[Worker], limit_seconds: float, hurry: Callable[[], bool]) -> None:
        children = [worker.child for worker in workers if worker.child.exit_status is None]
        for name in stop(children, limit_seconds, hurry):
            self._progress.say(f"{name} did not end in time and was killed")
        self._end_orphans()

    def _end_orphans(self) -> None:
        end_orphans([worker.child.pid for worker in self._workers if worker.child.exit_status is None])

    def _relay(self, worker: Worker, show: Callable[[str], None]) -> None:
        for line in worker.child.new_lines():
            if line.startswith(_OURS) and not line.startswith(_ERROR):
                show(f"{worker.child.name}: {line.removeprefix(_OURS)[:_LONGEST_LINE]}")


def _answers(url: str) -> bool:
    if url.startswith("redis:"):
        return embedded_redis.answers(url)
    answer = get(url)
    return answer is not None and answer.status == 200


def _ignore(_line: str) -> None:
    return


def _gave_up(child: Child) -> Exception:
    """What a member that ended during the start said: its own error line, else the end of its log."""
    lines = child.tail()
    said = next((line for line in reversed(lines) if line.startswith(_ERROR)), None)
    if said and child.exit_status == 2:
        key, _, message = said.removeprefix(_ERROR).partition(": ")
        return SettingsError(key, message)
    if said:
        return EngineStartError(f"{said.removeprefix(_ERROR)} (log: {child.log})")
    ending = how_it_ended(child.exit_status)
    return EngineStartError("\n".join([f"{child.name} ended with {ending}; the end of {child.log}:", *lines]))
