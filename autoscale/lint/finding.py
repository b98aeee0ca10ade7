"""What a rule found, and what a linted file is compared with besides itself."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """`where` is the document and the field; `text` one sentence with the fix."""

    rule: str
    severity: Severity
    where: str
    text: str


class Context(NamedTuple):
    """What is known of the place besides the file; None: not known, and the rules that need it keep silent."""

    exposition: str | None = None
    """Text of a live /metrics, or of several one after another."""
    ttft_slo_seconds: float | None = None
    tpot_slo_seconds: float | None = None
    scrape_seconds: float = 15.0
    start_seconds: float | None = None
    """From a pod's creation until it is ready."""
