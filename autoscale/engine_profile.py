"""What one engine can do, as numbers: the step model that a short run is fitted to; it measures nothing itself.

A step of the scheduler takes `base + prefill x new prompt tokens + attention x pairs + sequence x decoding sequences +
context x tokens in their contexts`; a new prompt token makes a pair with each token before it. Prompts are prefilled in
chunks within `max_batched_tokens`; `max_num_seqs` and the KV cache bound how many run at once.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EngineProfile(BaseModel):
    """Times in seconds, sizes in tokens, of one replica."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_seconds: float = Field(ge=0)
    prefill_seconds: float = Field(ge=0, description="Per prompt token that the prefix cache does not hold.")
    attention_seconds: float = Field(
        0.0, ge=0, description="Per new prompt token and token before it in its context: what long prompts add."
    )
    sequence_seconds: float = Field(ge=0, description="Per decoding sequence and step.")
    context_seconds: float = Field(ge=0, description="Per token in the contexts of decoding sequences, and step.")
    request_seconds: float = Field(0.0, ge=0, description="Of a request besides its steps: HTTP, tokenizing; no load.")
    kv_cache_tokens: int = Field(gt=0)
    max_num_seqs: int = Field(gt=0)
    max_batched_tokens: int = Field(gt=0)
    block_tokens: int = Field(16, gt=0)
    max_model_len: int | None = Field(None, gt=0, description="The engine's context length; None: not told.")
    load_factor: float = Field(1.0, gt=0, description="What the costs of a step include for load; 1: as alone.")
    measured: dict[str, str] = Field({}, description="Engine version, device, dtype, model, date; empty: assumed.")
    residuals: dict[str, float] = Field({}, description="Relative errors of the fit, by kind of run.")

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> EngineProfile:
        """Raises `ValueError` naming the field that is wrong."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


ASSUMED_H100_8B = EngineProfile(
    base_seconds=6.5e-3,
    prefill_seconds=32e-6,
    sequence_seconds=20e-6,
    context_seconds=40e-9,
    kv_cache_tokens=400_000,
    max_num_seqs=256,
    max_batched_tokens=8192,
)
"""Not measured: an 8B model on an H100, for ratios only. bench/profiles/h100-8b.json is one that was."""
