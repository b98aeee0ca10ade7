"""The format of our own keys: `tg_` + 32 base62 characters + 6 of CRC32; it knows no store and no caller."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Callable

PREFIX = "tg_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6
# Keys that everybody knows from documentation; a front that accepts one is open to the world.
WELL_KNOWN = frozenset({"sk-1234", "sk-12345", "changeme", "change-me", "password"})


def mint(choice: Callable[[str], str] = secrets.choice) -> str:
    """A new key: 190 bits of randomness and a checksum that a secret scanner, and we, can verify offline."""
    secret = "".join(choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_mistyped(key: str) -> bool:
    """True for a key of our format whose checksum is wrong, so that no store need be asked."""
    if not key.startswith(PREFIX):
        return False
    body = key.removeprefix(PREFIX)
    secret, checksum = body[:-_CHECKSUM_LENGTH], body[-_CHECKSUM_LENGTH:]
    return len(body) != _SECRET_LENGTH + _CHECKSUM_LENGTH or _checksum(secret) != checksum


def fingerprint(key: bytes) -> str:
    """SHA-256 in hex: what is stored in place of a high-entropy key."""
    return hashlib.sha256(key).hexdigest()


def shown(key: str) -> str:
    """The part of a key that a log may show."""
    return key[:7] if key.startswith(PREFIX) else key[:3]


def _checksum(secret: str) -> str:
    number = zlib.crc32(secret.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits
