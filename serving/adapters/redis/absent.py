"""The hot store of a front without Redis: it never has a copy."""

# ruff: noqa: ARG002 - nothing is done with anything

from __future__ import annotations

from serving.front.state.records import Key, Opened, Turn


class NoHotStore:
    async def open(self, key: Key, turn_id: str) -> Opened | None:
        return None

    async def fill(self, opened: Opened, turn_id: str) -> None:
        return

    async def append(self, key: Key, turn: Turn) -> None:
        return

    async def forget(self, key: Key) -> None:
        return
