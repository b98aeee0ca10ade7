"""Sends a run's requests to a vLLM server and times their tokens; it fits nothing.

Prompts are token ids, drawn at random: their length is exact and no two share a block.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from typing import Any

import aiohttp

from autoscale.profile.runs import Kind, Point, Run

_TIMEOUT_SECONDS = 600.0
# Ids of plain tokens in any vocabulary, clear of the special ones at its ends.
_IDS = range(300, 3500)


class ProfileError(Exception):
    """The engine cannot be profiled; the message says why."""


class EngineClient:
    """One vLLM server. An async context. A seed that it has seen before would find its prompts in the prefix cache."""

    def __init__(self, url: str, key: str | None, seed: int) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._random = random.Random(seed)

    async def __aenter__(self) -> EngineClient:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(self._url, timeout=timeout, connector=connector, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def model(self, wanted: str | None) -> tuple[str, int]:
        """The served name and its context length, tokens. Raises `ProfileError`."""
        cards = json.loads(await self._get("/v1/models"))["data"]
        found = [card for card in cards if wanted in (None, card["id"])]
        if len(found) != 1:
            names = ", ".join(card["id"] for card in cards)
            raise ProfileError(f"--model must name one of the served models: {names}")
        return found[0]["id"], int(found[0].get("max_model_len") or 0)

    async def metrics(self) -> str:
        """The server's exposition."""
        return await self._get("/metrics")

    async def measure(self, run: Run, model: str) -> Point:
        """Raises `ProfileError` when the server does not do what the run asks."""
        streams = await asyncio.gather(*(self._stream(run, model) for _ in range(run.streams)))
        if run.kind is Kind.PREFILL:
            began, times = streams[0]
            return Point(run, times[0] - began, 0.0)
        begin, end = max(times[0] for _, times in streams), min(times[-1] for _, times in streams)
        gaps = [_mean_gap([at for at in times if begin <= at <= end]) for _, times in streams]
        context = run.streams * (run.prompt_tokens + run.output_tokens / 2)
        return Point(run, statistics.fmean(gaps), context)

    async def _stream(self, run: Run, model: str) -> tuple[float, list[float]]:
        """When it was sent and when each token came."""
        body = {
            "model": model,
            "prompt": self._random.choices(_IDS, k=run.prompt_tokens),
            "max_tokens": run.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
        }
        began, times = time.perf_counter(), []
        async with self._session.post("/v1/completions", json=body) as answer:
            if answer.status != 200:
                raise ProfileError(f"{run.kind} of {run.prompt_tokens} tokens: {await _said(answer)}")
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    times.append(time.perf_counter())
        if len(times) < min(run.output_tokens, 2):
            raise ProfileError(f"{run.kind}: a stream of {run.output_tokens} tokens had {len(times)} events")
        return began, times

    async def _get(self, path: str) -> str:
        try:
            async with self._session.get(path) as answer:
                if answer.status != 200:
                    raise ProfileError(f"{self._url}{path}: {await _said(answer)}")
                return await answer.text()
        except aiohttp.ClientError as error:
            raise ProfileError(f"{self._url} does not answer: {error}") from None


def _mean_gap(times: list[float]) -> float:
    """Several tokens may come in one event: the mean over the window is right, single gaps are not."""
    if len(times) < 3:
        raise ProfileError("the streams did not decode together long enough: is the engine busy with others?")
    return (times[-1] - times[0]) / (len(times) - 1)


async def _said(answer: aiohttp.ClientResponse) -> str:
    try:
        content: Any = json.loads(await answer.text())
        return f"{answer.status} {content['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.reason}"
