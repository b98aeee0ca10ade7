"""Asks an engine for the server's own sake, as a summary needs it: no client, no key, no session."""

# ruff: noqa: ARG002 - nobody follows these attempts

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serving.front.attempt import Attempts
from serving.front.dialect import CHAT
from serving.front.ids import Mint
from serving.front.route import Endpoint, Fleet
from serving.front.wire import GenerationRequest


class _Untold:
    """Nobody follows these attempts."""

    broken = 0
    has_begun = False

    def sent(self, endpoint: Endpoint) -> None:
        return

    def came_back(self, outcome: str) -> None:
        return


@dataclass(frozen=True, slots=True)
class Asking:
    """One chat request at a time, under the same retries as any other."""

    fleet: Fleet
    attempts: Attempts
    mint: Mint

    async def ask(self, model: str, body: dict[str, Any], cache_salt: str) -> bytes:
        """The whole answer. Raises `RequestError`."""
        request = GenerationRequest(
            route=CHAT,
            body={**body, "model": model, "stream": False},
            model=model,
            stream=False,
            wants_usage=False,
            choices=1,
            prompt_tokens=0,
            output_tokens=0,
            keep=None,
        )
        candidates = self.fleet.candidates(model)
        with await self.attempts.start(
            request, candidates, request_id=self.mint("req"), cache_salt=cache_salt, trail=_Untold()
        ) as started:
            return started.reply.body
