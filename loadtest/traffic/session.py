"""The values that a schedule is made of; they know no clock, no wire and no server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a session. Lengths in tokens; `think_seconds` after the answer before (0 for the first)."""

    input_tokens: int
    """Of the new user message alone: history and shared prefix come on top."""
    output_tokens: int
    think_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation (often of a single turn). It begins at a set time whatever became of the others."""

    index: int
    """Its place in the schedule, from 0, in order of `at_seconds`."""
    at_seconds: float
    """From the schedule's begin."""
    traffic_class: int
    """Index into the workload's classes."""
    prefix: int
    """Which of the class's shared prefixes (system prompts) it begins with; -1 none."""
    prefix_tokens: int
    turns: tuple[Turn, ...]
