"""Fits a session's history into a request: the strategy that holds, the room that the model has, what is sent.

It reads nothing: older turns that it misses are fetched by session.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serving.front.auth import Caller
from serving.front.events import Usage
from serving.front.ids import Mint
from serving.front.state import history, items, prompt
from serving.front.state.conversation import Conversation, Past
from serving.front.state.history import Strategy
from serving.front.state.records import Turn
from serving.front.state.summaries import Job
from serving.front.state.token_ratio import TokenRatio
from serving.front.wire import GenerationRequest

_OPEN_ENDED = 1 << 40
# Of the context, for an answer whose client set no bound.
_ANSWER_SHARE = 4


@dataclass(frozen=True, slots=True)
class Fitting:
    """`context_length` gives a model's, in tokens, 0 meaning unknown; `default` is the server's strategy."""

    context_length: Callable[[str], int]
    default: Strategy
    ratio: TokenRatio
    mint: Mint

    def strategy(self, conversation: Conversation, past: Past, caller: Caller) -> Strategy:
        """The request's own, else the session's, the key's, the server's."""
        chosen = conversation.keep.history or past.session.history
        return history.parse(chosen, "history") if chosen else caller.history or self.default

    def misses_older(self, conversation: Conversation, past: Past) -> bool:
        """True when turns before those of `past` could be sent."""
        room = self._room(conversation, past, prompt.in_force(past.turns))
        return history.misses_older(past.turns, past.strategy, room, past.through)

    def fit(self, conversation: Conversation, past: Past) -> Conversation:
        """The conversation with its history in its request, and its place in the session."""
        system = prompt.in_force(past.turns)
        turn = Turn("", 0, conversation.format, conversation.items, number=past.version + 1)
        request, sent_tokens = _cut(conversation, past, self._room(conversation, past, system), system)
        return conversation._replace(
            request=request,
            items=prompt.to_store(turn, system, self.mint),
            key=past.session.key if conversation.keeps_turn else None,
            version=past.version,
            new=past.session if past.is_new else None,
            sent_tokens=sent_tokens,
            past=past,
        )

    def shorter(self, conversation: Conversation) -> Conversation | None:
        """With half of its history, for an engine that found the prompt too long; None when there is none to drop."""
        past = conversation.past
        if past is None or not conversation.sent_tokens:
            return None
        self.ratio.exceeded(conversation.request.model)
        system = prompt.in_force(past.turns)
        request, sent_tokens = _cut(conversation, past, conversation.sent_tokens // 2, system)
        return conversation._replace(request=request, sent_tokens=sent_tokens)

    def learn(self, conversation: Conversation, usage: Usage) -> None:
        """What the engine counted."""
        if not conversation.sent_tokens:
            self.ratio.learn(conversation.request.model, conversation.estimate, usage.prompt_tokens)

    def summary_due(self, conversation: Conversation, stored: Turn) -> Job | None:
        """The summary to make now that this turn is in the session."""
        past, key = conversation.past, conversation.key
        if past is None or key is None or past.strategy.name != "summary":
            return None
        room = self._room(conversation, past, prompt.in_force(past.turns))
        turns = (*past.turns, stored)
        through = history.summary_due(turns, past.strategy, room, past.through)
        if through is None:
            return None
        system = prompt.in_force(turns)
        model, salt = conversation.request.model, conversation.cache_salt
        return Job(key, model, through, room, system, salt, conversation.user)

    def _room(self, conversation: Conversation, past: Past, system: Turn | None) -> int:
        """Tokens of the model's context that are left for history."""
        request = conversation.request
        context = self.context_length(request.model)
        if not context:
            return _OPEN_ENDED
        answer = request.output_tokens or context // _ANSWER_SHARE
        estimate = conversation.estimate
        if system is not None:
            estimate += sum([items.tokens_of(item.content) for item in system.items])
        if past.summary is not None:
            estimate += past.summary.tokens
        return max(context - answer - self.ratio.counted(request.model, estimate), 0)


def _cut(conversation: Conversation, past: Past, room: int, system: Turn | None) -> tuple[GenerationRequest, int]:
    """The request with the history that fits, and what that costs."""
    request, form = conversation.request, conversation.format
    sent = history.cut(past.turns, past.strategy, room, past.through)
    whole = prompt.compose(conversation.brought, form, system, past.summary, sent)
    body = {**request.body, "messages" if form == "chat" else "input": whole}
    return request._replace(body=body), sum([turn.tokens for turn in sent])
