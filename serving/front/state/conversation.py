"""A request's place in its session, as values: what was read before it, what it brings, where its turn goes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from serving.front.events import Usage
from serving.front.ids import Mint
from serving.front.state import items
from serving.front.state.history import Strategy
from serving.front.state.keep import Keep
from serving.front.state.prompt import Summary
from serving.front.state.records import Format, Item, Key, Session, Turn
from serving.front.wire import GenerationRequest

Source = Literal["hot", "durable", "none"]


class Conversation(NamedTuple):
    """Where a request's turn goes. `request` holds the history; `items` are what the request itself brought.

    `key` is None when only the answer is kept. `sent_tokens` is what the history in `request` costs. `brought` is what
    the client sent, and `estimate` what that costs.
    """

    tenant: str
    keep: Keep
    request: GenerationRequest
    format: Format
    turn_id: str
    items: tuple[Item, ...]
    mint: Mint
    user: str | None = None
    response_id: str | None = None
    key: Key | None = None
    version: int = 0
    new: Session | None = None
    sent_tokens: int = 0
    brought: list[dict[str, Any]] = []  # noqa: RUF012 - never changed in place
    estimate: int = 0
    cache_salt: str = ""
    past: Past | None = None

    @property
    def source(self) -> Source:
        """The store that had the history."""
        return self.past.source if self.past is not None else "none"

    @property
    def may_branch(self) -> bool:
        """A response may be continued twice: whoever comes second begins a chain of its own."""
        return self.keep.previous is not None and self.key is not None and self.new is None

    @property
    def keeps_turn(self) -> bool:
        """A response that is not stored continues another without a trace; a conversation keeps every turn."""
        return self.keep.store or self.keep.session is not None

    def tokens_of(self, added: tuple[Item, ...], usage: Usage | None) -> int:
        """What a turn of these items costs in a prompt: by the engine's count where there is one."""
        if usage is not None and usage.prompt_tokens:
            return max(usage.prompt_tokens + usage.output_tokens - self.sent_tokens, 1)
        return sum(items.tokens_of(item.content) for item in added)


class Past(NamedTuple):
    """What was read of a session, and where the next turn goes; `end` is the turn that it goes behind."""

    session: Session
    turns: tuple[Turn, ...] = ()
    version: int = 0
    is_new: bool = True
    source: Source = "none"
    strategy: Strategy = Strategy()
    summary: Summary | None = None

    @property
    def through(self) -> int | None:
        """The last turn that the summary stands for."""
        return self.summary.through if self.summary is not None else None

    @property
    def end(self) -> tuple[Key, int]:
        session = self.session
        if self.is_new and session.parent is not None:
            return Key(session.key.tenant, session.parent[0]), session.parent[1]
        return session.key, self.version
