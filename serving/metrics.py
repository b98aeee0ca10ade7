"""Every series of the front tier, declared once, and vLLM's names that others read; it knows no request.

Counts are plain numbers that the ledger adds to; Prometheus' text is made only when somebody scrapes. Histogram edges
sit on the SLOs: TTFT 0.1, 0.25, 0.5 s and TPOT 25, 50 ms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.errors import Rejection
from serving.metric_families import Counts, Labels, Spread

TTFT_EDGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
TPOT_EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
COMMIT_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DURATION_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

_KINDS = ("prefill", "decode")


class FrontSeries(StrEnum):
    """Names of the front's series, as an exposition has them, that others read."""

    REQUESTS = "tidegate_requests_total"
    TOKENS = "tidegate_tokens_total"
    ATTEMPTS = "tidegate_engine_attempts_total"
    CONTINUATIONS = "tidegate_continuations_total"
    TTFT = "tidegate_time_to_first_token_seconds"
    TPOT = "tidegate_time_per_output_token_seconds"
    IN_FLIGHT = "tidegate_requests_in_flight"
    OFFERED_TOKENS = "tidegate_offered_tokens_total"
    QUEUED_TOKENS = "tidegate_queued_tokens"
    WAITING = "tidegate_requests_waiting"
    OLDEST_WAIT = "tidegate_oldest_wait_seconds"
    REJECTED = "tidegate_rejected_total"
    SLO_GOOD = "tidegate_slo_good_total"
    SLO_TOTAL = "tidegate_slo_total"
    ENGINES_READY = "tidegate_engines_ready"
    TEAM_REQUESTS = "tidegate_team_requests_total"
    TEAM_TOKENS = "tidegate_team_tokens_total"
    BEGAN = "process_start_time_seconds"


class VllmSeries(StrEnum):
    """vLLM's names, as an exposition has them; tests/engine holds each against a live engine."""

    RUNNING = "vllm:num_requests_running"
    WAITING = "vllm:num_requests_waiting"
    KV_USAGE = "vllm:kv_cache_usage_perc"
    FINISHED = "vllm:request_success_total"
    OUTPUT_TOKENS = "vllm:generation_tokens_total"
    PROMPT_TOKENS = "vllm:prompt_tokens_total"
    TTFT = "vllm:time_to_first_token_seconds"
    PREEMPTIONS = "vllm:num_preemptions_total"
    CACHE_CONFIG = "vllm:cache_config_info"
    BEGAN = "vllm:generation_tokens_created"


class Continuation(StrEnum):
    """What became of a stream whose engine broke."""

    CONTINUED = "continued"
    FAILED = "failed"
    """No engine took the rest in time."""
    UNSAFE = "unsafe"
    """It is not plain text, or not all of it is known."""
    POISON = "poison"
    """Engines die of it."""


@dataclass(slots=True)
class Taken:
    """Tokens of ended requests."""

    prompt: int = 0
    cached: int = 0
    output: int = 0


@dataclass(slots=True)
class Spent(Taken):
    """What one team asked for and took: besides the tokens, requests by how they ended."""

    ok: int = 0
    refused: int = 0
    error: int = 0


