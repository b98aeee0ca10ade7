"""What a profile measures: the list of runs and what each one saw; it sends nothing.

Every run is `streams` equal requests at once, each with a prompt of its own, so that nothing is cached.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

# Output tokens of a run that decodes, and how many more by stream: the steps in which all decode together are taken,
# and a server takes requests in one after the other while those before decode.
_DECODED, _DECODED_PER_STREAM = 64, 2
_PROMPT = 16
# Most steps that the prompts of one run take together: on a slow engine they are most of a profile's time.
_PREFILL_STEPS = 8


class Kind(StrEnum):
    """What a run's seconds are."""

    PREFILL = "prefill"
    """From sending one request to its first token."""
    DECODE = "decode"
    """Between two tokens of a stream, mean, while all streams decode."""


class Run(NamedTuple):
    """`held_out` runs are not fitted; they say how far the fit carries."""

    kind: Kind
    streams: int
    prompt_tokens: int
    output_tokens: int
    held_out: bool = False


class Point(NamedTuple):
    """What a run saw. `context_tokens` is the sum over its streams, halfway through."""

    run: Run
    seconds: float
    context_tokens: float


def planned(max_model_len: int, max_num_seqs: int, max_batched_tokens: int) -> list[Run]:
    """Prompts up to the context, batches up to what the engine runs at once, and between them what is held out."""
    longest = max_model_len - 1
    prompts = [length for length in (32, 128, 256, 512, 768, 1024, 1536, 2048, 4096, 8192) if length < longest]
    batches = [count for count in (1, 2, 4, 8, 16, 32, 64, 128, 256) if count <= max_num_seqs]
    fitting = [count for count in batches if _PROMPT + _output(count) < max_model_len]
    held_out_prompt, held_out_batch = prompts[len(prompts) // 2], fitting[len(fitting) // 2]
    runs = [Run(Kind.PREFILL, 1, length, 1, length == held_out_prompt) for length in prompts]
    runs += [Run(Kind.DECODE, count, _PROMPT, _output(count), count == held_out_batch) for count in fitting]
    several = [count for count in fitting if 4 <= count <= 32] or fitting[-1:]
    for length in (256, 1024, 3072):
        most = max(several[0], min(several[-1], _PREFILL_STEPS * max_batched_tokens // length))
        for count in sorted({several[0], most}):
            # The first stream goes on decoding until the last one's prompt is through.
            output = _output(count) + 2 * math.ceil(count * length / max_batched_tokens)
            if length + output < max_model_len:
                runs.append(Run(Kind.DECODE, count, length, output))
    return runs


def _output(streams: int) -> int:
    return _DECODED + _DECODED_PER_STREAM * streams
