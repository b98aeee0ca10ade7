"""Every setting of Tidegate as one frozen tree; it knows shapes and defaults, not where values come from.

`settings_sources.load` fills it from the command line, the environment and one YAML file.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A branch of the tree: frozen, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DrainSettings(Part):
    """The four drain time-outs of a cell; each must be greater than the one before it."""

    stream_seconds: Seconds = Field(120, description="Longest stream that a drain waits for.")
    replica_seconds: Seconds = Field(130, description="Ray Serve's graceful shutdown of one replica.")
    node_seconds: Seconds = Field(140, description="Ray's graceful drain of the node.")
    grace_seconds: Seconds = Field(150, description="The pod's terminationGracePeriodSeconds; SIGKILL comes after it.")

    @model_validator(mode="after")
    def _ordered(self) -> DrainSettings:
        names = list(type(self).model_fields)
        for earlier, later in itertools.pairwise(names):
            if not getattr(self, earlier) < getattr(self, later):
                raise ValueError(f"{later} must be greater than {earlier}, or streams are cut while draining")
        return self


class CpuSettings(Part):
    """How vLLM uses a machine without a GPU."""

    omp_threads: Count = Field(1, description="OpenMP threads of one engine.")
    kv_cache_gib: Count = Field(1, description="KV-cache space of one engine, GiB.")


class EngineSettings(Part):
    """One engine cell: Ray, Ray Serve and the vLLM replicas in it."""

    model: str | None = Field(None, description="Hub id or folder of the model. Unset: a small one for this machine.")
    served_model_name: str | None = Field(None, description="Name that clients use. Unset: the model's own name.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where an NVIDIA GPU is seen.")
    dtype: str = Field("auto", description="Weights' data type, as vLLM's --dtype.")
    max_model_len: Count | None = Field(None, description="Context length, tokens. Unset: the model's own.")
    tensor_parallel_size: Count = Field(1, description="GPUs that share each layer.")
    pipeline_parallel_size: Count = Field(1, description="Stages that the layers are split over.")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="Share of GPU memory that vLLM takes.")
    enable_prefix_caching: bool = Field(True, description="Reuse the KV blocks of shared prompt prefixes.")
    quantization: str | None = Field(None, description="Quantisation method, as vLLM's --quantization.")
    lora_modules: dict[str, str] = Field({}, description="LoRA adapters: served name to folder or hub id.")
    vllm_flags: dict[str, Any] = Field({}, description="Any further vLLM server flag by its name without dashes.")
    replicas: Count = Field(1, description="vLLM replicas in the cell, each on its own port.")
    host: str = Field("127.0.0.1", description="Address that the replicas' ports are reached at from the front tier.")
    port: Port = Field(30000, description="Port of the first replica; further replicas take the next ones.")
    max_ongoing_requests: Count = Field(1000, description="Requests that one replica accepts at once.")
    health_check_period_seconds: Seconds = Field(1, description="How often Serve asks the replica for its health.")
    dashboard_port: Port | None = Field(None, description="Port of Ray's dashboard (about 0.6 GB). Unset: none.")
    start_timeout_seconds: Seconds = Field(1800, description="How long a cell may take to become ready.")
    cpu: CpuSettings = CpuSettings()
    drain: DrainSettings = DrainSettings()


class LimitSettings(Part):
    """What one request may ask for; more is a 400 that names the parameter."""

    body_bytes: Count = Field(16 * 1024 * 1024, description="Request body, bytes.")
    head_bytes: Count = Field(64 * 1024, description="Request line and headers, bytes.")
    messages: Count = Field(2048, description="Messages, or input items, of one request.")
    prompts: Count = Field(128, description="Prompts of one completions or embeddings request.")
    choices: Count = Field(8, description="n, best_of.")
    json_depth: Count = Field(64, description="Nesting of the request body.")
    stops: Count = Field(16, description="Stop strings.")
    logit_bias: Count = Field(300, description="Entries of logit_bias.")
    logprobs: Count = Field(20, description="logprobs, top_logprobs, prompt_logprobs.")
    tools: Count = Field(128, description="Tools.")
    output_tokens: Count = Field(131072, description="max_tokens, max_completion_tokens, max_output_tokens.")
    allow_chat_template: bool = Field(False, description="Let clients pass chat_template and chat_template_kwargs.")
    media_hosts: tuple[str, ...] = Field((), description="Hosts that media URLs may name; data: URLs always may.")
    extra_fields: tuple[str, ...] = Field((), description="Further body fields to pass on to the engine.")


class TimeoutSettings(Part):
    """How long the front tier waits, and for what."""

    connect_seconds: Seconds = Field(2, description="TCP connection to an engine.")
    first_byte_seconds: Seconds = Field(300, description="From sending a request to the engine's first byte.")
    idle_seconds: Seconds = Field(120, description="Silence of an engine in the middle of a stream.")
    total_seconds: Seconds = Field(3600, description="One request from its arrival to its last byte.")
    head_seconds: Seconds = Field(30, description="A client's request, from its first to its last byte.")
    write_seconds: Seconds = Field(60, description="A client that reads nothing while data waits for it.")
    keep_alive_seconds: Seconds = Field(75, description="An idle client connection.")
    engine_keep_alive_seconds: Seconds = Field(4, description="An idle engine connection; below vLLM's own 5 s.")


class RetrySettings(Part):
    """Attempts before the first byte, and what becomes of a stream whose engine breaks after it."""

    attempts: Count = Field(3, description="Engines tried for one request.")
    budget_ratio: float = Field(0.2, ge=0, le=1, description="Retries allowed per request, over all requests.")
    cooldown_seconds: Seconds = Field(1, description="How long an engine that failed is asked last.")
    continue_streams: bool = Field(
        True, description="A stream of plain text goes on at another engine when its own breaks. vLLM engines only."
    )


class HoldSettings(Part):
    """Requests that wait because no engine of their model is ready: at a start, a restart, a scale from zero."""

    seconds: float = Field(120, ge=0, description="How long one waits, then 503 with Retry-After. 0: not at all.")
    requests: Count = Field(1000, description="Most that wait at once in one front; more get 503 with Retry-After.")
    body_bytes: Count = Field(256 * 1024 * 1024, description="Most bytes of bodies that wait at once.")


class SloSettings(Part):
    """What a good answer is. A request without a stream is good within TTFT + TPOT x its output tokens."""

    ttft_seconds: Seconds | None = Field(None, description="From arrival at the front to the first event. Unset: any.")
    tpot_seconds: Seconds | None = Field(None, description="Mean time per output token after the first. Unset: any.")


class HistorySettings(Part):
    """How much of a session an engine gets to see, unless its key or the session says otherwise."""

    strategy: Literal["full", "window", "summary"] = Field("full", description="Always cut to the model's context.")
    turns: Count | None = Field(None, description="window, summary: most turns sent.")
    tokens: Count | None = Field(None, description="window, summary: most tokens of history sent, an estimate.")


class StateSettings(Part):
    """Sessions, stored answers and resumable streams."""

    retention_days: float = Field(90, gt=0, description="How long sessions, responses and chat completions are kept.")
    store_timeout_seconds: Seconds = Field(5, description="One call of the durable store; then 503 with Retry-After.")
    redis_timeout_seconds: Seconds = Field(0.25, description="One call of Redis; then the durable store is asked.")
    hot_turns: int = Field(64, ge=32, description="Newest turns per session that Redis holds a copy of.")
    hot_ttl_seconds: Seconds = Field(86400, description="How long Redis holds a session's copy after its last use.")
    stream_ttl_seconds: Seconds = Field(600, description="How long a resumable stream can be resumed after its end.")
    stream_bytes: Count = Field(8 * 1024 * 1024, description="Most that is kept of one resumable stream, bytes.")
    idempotency_seconds: Seconds = Field(86400, description="How long an Idempotency-Key is remembered.")
    lease_seconds: Seconds = Field(15, description="Silence after which a replica counts as dead to its generations.")
    history: HistorySettings = HistorySettings()


class FrontSettings(Part):
    """One replica of the front tier."""

    host: str = Field("127.0.0.1", description="Address to listen on for clients.")
    port: Port = Field(8000, description="Port for clients.")
    admin_host: str = Field("127.0.0.1", description="Address to listen on for probes, metrics and admin.")
    admin_port: Port = Field(9000, description="Port for probes, metrics and admin.")
    engines: tuple[str, ...] = Field((), description="Base URLs of engines, or of any OpenAI-compatible server.")
    ray_serve: str | None = Field(None, description="Dashboard URL of a Ray Serve whose replicas are the engines.")
    ray_token: str | None = Field(None, description="Token of that Ray cluster, where it asks for one.")
    endpoint_slices: tuple[str, ...] = Field(
        (), description="Kubernetes Services whose ready endpoints are engines: [NAMESPACE/]SERVICE[:PORT_NAME]."
    )
    models: tuple[str, ...] = Field((), description="Names that engines serve, known before the first one is up.")
    engine_poll_seconds: Seconds = Field(2, description="How often engines are asked for their models.")
    engine_api_key: str | None = Field(None, description="Bearer token for the engines, where they ask for one.")
    api_keys: tuple[str, ...] = Field((), description="Keys with full access, in plain text. Prefer keys_file.")
    keys_file: str | None = Field(None, description="YAML file of keys with team, models and limits.")
    store: str | None = Field(
        None,
        description="sqlite:///FILE, postgresql://…, dynamodb://TABLE. Unset: a SQLite file in the state folder.",
    )
    redis: str | None = Field(None, description="redis://… or unix://…, 6.2 or later. Unset: no hot turns, no resume.")
    heartbeat_seconds: Seconds = Field(10, description="Silence after which a stream gets an SSE comment.")
    drain_seconds: Seconds = Field(150, description="How long a stopping front waits for its streams.")
    drain_delay_seconds: float = Field(0, ge=0, description="Not ready, still serving, before it stops accepting.")
    cache_salt_secret: str | None = Field(None, description="Secret for the per-tenant cache salt. Unset: random.")
    request_log: bool = Field(True, description="One JSON line per request on standard output.")
    limits: LimitSettings = LimitSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    retry: RetrySettings = RetrySettings()
    hold: HoldSettings = HoldSettings()
    slo: dict[str, SloSettings] = Field(
        {
            "chat": SloSettings(ttft_seconds=0.5, tpot_seconds=0.05),
            "code": SloSettings(ttft_seconds=0.1),
            "batch": SloSettings(),
        },
        description="SLO classes by name; a key's slo_class or the header X-Tidegate-SLO-Class names one.",
    )
    default_slo_class: str = Field("chat", description="The class of a request that names none.")
    state: StateSettings = StateSettings()

    @model_validator(mode="after")
    def _class_is_known(self) -> FrontSettings:
        if self.default_slo_class not in self.slo:
            raise ValueError(f"default_slo_class {self.default_slo_class!r} is not in slo: {', '.join(self.slo)}")
        return self


class Settings(Part):
    """The whole tree."""

    engine: EngineSettings = EngineSettings()
    front: FrontSettings = FrontSettings()
