"""Sends a run's requests to a vLLM server and times their tokens; it fits nothing.

Prompts are token ids, drawn at random: their length is exact and no two share a block. Tokens are counted by the usage
that each event tells: one event may bring several.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import numpy as np

from autoscale.profile.loaded import Times
from autoscale.profile.marks import Mark, ProfileError, decoded
from autoscale.profile.runs import Kind, Point, Run
from autoscale.simulate.fleet import Requests

_TIMEOUT_SECONDS = 600.0
# Less than vLLM's own 5 s: a connection that it is closing is not to be taken.
_IDLE_SECONDS = 2.0
# Ids of plain tokens in any vocabulary, clear of the special ones at its ends.
_IDS = range(300, 3500)
_COUNTED = re.compile(rb'"completion_tokens": ?(\d+)')


class EngineClient:
    """One vLLM server. An async context. A seed that it has seen before would find its prompts in the prefix cache."""

    def __init__(self, url: str, key: str | None, seed: int) -> None:
        """Raises `ProfileError` for what is no URL."""
        if not re.match(r"https?://[^/]", url):
            raise ProfileError(f"--url: {url!r} must begin with http:// or https://, e.g. http://127.0.0.1:30000")
        self._url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._random = random.Random(seed)
        self.answered = 0
        """Requests, so far."""

    async def __aenter__(self) -> EngineClient:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)
        self._session = aiohttp.ClientSession(self._url, timeout=timeout, connector=connector, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def model(self, wanted: str | None) -> tuple[str, int]:
        """The served name and its context length, tokens. Raises `ProfileError`."""
        text = await self._get("/v1/models")
        try:
            cards = {str(card["id"]): int(card.get("max_model_len") or 0) for card in json.loads(text)["data"]}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ProfileError(f"{self._url}/v1/models lists no models: is it a vLLM?") from None
        found = [name for name in cards if wanted in (None, name)]
        if len(found) != 1:
            raise ProfileError(f"--model: must name one of the served models: {', '.join(cards)}")
        if not cards[found[0]]:
            raise ProfileError(f"{self._url} does not tell the context length of {found[0]}: is it a vLLM?")
        return found[0], cards[found[0]]

    async def metrics(self) -> str:
        """The server's exposition."""
        return await self._get("/metrics")

    async def measure(self, run: Run, model: str) -> Point:
        """Raises `ProfileError` when the server does not do what the run asks."""
        streams = await asyncio.gather(*(self._stream(run, model) for _ in range(run.streams)))
        if run.kind is Kind.PREFILL:
            began, marks = streams[0]
            return Point(run, marks[0].at - began, 0.0)
        return decoded(run, [marks for _, marks in streams])

    async def load(self, requests: Requests, model: str) -> Times:
        """Send each at its time; what became of them. Raises `ProfileError` as `measure` does."""
        began = time.perf_counter()

        async def one(at: float, prompt_tokens: int, output_tokens: int) -> tuple[float, float]:
            await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
            run = Run(Kind.DECODE, 1, prompt_tokens, output_tokens)
            sent, marks = await self._stream(run, model)
            tokens = marks[-1].tokens - marks[0].tokens
            return marks[0].at - sent, (marks[-1].at - marks[0].at) / tokens if tokens else math.nan

        columns = (requests.at_seconds.tolist(), requests.prompt_tokens.tolist(), requests.output_tokens.tolist())
        seen = np.array(await asyncio.gather(*(one(*row) for row in zip(*columns, strict=True))))
        return Times(seen[:, 0], seen[:, 1])

    async def _stream(self, run: Run, model: str) -> tuple[float, list[Mark]]:
        """When it was sent, and a mark per event that brought tokens."""
        body = {
            "model": model,
            "prompt": self._random.choices(_IDS, k=run.prompt_tokens),
            "max_tokens": run.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
        try:
            began, marks = await self._marks(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProfileError(f"{self._url} gave up {_of(run)}: {str(error) or type(error).__name__}") from None
        if not marks or marks[-1].tokens != run.output_tokens:
            raise ProfileError(f"{_of(run)} ended at {marks[-1].tokens if marks else 0} of {run.output_tokens} tokens")
        return began, marks

    async def _marks(self, body: Mapping[str, Any]) -> tuple[float, list[Mark]]:
        began, marks = time.perf_counter(), [Mark(0.0, 0)]
        async with self._session.post("/v1/completions", json=body) as answer:
            if answer.status != 200:
                raise ProfileError(f"{self._url}/v1/completions: {await _said(answer)}")
            async for line in answer.content:
                counted = _COUNTED.search(line)
                if counted and (tokens := int(counted[1])) > marks[-1].tokens:
                    marks.append(Mark(time.perf_counter(), tokens))
        self.answered += 1
        return began, marks[1:]

    async def _get(self, path: str) -> str:
        try:
            async with self._session.get(path) as answer:
                if answer.status == 401:
                    raise ProfileError(f"{self._url}{path}: 401: --key must be the engine's own")
                if answer.status != 200:
                    raise ProfileError(f"{self._url}{path}: {await _said(answer)}: is it a vLLM?")
                return await answer.text()
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            raise ProfileError(f"{self._url} does not answer: {str(error) or type(error).__name__}") from None


def _of(run: Run) -> str:
    return f"a {run.kind} run's stream of {run.prompt_tokens} + {run.output_tokens} tokens"


async def _said(answer: aiohttp.ClientResponse) -> str:
    try:
        content: Any = json.loads(await answer.text())
        return f"{answer.status} {content['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.reason}"
