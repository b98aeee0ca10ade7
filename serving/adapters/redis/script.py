"""A Lua script as commands name it."""

from __future__ import annotations

import hashlib

from serving.adapters.redis.link import Command


class Script:
    """Its text and the hash that a server which has loaded it knows it by."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def on(self, keys: tuple[bytes, ...], *arguments: bytes | str | int | float) -> Command:
        """The command that runs it on these keys."""
        return (b"EVALSHA", self.sha, len(keys), *keys, *arguments)
