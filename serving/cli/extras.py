"""How a command says that it cannot go on: an error's line, an extra that is not installed; it knows no command."""

from __future__ import annotations

import importlib.util
import sys


def failed(reason: object, status: int) -> int:
    """`status`, and one line on standard error."""
    print(f"tidegate: error: {reason}", file=sys.stderr)
    return status


def installed(extra: str, *packages: str) -> bool:
    """Whether they can be imported; else one line on standard error says how to get them."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        failed(f"{', '.join(missing)} not installed: pip install 'tidegate[{extra}]'", 2)
    return not missing
