"""Workloads by name, with parameters fitted to public traces, and how one is made small; it draws nothing.

Sources: the Azure LLM inference traces of 2023 (CC-BY, Splitwise), Mooncake's conversation trace and inference-perf's
agentic replay: fitted parameters only. What no public trace tells is marked as assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from loadtest.plan import Lengths, TrafficClass, Turns, Workload
from loadtest.traffic.lengths import mean, mean_turns

_CONVERSATION_IN = Lengths(median=757, sigma=0.99, high=4142)
_CONVERSATION_OUT = Lengths(median=151, sigma=0.86, high=601)
_CODE_IN = Lengths(median=1097, sigma=1.36, high=7436)
_CODE_OUT = Lengths(median=16.3, sigma=0.85, high=252)

_CHAT = TrafficClass(slo="chat", input=_CONVERSATION_IN, output=_CONVERSATION_OUT)
_CODE = TrafficClass(slo="code", input=_CODE_IN, output=_CODE_OUT)
# Assumed: a document as long as code's context, an answer as long as a conversation's.
_BATCH = TrafficClass(slo="batch", input=_CODE_IN, output=_CONVERSATION_OUT, stream=False)

# Assumed: short messages, so that with prefix and history a prompt has the mean of Azure's conversations, ~1,155.
# Mooncake's users come back after a median of 125 s; a probe of seconds would see no second turn.
_CONVERSING = TrafficClass(
    slo="chat",
    input=Lengths(median=60, sigma=1.0, high=1024),
    output=_CONVERSATION_OUT,
    turns=Turns(mean=4, high=16, think_median_seconds=4, think_sigma=0.5),
    prefix_tokens=256,
    prefixes=8,
)

# The means are inference-perf's: 38 turns of 1,652 in and 585 out, 8,359 shared and ~14,000 own system tokens, which
# an opening holds with its first message. Assumed: the spreads, tool calls of about a second, four kinds of agents.
_AGENT = TrafficClass(
    slo="chat",
    input=Lengths(median=1380, sigma=0.6, high=8000),
    output=Lengths(median=489, sigma=0.6, high=3000),
    opening=Lengths(median=15_000, sigma=0.3, high=40_000),
    turns=Turns(mean=40, low=25, high=57, think_median_seconds=1, think_sigma=0.8),
    prefix_tokens=8359,
    prefixes=4,
)

WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {
        "chat": Workload(classes=(_CHAT,)),
        "chat-strict": Workload(classes=(_CHAT.model_copy(update={"slo": "chat-strict"}),)),
        "code": Workload(classes=(_CODE,)),
        "code-relaxed": Workload(classes=(_CODE.model_copy(update={"slo": "code-relaxed"}),)),
        "batch": Workload(classes=(_BATCH,)),
        # Conversation and code as in Azure's week of 2024, 27.3 to 16.8 million; assumed: a tenth of all is batch.
        "mixed": Workload(
            classes=(
                _CHAT.model_copy(update={"weight": 0.56}),
                _CODE.model_copy(update={"weight": 0.34}),
                _BATCH.model_copy(update={"weight": 0.10}),
            )
        ),
        "sessions": Workload(classes=(_CONVERSING,)),
        "agentic": Workload(classes=(_AGENT,)),
    }
)

_RARE = 3.1


def fitted(workload: Workload, max_context_tokens: int) -> Workload:
    """The workload for a model of this context: a class that is too long has all its lengths scaled by one factor.

    The factor makes a session of mean turns fit, its first turn all but the longest, so that cutting is rare.
    """
    limit = min(max_context_tokens, workload.max_context_tokens or max_context_tokens)
    return workload.model_copy(
        update={
            "max_context_tokens": limit,
            "classes": tuple(_scaled(entry, min(1.0, limit / _longest(entry))) for entry in workload.classes),
        }
    )


def _longest(entry: TrafficClass) -> float:
    later = (mean_turns(entry.turns) - 1) * (mean(entry.input) + mean(entry.output))
    return entry.prefix_tokens + _reach(entry.opening or entry.input) + _reach(entry.output) + later


def _reach(of: Lengths) -> float:
    """The longest that is drawn but once in a thousand times; `high` may be far beyond it."""
    return max(of.low, min(of.high, of.median * math.exp(_RARE * of.sigma)))


def _scaled(entry: TrafficClass, factor: float) -> TrafficClass:
    return entry.model_copy(
        update={
            "input": _shorter(entry.input, factor),
            "output": _shorter(entry.output, factor),
            "opening": _shorter(entry.opening, factor) if entry.opening else None,
            "prefix_tokens": math.floor(entry.prefix_tokens * factor),
        }
    )


def _shorter(of: Lengths, factor: float) -> Lengths:
    low = max(1, math.floor(of.low * factor))
    return of.model_copy(
        update={"median": of.median * factor, "low": low, "high": max(low, math.floor(of.high * factor))}
    )