class FrontMetrics(Collector):
    """The front tier's series. Labels are bounded: served models, routes, engines, outcomes, teams of known keys."""

    def __init__(self, gauges: Callable[[], Iterable[Metric]] = lambda: (), teams: Iterable[str] = ()) -> None:
        self._gauges = gauges
        self.requests = Counts(FrontSeries.REQUESTS, "Requests ended.", ("route", "model", "status", "outcome"))
        self.tokens: dict[str, Taken] = defaultdict(Taken)
        self.attempts = Counts(FrontSeries.ATTEMPTS, "Attempts at engines.", ("engine", "outcome"))
        self.continuations = Counts(
            FrontSeries.CONTINUATIONS, "Streams whose engine broke, by what became of them.", ("model", "outcome")
        )
        self.cancellations = Counts("tidegate_cancellations", "Requests whose client left.", ("phase",))
        self.offered = Counts(
            FrontSeries.OFFERED_TOKENS,
            "Tokens that arriving requests ask engines to compute, estimated, refused requests included.",
            ("model", "kind"),
        )
        self.rejected = Counts(
            FrontSeries.REJECTED, "Requests that were refused for lack of an engine.", ("model", "reason")
        )
        self.slo_total = Counts(FrontSeries.SLO_TOTAL, "Requests that their SLO class judges.", ("model", "class"))
        self.slo_good = Counts(FrontSeries.SLO_GOOD, "Those that met their SLO class.", ("model", "class"))
        # There from the start: a rate does not see what its series begins with.
        self.teams = defaultdict(Spent, {team: Spent() for team in teams})
        self.histories = Counts("tidegate_histories_read", "Histories of sessions read for a turn.", ("source",))
        self.commit = Spread(
            "tidegate_turn_commit_seconds",
            "How long the end of an answer waited for the durable store.",
            (),
            COMMIT_EDGES,
        )
        self.ttft = Spread(
            FrontSeries.TTFT,
            "From a request's arrival at the front to its first event, streams only.",
            ("model",),
            TTFT_EDGES,
        )
        self.tpot = Spread(
            FrontSeries.TPOT,
            "Mean time between output tokens after the first event, streams only.",
            ("model",),
            TPOT_EDGES,
        )
        self.duration = Spread(
            "tidegate_request_duration_seconds", "From arrival to the last byte.", ("route", "model"), DURATION_EDGES
        )

    def collect(self) -> Iterator[Metric]:
        for family in (self.requests, self.attempts, self.continuations, self.cancellations, self.histories):
            yield family.family()
        for family in (self.offered, self.rejected, self.slo_total, self.slo_good):
            yield family.family()
        for spread in (self.ttft, self.tpot, self.duration, self.commit):
            yield spread.family()
        yield _token_counter(FrontSeries.TOKENS, "Tokens of ended requests.", "model", self.tokens)
        yield _token_counter(
            FrontSeries.TEAM_TOKENS, "Tokens of ended requests, by the team of their key.", "team", self.teams
        )
        yield _team_requests(self.teams)
        yield from self._gauges()

    def know(self, model: str, classes: Iterable[str]) -> None:
        """Series of this model exist from now on, zero where nothing happened: who scales by them must find them."""
        for counts, values in (
            (self.offered, _KINDS),
            (self.rejected, tuple(Rejection)),
            (self.continuations, tuple(Continuation)),
            (self.slo_total, tuple(classes)),
            (self.slo_good, tuple(classes)),
        ):
            for value in values:
                counts[model, value].value += 0.0

    def forget_engine(self, engine: str) -> None:
        """Drop the series of an engine that is gone."""
        for labels in [labels for labels in self.attempts if labels[0] == engine]:
            del self.attempts[labels]


def _token_counter(name: str, help_text: str, label: str, taken_by: Mapping[str, Taken]) -> Metric:
    tokens = CounterMetricFamily(name, help_text, labels=(label, "kind"))
    for value, taken in taken_by.items():
        for kind in ("prompt", "cached", "output"):
            tokens.add_metric((value, kind), getattr(taken, kind))
    return tokens


def _team_requests(teams: Mapping[str, Spent]) -> Metric:
    requests = CounterMetricFamily(
        FrontSeries.TEAM_REQUESTS, "Requests ended, by the team of their key.", labels=("team", "outcome")
    )
    for team, spent in teams.items():
        for outcome in ("ok", "refused", "error"):
            requests.add_metric((team, outcome), getattr(spent, outcome))
    return requests


class Need(NamedTuple):
    """What waits for one model at the moment of a scrape."""

    model: str
    prefill_tokens: float
    decode_tokens: float
    requests: int
    oldest_seconds: float


def need_gauges(needs: Iterable[Need], ready: Callable[[str], int]) -> Iterator[Metric]:
    """The front's part of what engines are scaled by; `ready` counts the engines of a model."""
    tokens = GaugeMetricFamily(
        FrontSeries.QUEUED_TOKENS, "Tokens of requests that have no first token yet.", labels=("model", "kind")
    )
    waiting = GaugeMetricFamily(
        FrontSeries.WAITING, "Requests that are held, and streams without a first event.", labels=("model",)
    )
    oldest = GaugeMetricFamily(FrontSeries.OLDEST_WAIT, "How long the oldest of them waits.", labels=("model",))
    engines = GaugeMetricFamily(FrontSeries.ENGINES_READY, "Engines that take requests.", labels=("model",))
    for need in needs:
        tokens.add_metric((need.model, _KINDS[0]), need.prefill_tokens)
        tokens.add_metric((need.model, _KINDS[1]), need.decode_tokens)
        waiting.add_metric((need.model,), need.requests)
        oldest.add_metric((need.model,), need.oldest_seconds)
        engines.add_metric((need.model,), ready(need.model))
    yield from (tokens, waiting, oldest, engines)


def gauge(name: str, help_text: str, values: dict[Labels, float], labels: Labels = ()) -> Metric:
    """One gauge family."""
    family = GaugeMetricFamily(f"tidegate_{name}", help_text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family
