"""One stream's answer across the engines that gave it: recorded, continued where it broke, told in one voice."""

from __future__ import annotations

import orjson

from serving.errors import EngineFailed
from serving.front.continuation.rules import CARRIED
from serving.front.continuation.splice import Splice
from serving.front.continuation.tape import Tape
from serving.front.dialect import CHAT, COMPLETIONS, OPENAI, Route
from serving.front.wire import GenerationRequest

# In the event that counts the tokens, and in no other. JSON escapes quotes inside strings.
_COUNT = b'"choices":[]'
# vLLM's bound of a completion whose client sets none; that of a chat is the model's context.
_COMPLETION_TOKENS = 16
_DETOKENIZE = Route("/detokenize", OPENAI, {}, (), streams=False)
# What half a character is decoded to.
_HALF = "\ufffd"


class Story:
    """Of one request, whose engines are asked for token ids."""

    def __init__(self, request: GenerationRequest) -> None:
        self._request = request
        self._tape = Tape(request.route)
        self._splice: Splice | None = None
        self._said_before = 0
        self._is_counted = False
        self._is_settled = False
        # Whole events of the first engine, recorded; what the client gets of them.
        self.take = self._tape.take

    @property
    def may_go_on(self) -> bool:
        """Nothing but text was said, and all of it is known."""
        return self._tape.is_plain and bool(self._tape.head)

    def got_on_by(self) -> int:
        """Tokens that the last engine gave."""
        return len(self._tape.said) - self._said_before

    def tell(self, raw: bytes) -> bytes:
        """One event of the engine that speaks now, as the client gets it."""
        self._is_counted = self._is_counted or _COUNT in raw
        return self._splice.translate(raw) if self._splice is not None else self.take(raw)

    def go_on(self) -> None:
        """What is told from now on comes from an engine that was asked for the `rest`."""
        self._said_before = len(self._tape.said)
        self._is_settled = False
        self._splice = Splice(self._tape, self._request.route)

    def doubt(self) -> GenerationRequest | None:
        """What an engine is to be asked before the rest: how the last tokens read. None where there is no doubt.

        Tokens that said nothing may be half a character, or a parser may have them. An engine that falls behind tells
        several tokens in one event, and the last of them may be half a character, whose text it still holds back: a
        prompt must not end there.
        """
        tape = self._tape
        if not tape.is_hushed:
            tape.rewind()
        if self._is_settled or not tape.is_plain or not (tape.is_hushed or tape.last_size > 1):
            return None
        body = {"model": self._request.model, "tokens": tape.unsaid if tape.is_hushed else tape.said}
        return self._request._replace(route=_DETOKENIZE, body=body, stream=False, keep=None)

    def settle(self, answer: bytes) -> None:
        """Raises `EngineFailed` for what is no answer to the `doubt`."""
        try:
            text = orjson.loads(answer)["prompt"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise EngineFailed("The engine does not tell how its tokens read.")
        if self._tape.is_hushed:
            # A parser may make something else than text of what follows: reasoning, for one.
            self._tape.is_plain = not text.replace(_HALF, "").strip()
            self._tape.rewind()
        elif text.endswith(_HALF):
            self._tape.drop_last()
        else:
            self._is_settled = True

    def rest(self, context_length: int) -> GenerationRequest | None:
        """A completion that begins where the text ends, as long as the client's bound or the model's context allows.

        None where neither leaves a token, or nothing is known of both: `context_length` is tokens, 0 where it is not
        told; and where a doubt was well founded. Ask the `doubt` first.
        """
        request, tape = self._request, self._tape
        tape.rewind()
        if not tape.is_plain:
            return None
        if request.route is CHAT and not tape.said:
            # Whether the engine has a parser shows with the first word only: the chat is asked anew.
            return request._replace(wants_usage=True, keep=None)
        prompt = tape.prompt + tape.said
        bound = request.output_tokens or (_COMPLETION_TOKENS if request.route is COMPLETIONS else 0)
        left = bound - len(tape.said) if bound else context_length - len(prompt)
        if left <= 0:
            return None
        carried = {name: given for name, given in request.body.items() if name in CARRIED}
        return request._replace(
            route=COMPLETIONS,
            body={**carried, "model": request.model, "prompt": prompt, "max_tokens": left, "stream": True},
            wants_usage=True,
            choices=1,
            prompt_tokens=len(prompt),
            output_tokens=left,
            keep=None,
        )

    def ending(self) -> bytes:
        """What follows the finish reason, or the count of tokens behind it, where no engine says it."""
        return Splice(self._tape, self._request.route).ending(is_counted=self._is_counted)
