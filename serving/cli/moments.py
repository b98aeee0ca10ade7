"""Moments as people write them on a command line; it knows no command."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text: str, now: float) -> float:
    """Unix seconds of `now`, 6h (so long ago), Unix seconds or 2026-11-26T18:00:00Z.

    Raises argparse's error for another text.
    """
    if text == "now":
        return now
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        wanted = "now, 6h (so long ago; s, m, h, d), Unix seconds, or 2026-11-26T18:00:00Z"
        raise argparse.ArgumentTypeError(f"{text!r}: wants {wanted}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
