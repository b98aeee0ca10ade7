"""How much of the machine others took while a benchmark ran: it decides how far the figures can be trusted."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from bench.processes import Child

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_QUIET_CORES = 0.1


class Neighbours:
    """The CPU time of all processes but this one and its children, from its creation on; stolen time is theirs."""

    def __init__(self, children: Iterable[Child]) -> None:
        self._children = list(children)
        self._begun, self._others = time.monotonic(), self._others_seconds()

    def verdict(self) -> str:
        """One sentence on how quiet the machine was."""
        cores = (self._others_seconds() - self._others) / max(0.1, time.monotonic() - self._begun)
        taken = f"Others took {max(0.0, cores):.2f} of {os.cpu_count()} cores meanwhile"
        if cores <= _QUIET_CORES:
            return f"{taken}: a quiet machine."
        return f"**{taken}: NOT A QUIET MACHINE; times say little, CPU figures run high.**"

    def _others_seconds(self) -> float:
        own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        ours = sum(usage.ru_utime + usage.ru_stime for usage in own)
        return _busy_seconds() - ours - sum(child.cpu_seconds() for child in self._children)


def _busy_seconds() -> float:
    """User, nice, system, irq, softirq and stolen time of all cores."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS_PER_SECOND
