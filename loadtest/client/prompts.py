"""The text of prompts: made up to a length and the same for the same seed, or read from a file; it sends nothing."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from loadtest.client import payload
from loadtest.client.faults import ClientError

Messages: TypeAlias = Sequence[Mapping[str, Any]]

_WORDS = re.findall(
    "[a-z]+",
    """
the a this that every some no one two many few most other first last next old new small large long short open quiet
early late common simple clear strong public local human young certain whole able free real better best full near
harbour tide gate river city house room street field garden forest mountain road bridge station market school library
office kitchen window table paper letter book story page word number question answer reason problem method result idea
plan change moment morning evening week year century hour day night winter summer water light wind fire stone wood
glass metal bread salt family friend child teacher doctor captain farmer writer reader worker neighbour stranger
people group team company country village world history science music language law price money time place part side
end way line point case fact form level order power force system model engine machine signal message service report
carries holds keeps makes takes gives finds shows tells asks needs wants knows thinks sees hears brings leaves begins
ends opens closes moves turns follows reaches crosses passes meets joins explains describes measures compares suggests
often always never sometimes usually slowly quickly carefully almost perhaps however therefore again still together
and or but because when while before after under over between through without within against about toward beyond
""",
)
_SENTENCES, _SENTENCE_CHARACTERS = 1024, 60
_ONSETS, _VOWELS = "bdfgklmnprstvz", "aeiou"


@dataclass(frozen=True)
class TokenScale:
    """How the server's tokenizer counts our text."""

    characters_per_token: float = 4.0
    message_tokens: float = 0.0
    """What the chat template adds."""


class Prompts:
    """Each message is its own text from the first word on, so that no prefix cache knows it; prefixes are shared.

    `listed`, from `read_prompts`, replaces the made-up messages: they are sent as they are, whatever their length,
    session by session in their order, from the start again when they are used up.
    """

    def __init__(self, salt: str, scale: TokenScale, listed: Sequence[Messages] = ()) -> None:
        self._salt, self._scale, self._listed = salt, scale, listed
        self._sentences = _sentences()

    def messages(self, session: int, turn: int, tokens: int) -> Messages:
        """What a user adds in this turn; one message of about that many tokens, the template's included."""
        if not self._listed:
            tokens_of_text = tokens - self._scale.message_tokens
            return [{"role": "user", "content": self._text(f"{self._salt}/{session}/{turn}", tokens_of_text)}]
        entry = self._listed[(session + turn) % len(self._listed)]
        return entry if turn == 0 else entry[-1:]

    def prefix(self, traffic_class: int, prefix: int, tokens: int) -> str:
        """A system prompt. It does not depend on the salt: all probes share it, as users of one product do."""
        return self._text(f"prefix/{traffic_class}/{prefix}", tokens - self._scale.message_tokens)

    def _text(self, seed: str, tokens: float) -> str:
        chosen = random.Random(seed)
        length = max(1, round(tokens * self._scale.characters_per_token))
        text = f"{_name(chosen)}: "
        while len(text) < length:
            missing = 1 + (length - len(text)) // _SENTENCE_CHARACTERS
            text += " ".join(chosen.choices(self._sentences, k=missing)) + " "
        return text[:length].rstrip(" :")


def read_prompts(path: Path) -> tuple[Messages, ...]:
    """One entry per line: {"prompt": text} or {"messages": [...]}. Raises `ClientError` that names a bad line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ClientError(f"prompts {path}: {error.strerror}") from error
    entries = [_entry(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise ClientError(f"prompts {path}: the file holds none")
    return tuple(entries)


def _entry(place: str, line: bytes) -> Messages:
    said = payload.read(line)
    if not isinstance(said, dict) or ("prompt" in said) == ("messages" in said):
        raise ClientError(f'{place}: not {{"prompt": text}} and not {{"messages": [...]}}')
    if "prompt" in said:
        if not isinstance(said["prompt"], str) or not said["prompt"]:
            raise ClientError(f"{place}: prompt must be a text, and not an empty one")
        return [{"role": "user", "content": said["prompt"]}]
    messages = said["messages"]
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise ClientError(f"{place}: messages must be a list of objects with role and content, and not an empty one")
    if messages[-1]["role"] != "user":
        raise ClientError(f"{place}: the last of the messages must be the user's")
    return messages


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "content" in value


def _name(chosen: random.Random) -> str:
    """A name that no other seed is likely to draw: it is one of 10^11."""
    return "".join(chosen.choice(_ONSETS) + chosen.choice(_VOWELS) for _ in range(6)).capitalize()


def _sentences() -> list[str]:
    chosen = random.Random("sentences")
    return [" ".join(chosen.choices(_WORDS, k=chosen.randint(6, 14))).capitalize() + "." for _ in range(_SENTENCES)]
