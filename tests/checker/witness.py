"""An engine's words that testify: which history this answer was generated from, and which generation it is.

Every user message of a session carries a marker, `[team/session/turn]`. The answer names its generation, the marker
that it answers and every (marker, answer) pair that the engine was shown before it, in order.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.engine_connection import Seen
from tests.support.script import Script

_MARKER = re.compile(r"\[([^\]\s]+)\]")
_ANSWER = re.compile(r"g(\d+) to (\S+) after \(([^)]*)\) end\.")
_GENERATION = re.compile(r"g\d+(?= )")
UNKNOWN = "?"
MISSING = "-"


class Pair(NamedTuple):
    """A turn as an engine was shown it: the user's marker and the generation that answered it, `g12`."""

    marker: str
    answer: str


class Statement(NamedTuple):
    """What an answer says of itself."""

    generation: str
    marker: str
    seen: tuple[Pair, ...]


class Witness:
    """Decides what scripted engines say, `engine.decide = witness.decide`, and keeps what they said.

    `pause_seconds` bounds the time before the first token and, in all, between tokens.
    """

    def __init__(self, seed: int, pause_seconds: float = 0.05) -> None:
        self.statements: list[Statement] = []
        self._random = random.Random(seed)
        self._pause = pause_seconds
        self._number = 0

    @property
    def generations(self) -> Counter[str]:
        """How many there were, by marker."""
        return Counter(statement.marker for statement in self.statements)

    def decide(self, seen: Seen) -> Script:
        """Called on the engines' one loop thread."""
        *before, asked = pairs(seen.body) or (Pair(UNKNOWN, MISSING),)
        self._number += 1
        self.statements.append(Statement(f"g{self._number}", asked.marker, tuple(before)))
        text = testify(self.statements[-1])
        tokens = tuple(re.findall(r"\S+\s?", text))
        if len(tokens) > 8:
            tokens = (*tokens[:4], "".join(tokens[4:-2]), *tokens[-2:])
        pause = self._random.random() * self._pause
        return Script(tokens=tokens, first_delay=pause / 2, gap=pause / 2 / len(tokens))


def say(marker: str) -> str:
    """A user message that carries a marker."""
    return f"[{marker}] Go on."


def testify(said: Statement) -> str:
    home = _home(said.marker)
    shown = " ".join(f"{pair.marker.removeprefix(home)}={pair.answer}" for pair in said.seen)
    return f"{said.generation} to {said.marker} after ({shown}) end."


def understand(text: str) -> Statement | None:
    """None for a text that is not one whole answer."""
    if (found := _ANSWER.fullmatch(text)) is None:
        return None
    number, marker, shown = found.groups()
    home = _home(marker)
    seen = [part.partition("=") for part in shown.split()]
    pairs_seen = tuple(Pair(name if "/" in name else home + name, answer) for name, _, answer in seen)
    return Statement(f"g{number}", marker, pairs_seen)


def pairs(body: Any) -> tuple[Pair, ...]:
    """The conversation in a chat or Responses request, turn by turn; the last one is asked and not answered."""
    turns: list[Pair] = []
    for role, text in _messages(body):
        if role == "user":
            turns.append(Pair(marker_of(text), MISSING))
        elif role == "assistant":
            answer = generation(text)
            if turns and turns[-1].answer == MISSING:
                turns[-1] = Pair(turns[-1].marker, answer)
            else:
                turns.append(Pair(UNKNOWN, answer))
    return tuple(turns)


def marker_of(text: str) -> str:
    """The marker of a user message."""
    found = _MARKER.search(text)
    return found.group(1) if found else UNKNOWN


def generation(text: str) -> str:
    """Which generation a text is, or is the beginning of."""
    found = _GENERATION.match(text)
    return found.group() if found else UNKNOWN


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _messages(body: Any) -> Iterator[tuple[str, str]]:
    given: Any = body.get("messages", body.get("input", ())) if isinstance(body, dict) else ()
    if isinstance(given, str):
        yield "user", given
        return
    for item in given:
        if item.get("type", "message") == "message":
            yield item.get("role", ""), text_of(item.get("content"))


def _home(marker: str) -> str:
    return marker.rpartition("/")[0] + "/"
