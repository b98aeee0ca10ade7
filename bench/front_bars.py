"""What the front tier's figures are held against, and how they are laid out; it starts and loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.loads import Json, Sample, Streams, best
from bench.report import Bar, ratio
from bench.sides import Side

OURS, FLOOR = "tidegate", "mock alone"
PEERS = {"vllm-router": (0.6, 0.8), "nginx": (2.5, 1.3)}
HEADERS = (
    "side",
    "CPU-µs per JSON request, c=1 / 32 / 256",
    "RPS of one core, c=32",
    "p50 µs, c=1",
    "CPU-µs per relayed write, 20 / 200 / 1,000 streams",
    "TTFT p50 ms, 20 / 200",
    "1,000 streams p50 s",
    "RSS MiB idle → peak",
    "start s",
    "errors",
    "max / min over rounds",
)


@dataclass(frozen=True)
class Plan:
    """The loads of a run, in their order."""

    json: tuple[Json, Json, Json]
    streams: tuple[Streams, Streams, Streams]
    rounds: int

    def loads(self) -> tuple[Json | Streams, ...]:
        """All of them."""
        return (*self.json, *self.streams)


FULL = Plan(
    json=(Json(1, 1), Json(32, 2), Json(256, 2)),
    streams=(Streams(20, 160, 32, 20, 8), Streams(200, 1200, 32, 20, 80), Streams(1000, 1000, 20, 50, 0)),
    rounds=3,
)
QUICK = Plan(
    json=(Json(1, 1), Json(32, 1), Json(256, 1)),
    streams=(Streams(20, 40, 32, 20, 8), Streams(200, 400, 32, 20, 80), Streams(1000, 1000, 20, 50, 0)),
    rounds=1,
)

Rounds = Mapping[tuple[str, Json | Streams], Sequence[Sample]]


@dataclass(frozen=True)
class Figures:
    """The samples of all sides; a load that could not run has none."""

    plan: Plan
    sides: Sequence[Side]
    rounds: Rounds

    def of(self, name: str, load: Json | Streams) -> Sample | None:
        """The best of the rounds."""
        samples = self.rounds.get((name, load))
        return best(samples) if samples else None

    def cpu_us(self, name: str, load: Json | Streams) -> float | None:
        """The score of one load."""
        sample = self.of(name, load)
        return sample.cpu_us if sample else None

    def side(self, name: str) -> Side | None:
        """A side by its name, when it was there."""
        return next((side for side in self.sides if side.name == name), None)


def rows(figures: Figures) -> list[list[str]]:
    """One line per side, under `HEADERS`."""
    return [_row(figures, side) for side in figures.sides]


def bars(figures: Figures) -> list[Bar]:
    """Every bar of the front tier."""
    _, many, crowd = figures.plan.json
    few_streams, streams, slow = figures.plan.streams
    found = []
    for peer, (json_limit, event_limit) in PEERS.items():
        found.append(_against(figures, peer, "JSON request, c=32", many, json_limit))
        for load, name in ((few_streams, "20 streams"), (streams, "200 streams")):
            found.append(_against(figures, peer, f"relayed event, {name}", load, event_limit))
    crowded = ratio(figures.cpu_us(OURS, crowd), figures.cpu_us(OURS, many))
    found.append(Bar("JSON request, c=256 / c=32", crowded, 1.6))
    return [*found, *_slow_stream_bars(figures, slow), *_time_bars(figures, streams)]


def _against(figures: Figures, peer: str, what: str, load: Json | Streams, limit: float) -> Bar:
    return Bar(f"{what} / {peer}", ratio(figures.cpu_us(OURS, load), figures.cpu_us(peer, load)), limit)


def _slow_stream_bars(figures: Figures, load: Streams) -> list[Bar]:
    sample, side = figures.of(OURS, load), figures.side(OURS)
    per_stream = (sample.peak_rss_mib - side.idle_rss_mib) * 1024 / load.connections if sample and side else None
    return [
        Bar("1,000 slow streams: errors", sample.errors if sample else None, 0, "errors"),
        Bar("1,000 slow streams: p50", sample.p50_ms / 1000 if sample else None, 1.15, "s"),
        Bar("RSS with 1,000 streams open", sample.peak_rss_mib if sample else None, 80, "MiB"),
        Bar("RSS per open stream", per_stream, 15, "KiB"),
    ]


def _time_bars(figures: Figures, load: Streams) -> list[Bar]:
    ours, floor, side = figures.of(OURS, load), figures.of(FLOOR, load), figures.side(OURS)
    added = ours.ttft_p50_ms - floor.ttft_p50_ms if ours and floor else None
    return [
        Bar("added TTFT p50, 200 streams", added, 1, "ms"),
        Bar("start to first answer", side.start_seconds if side else None, 3, "s"),
    ]


def _row(figures: Figures, side: Side) -> list[str]:
    json_samples = [figures.of(side.name, load) for load in figures.plan.json]
    stream_samples = [figures.of(side.name, load) for load in figures.plan.streams]
    alone, many, _ = json_samples
    slow = stream_samples[-1]
    errors = sum(sample.errors for sample in (*json_samples, *stream_samples) if sample)
    return [
        f"{side.name} {side.version}".strip(),
        _joined(json_samples, lambda sample: f"{sample.cpu_us:.0f}"),
        _joined([many], lambda sample: f"{1e6 / sample.cpu_us:,.0f}"),
        _joined([alone], lambda sample: f"{sample.p50_ms * 1000:.0f}"),
        _joined(stream_samples, lambda sample: f"{sample.cpu_us:.0f}"),
        _joined(stream_samples[:2], lambda sample: f"{sample.ttft_p50_ms:.1f}"),
        _joined([slow], lambda sample: f"{sample.p50_ms / 1000:.2f}"),
        f"{side.idle_rss_mib:.0f} → " + _joined([slow], lambda sample: f"{sample.peak_rss_mib:.0f}"),
        f"{side.start_seconds:.1f}",
        str(errors),
        f"{_spread(figures, side.name):.2f}",
    ]


def _joined(samples: Sequence[Sample | None], text: Callable[[Sample], str]) -> str:
    return " / ".join(text(sample) if sample else "-" for sample in samples)


def _spread(figures: Figures, name: str) -> float:
    scores = [[sample.cpu_us for sample in figures.rounds.get((name, load), ())] for load in figures.plan.loads()]
    return max((max(values) / min(values) for values in scores if values), default=1.0)
