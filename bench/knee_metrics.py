"""The series of a knee engine: those of vLLM that a load test reads, and how far its times lag behind its model."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bench.knee_model import StepEngine

_TTFT_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_LABELS = ("model_name", "engine")


class Series:
    """Declared once per engine, in a registry of its own."""

    def __init__(self, model: str, kv_cache_tokens: int) -> None:
        self._kv_cache_tokens = kv_cache_tokens
        self._registry = CollectorRegistry()
        gauges = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
        self._running, self._waiting, self._kv_usage = (
            Gauge(f"vllm:{name}", name, _LABELS, registry=self._registry).labels(model, "0") for name in gauges
        )
        self.prompt_tokens, self.generation_tokens = (
            Counter(f"vllm:{name}", name, _LABELS, registry=self._registry).labels(model, "0")
            for name in ("prompt_tokens", "generation_tokens")
        )
        success = Counter("vllm:request_success", "Ended.", (*_LABELS, "finished_reason"), registry=self._registry)
        self.finished, self.aborted = (success.labels(model, "0", reason) for reason in ("length", "abort"))
        self.ttft = Histogram(
            "vllm:time_to_first_token_seconds", "TTFT.", _LABELS, buckets=_TTFT_BUCKETS, registry=self._registry
        ).labels(model, "0")
        self.lag = Histogram(
            "knee:step_lag_seconds", "Step's end behind the model.", buckets=_LAG_BUCKETS, registry=self._registry
        )

    def text(self, engine: StepEngine) -> bytes:
        """The exposition, with the gauges of this moment."""
        self._running.set(len(engine.running))
        self._waiting.set(len(engine.waiting))
        held = sum(one.prompt_tokens + one.emitted for one in engine.running)
        self._kv_usage.set(min(1.0, held / self._kv_cache_tokens))
        return generate_latest(self._registry)
