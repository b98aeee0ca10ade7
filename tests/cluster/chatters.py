"""People who chat with the front without a pause, and what became of each answer; it knows no cluster.

Each question is numbered, so that each answer has a text of its own (images/numbered.py), and is compared with it.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

from tests.cluster.heard import Heard, Undisturbed
from tests.cluster.images import numbered

_LONGEST_SECONDS = 300
_SHOWN = 5


@dataclass(frozen=True)
class Chat:
    """What each of them asks, over and over."""

    url: str
    key: str
    model: str
    output_tokens: int = 40
    prompt_words: int = 20
    pause_seconds: float = 0.0

    def prompt(self, question: int) -> str:
        return " ".join([*["word"] * (self.prompt_words - 1), str(question)])

    def body(self, question: int) -> dict[str, object]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": self.prompt(question)}],
            "max_tokens": self.output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def answer(self, question: int) -> Undisturbed:
        text = "".join(numbered.tokens(numbered.prompt_ids(self.prompt(question)), self.output_tokens))
        return Undisturbed(text, self.prompt_words, self.output_tokens)


@dataclass
class Answers:
    """Counts by how an answer ended: as `Heard` says, `refused` (no connection), or a status. `wrong` are shown."""

    ended: Counter[str] = field(default_factory=Counter)
    ttft_seconds: list[float] = field(default_factory=list)
    silence_seconds: float = 0.0
    wrong: list[Heard] = field(default_factory=list)

    def __str__(self) -> str:
        late = f", slowest first token {max(self.ttft_seconds):.1f} s" if self.ttft_seconds else ""
        silent = f", longest silence in an answer {self.silence_seconds:.1f} s"
        counts = ", ".join(f"{count} {how}" for how, count in sorted(self.ended.items()))
        return "\n  ".join([counts + late + silent, *(str(heard) for heard in self.wrong[:_SHOWN])])


class Chatters:
    """So many people at once, from `with` to its end; then every answer has ended.

    `once` lets each ask a single time.
    """

    def __init__(self, chat: Chat, people: int, *, once: bool = False) -> None:
        self.answers = Answers()
        self._chat, self._people, self._once = chat, people, once
        self._questions = itertools.count()
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
            self.answers.ended[await self._ask(session, next(self._questions))] += 1
            if self._once:
                return
            await asyncio.sleep(self._chat.pause_seconds)

    async def _ask(self, session: aiohttp.ClientSession, question: int) -> str:
        chat, answers, heard = self._chat, self.answers, Heard()
        url, headers = f"{chat.url}/v1/chat/completions", {"authorization": f"Bearer {chat.key}"}
        try:
            async with session.post(url, json=chat.body(question), headers=headers) as answer:
                if answer.status != 200:
                    return str(answer.status)
                async for line in answer.content:
                    is_first = heard.first_seconds is None
                    heard.take(line)
                    if is_first and heard.first_seconds is not None:
                        answers.ttft_seconds.append(heard.first_seconds)
                    answers.silence_seconds = max(answers.silence_seconds, heard.silence_seconds)
        except aiohttp.ClientConnectorError:
            return "refused"
        except (aiohttp.ClientError, TimeoutError):
            pass
        ended = heard.ended(chat.answer(question))
        if ended == "wrong":
            answers.wrong.append(heard)
        return ended
