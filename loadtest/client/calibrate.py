"""How many characters of our text make a token of this server; it knows no tokenizer and asks the server's usage."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.client.answer import Ask
from loadtest.client.client import Client
from loadtest.client.faults import ClientError
from loadtest.client.prompts import Prompts, TokenScale
from loadtest.slo import Fault

_LENGTHS = (400, 3200)
"""Characters: what they differ in is text alone, what they have in common is the chat template. A shorter text is too
small a sample of our words: it put prompts 7 % above their length."""
_LIMIT_SECONDS = 120.0


def measure_scale(client: Client, clock: Callable[[], float]) -> TokenScale:
    """From two requests; the default scale where the server tells no usage. Raises `ClientError` without answers."""
    short, long = (_prompt_tokens(client, clock, length) for length in _LENGTHS)
    if short < 0 or long <= short:
        return TokenScale()
    characters_per_token = (_LENGTHS[1] - _LENGTHS[0]) / (long - short)
    return TokenScale(characters_per_token, max(0.0, short - _LENGTHS[0] / characters_per_token))


def _prompt_tokens(client: Client, clock: Callable[[], float], length: int) -> int:
    by_character = Prompts("scale", TokenScale(characters_per_token=1.0))
    messages = by_character.messages(length, 0, length)
    answer = client.ask(Ask(messages, 1, stream=False, end_by=clock() + _LIMIT_SECONDS), clock)
    if answer.fault != Fault.NONE:
        raise ClientError(
            f"a plain request of {length} characters was answered with {answer.detail or answer.fault.name.lower()}: "
            f"is the model {client.model!r}, and is the API key right?"
        )
    return answer.prompt_tokens
