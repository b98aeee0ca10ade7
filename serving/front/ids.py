"""Makes ids: unique across replicas, no secrets (the tenant guards what they name); it knows no store."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

Mint = Callable[[str], str]


def minter() -> Mint:
    """`mint("conv")` is `conv_` and 32 hexadecimal digits."""
    # Seeded by the system once; a system call for each id costs too much on the hot path.
    source = random.Random(secrets.randbits(256))

    def mint(prefix: str) -> str:
        return f"{prefix}_{source.getrandbits(128).to_bytes(16, 'big').hex()}"

    return mint
