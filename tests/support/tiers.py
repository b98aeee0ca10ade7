"""Whether a test whose tool is missing skips or fails: skips by name on a laptop, fails in the full gate."""

from __future__ import annotations

import os

import pytest

FULL_GATE = "REQUIRE_ALL_TIERS"


def require(tool: str, found: bool) -> None:
    """Go on where `tool` was found; else skip, or fail when REQUIRE_ALL_TIERS=1."""
    if found:
        return
    message = f"{tool} is not on this machine"
    if os.environ.get(FULL_GATE) == "1":
        pytest.fail(f"{message}, and {FULL_GATE}=1 asks for every tier", pytrace=False)
    pytest.skip(message)
