"""People who chat with the front without a pause, and what became of each answer; it knows no cluster."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

_LONGEST_SECONDS = 300


@dataclass(frozen=True)
class Chat:
    """What each of them asks, over and over."""

    url: str
    key: str
    model: str
    output_tokens: int = 40
    prompt_words: int = 20
    pause_seconds: float = 0.0

    @property
    def body(self) -> dict[str, object]:
        content = " ".join(["word"] * self.prompt_words)
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self.output_tokens,
            "stream": True,
        }


@dataclass
class Answers:
    """Counts by how an answer ended: `whole`, `cut` (begun, and neither [DONE] nor an error event came), `error_event`,
    `lost` (the connection broke before an answer began), `refused` (no connection), or a status."""

    ended: Counter[str] = field(default_factory=Counter)
    ttft_seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        late = f", slowest first token {max(self.ttft_seconds):.1f} s" if self.ttft_seconds else ""
        return ", ".join(f"{count} {how}" for how, count in sorted(self.ended.items())) + late


class Chatters:
    """So many people at once, from `with` to its end; then every answer has ended.

    `once` lets each ask a single time.
    """

    def __init__(self, chat: Chat, people: int, *, once: bool = False) -> None:
        self.answers = Answers()
        self._chat, self._people, self._once = chat, people, once
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Chatters:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> Answers:
        """No new question; wait for the answers under way."""
        self._stop.set()
        self._thread.join(_LONGEST_SECONDS)
        return self.answers

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_LONGEST_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await asyncio.gather(*(self._person(session) for _ in range(self._people)))

    async def _person(self, session: aiohttp.ClientSession) -> None:
        while not self._stop.is_set():
            self.answers.ended[await self._ask(session)] += 1
            if self._once:
                return
            await asyncio.sleep(self._chat.pause_seconds)

    async def _ask(self, session: aiohttp.ClientSession) -> str:
        began, first, last = time.monotonic(), True, b""
        headers = {"authorization": f"Bearer {self._chat.key}"}
        try:
            url = f"{self._chat.url}/v1/chat/completions"
            async with session.post(url, json=self._chat.body, headers=headers) as answer:
                if answer.status != 200:
                    return str(answer.status)
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        if first:
                            self.answers.ttft_seconds.append(time.monotonic() - began)
                        first, last = False, line
                        if line.startswith(b'data: {"error"'):
                            return "error_event"
        except aiohttp.ClientConnectorError:
            return "refused"
        except (aiohttp.ClientError, TimeoutError):
            return "lost" if first else "cut"
        return "whole" if last.startswith(b"data: [DONE]") else "cut"
