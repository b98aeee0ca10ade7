"""Says how to get the packages of an extra that a command needs; it knows no command."""

from __future__ import annotations

import importlib.util
import sys


def installed(extra: str, *packages: str) -> bool:
    """Whether they can be imported; else one line on standard error says how to get them."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        print(f"tidegate: error: {names} not installed: pip install 'tidegate[{extra}]'", file=sys.stderr)
    return not missing
