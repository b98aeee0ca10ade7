"""What the engine cell's figures are held against, and how they are laid out; it starts and loads nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.engine_sides import BOTH, CELL, PLAIN
from bench.report import Bar, ratio, table

HEADERS = (
    "side",
    "output tokens/s",
    "TTFT p50 ms",
    "TPOT p50 ms",
    "CPU-ms per output token",
    "CPU when idle",
    "RSS MiB",
    "start s",
    "errors",
)
_AGAINST = ("against plain vLLM", "output tokens/s", "TTFT p50", "CPU per output token")


@dataclass(frozen=True)
class Load:
    """Streams of `tokens` tokens with distinct 30-word prompts, in a closed loop."""

    concurrency: int
    requests: int
    tokens: int


@dataclass(frozen=True)
class Sample:
    """One load of one side."""

    tokens_per_second: float
    ttft_p50_ms: float
    tpot_p50_ms: float
    cpu_ms_per_token: float
    errors: int


@dataclass(frozen=True)
class Standing:
    """What a side takes before it is loaded; `idle_cpu` is in cores."""

    name: str
    start_seconds: float
    idle_cpu: float
    rss_mib: float


@dataclass(frozen=True)
class Figures:
    """The samples of all sides."""

    loads: Sequence[Load]
    sides: Sequence[Standing]
    rounds: Mapping[tuple[str, Load], Sequence[Sample]]

    def of(self, name: str, load: Load, figure: Callable[[Sample], float]) -> float | None:
        """The median over the rounds."""
        samples = self.rounds.get((name, load))
        return statistics.median(figure(sample) for sample in samples) if samples else None

    def errors(self, name: str) -> int:
        """All of a side's errors."""
        return sum(sample.errors for (side, _), samples in self.rounds.items() if side == name for sample in samples)


def tables(figures: Figures) -> str:
    """The figures of each side, and ours against plain vLLM's."""
    concurrency = " / ".join(str(load.concurrency) for load in figures.loads)
    rows = [_row(figures, side) for side in figures.sides]
    against = [_against(figures, side.name) for side in figures.sides if side.name != PLAIN]
    text = f"Triples are for concurrency {concurrency}.\n\n{table(HEADERS, rows)}"
    return f"{text}\n\n{table(_AGAINST, against)}" if against else text


def bars(figures: Figures) -> list[Bar]:
    """Every bar of the engine cell."""
    found = []
    for load in figures.loads[1:]:
        speed = ratio(figures.of(CELL, load, _speed), figures.of(PLAIN, load, _speed))
        found.append(Bar(f"output tokens/s, c={load.concurrency}: cell / plain vLLM", speed, 0.97, at_least=True))
    alone = figures.loads[0]
    added = _difference(figures.of(CELL, alone, _ttft), figures.of(PLAIN, alone, _ttft))
    found.append(Bar("added TTFT p50, c=1: cell - plain vLLM", added, 3, "ms"))
    for name in (CELL, BOTH):
        errors = figures.errors(name) if any(side.name == name for side in figures.sides) else None
        found.append(Bar(f"errors of {name}", errors, 0, "errors"))
    return found


def _row(figures: Figures, side: Standing) -> list[str]:
    def triple(figure: Callable[[Sample], float], form: str) -> str:
        return _joined([figures.of(side.name, load, figure) for load in figures.loads], form)

    return [
        side.name,
        triple(_speed, ",.0f"),
        triple(_ttft, ".0f"),
        triple(lambda sample: sample.tpot_p50_ms, ".1f"),
        triple(_cpu, ".2f"),
        f"{side.idle_cpu:.1%}",
        f"{side.rss_mib:,.0f}",
        f"{side.start_seconds:.0f}",
        str(figures.errors(side.name)),
    ]


def _against(figures: Figures, name: str) -> list[str]:
    def pairs(figure: Callable[[Sample], float]) -> list[tuple[float | None, float | None]]:
        return [(figures.of(name, load, figure), figures.of(PLAIN, load, figure)) for load in figures.loads]

    return [
        name,
        _joined([ratio(*pair) for pair in pairs(_speed)], ".2f") + " x",
        _joined([_difference(*pair) for pair in pairs(_ttft)], "+.1f") + " ms",
        _joined([ratio(*pair) for pair in pairs(_cpu)], ".2f") + " x",
    ]


def _joined(values: Sequence[float | None], form: str) -> str:
    return " / ".join("-" if value is None else format(value, form) for value in values)


def _speed(sample: Sample) -> float:
    return sample.tokens_per_second


def _ttft(sample: Sample) -> float:
    return sample.ttft_p50_ms


def _cpu(sample: Sample) -> float:
    return sample.cpu_ms_per_token


def _difference(ours: float | None, theirs: float | None) -> float | None:
    return ours - theirs if ours is not None and theirs is not None else None
