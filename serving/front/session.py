"""Step 4, session: a request becomes a `Conversation`, with the history that its engine gets to see.

The hot store is asked first, the durable one when it has no copy to trust. Responses that continue a response form a
chain, which is a session without a name; continuing one that is not the last of its chain begins a new chain at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from serving.errors import NotFound, StoreDown
from serving.front import history, items, prompt
from serving.front.auth import Caller
from serving.front.commit import not_found, unavailable
from serving.front.dialect import Keeps
from serving.front.events import Usage
from serving.front.history import Strategy
from serving.front.ids import Mint
from serving.front.keep import Keep
from serving.front.prompt import Summary
from serving.front.records import Document, Format, Item, Key, Opened, Session, Turn
from serving.front.stores import DurableStore, HotStore
from serving.front.wire import GenerationRequest

# Ids of ours: nobody else makes a session that is called so.
NAMED, CHAIN = "conv_", "chain_"
_OPEN_ENDED = 1 << 40
# Where the copy of a session does not reach far enough back, this many times more is read.
_MORE = 4
# Of the context, for an answer whose client set no bound.
_ANSWER_SHARE = 4


class Conversation(NamedTuple):
    """Where a request's turn goes. `request` holds the history; `items` are what the request itself brought.

    `key` is None when only the answer is kept. `sent_tokens` is what the history in `request` costs, an estimate.
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

    @property
    def keeps_turn(self) -> bool:
        """A response that is not stored continues another without a trace; a conversation keeps every turn."""
        return self.keep.store or self.keep.session is not None

    def tokens_of(self, added: tuple[Item, ...], usage: Usage | None) -> int:
        """What a turn of these items costs in a prompt: by the engine's count where there is one."""
        if usage is not None and usage.prompt_tokens:
            return max(usage.prompt_tokens + usage.output_tokens - self.sent_tokens, 1)
        return sum(items.tokens_of(item.content) for item in added)


class _Past(NamedTuple):
    """What was read of a session, and where the next turn goes; `end` is the turn that it goes behind."""

    session: Session
    turns: tuple[Turn, ...] = ()
    version: int = 0
    is_new: bool = True

    @property
    def end(self) -> tuple[Key, int]:
        session = self.session
        if self.is_new and session.parent is not None:
            return Key(session.key.tenant, session.parent[0]), session.parent[1]
        return session.key, self.version


@dataclass(frozen=True, slots=True)
class Sessions:
    """`context_length` gives a model's, in tokens, 0 meaning unknown; `now` is seconds since the epoch."""

    store: DurableStore
    hot: HotStore
    mint: Mint
    now: Callable[[], float]
    context_length: Callable[[str], int]
    default: Strategy
    hot_turns: int

    async def open(self, caller: Caller, request: GenerationRequest, keep: Keep, request_id: str) -> Conversation:
        """Raises `NotFound`, `InvalidRequest`, `StateUnavailable`."""
        conversation = self._blank(caller, request, keep, request_id)
        try:
            past = await self._past(conversation)
            if past is None:
                return conversation
            return await self._with_history(conversation, past, caller)
        except StoreDown:
            raise unavailable() from None

    def _blank(self, caller: Caller, request: GenerationRequest, keep: Keep, request_id: str) -> Conversation:
        is_response = request.route.keeps is Keeps.RESPONSES
        # The same request again is the same turn.
        turn_id = f"turn_{keep.fingerprint.hex()}" if keep.idempotency_key else f"turn_{request_id}"
        user = request.body.get("user")
        return Conversation(
            tenant=caller.team,
            keep=keep,
            request=request,
            format="response" if is_response else "chat",
            turn_id=turn_id,
            items=items.from_request(request.route.keeps, request.body, self.mint),
            mint=self.mint,
            user=user if isinstance(user, str) else None,
            response_id=self.mint("resp") if is_response else None,
        )

    async def _past(self, conversation: Conversation) -> _Past | None:
        keep, tenant = conversation.keep, conversation.tenant
        if keep.previous is not None:
            return await self._chain(conversation, keep.previous)
        if keep.session is None and conversation.format == "response" and keep.store:
            return self._begin(conversation, Key(tenant, self.mint("chain")))
        if keep.session is None:
            return None
        key = Key(tenant, keep.session)
        opened = await self._read(key, conversation.turn_id)
        if opened is not None:
            return _Past(opened.session, await self._joined(opened), opened.version, is_new=False)
        if conversation.format == "response" or key.id.startswith((NAMED, CHAIN)):
            raise not_found(key.id)
        return self._begin(conversation, key)

    def _begin(self, conversation: Conversation, key: Key, parent: tuple[str, int] | None = None) -> _Past:
        session = Session(key, self.now(), conversation.user, history=conversation.keep.history, parent=parent)
        return _Past(session)

    async def _chain(self, conversation: Conversation, response_id: str) -> _Past:
        """The session that a response ends, or a new one that begins where it is."""
        found = await self.store.get("response", Key(conversation.tenant, response_id))
        place = _place(found) if found is not None else None
        opened = await self._read(Key(conversation.tenant, place[0]), conversation.turn_id) if place else None
        if place is None or opened is None:
            raise _no_response(response_id)
        session_id, turn = place
        if opened.version == turn and session_id.startswith(CHAIN):
            return _Past(opened.session, await self._joined(opened), turn, is_new=False)
        begun = self._begin(conversation, Key(conversation.tenant, self.mint("chain")), place)
        return begun._replace(turns=await self._ending_at(opened.session.key, turn, self.hot_turns))

    async def _read(self, key: Key, turn_id: str) -> Opened | None:
        opened = await self.hot.open(key, turn_id)
        if opened is None and (opened := await self.store.open(key, self.hot_turns)) is not None:
            await self.hot.fill(opened, turn_id)
        return opened

    async def _joined(self, opened: Opened) -> tuple[Turn, ...]:
        """Its turns, with those of the session that it continues before them."""
        turns, parent = opened.turns, opened.session.parent
        if parent is None or len(turns) >= self.hot_turns:
            return turns
        before = await self._ending_at(
            Key(opened.session.key.tenant, parent[0]), parent[1], self.hot_turns - len(turns)
        )
        return tuple(history.joined(before, turns))

    async def _ending_at(self, key: Key, number: int, limit: int) -> tuple[Turn, ...]:
        """The last `limit` turns of a conversation that ends at this turn, oldest first."""
        newest = await self.store.turns(key, before=number + 1, limit=limit, order="desc")
        turns = tuple(reversed(newest))
        if len(turns) == limit or (turns and turns[0].number > 1):
            return turns
        opened = await self.store.open(key, 1)
        if opened is None or opened.session.parent is None:
            return turns
        parent_id, at = opened.session.parent
        older = await self._ending_at(Key(key.tenant, parent_id), at, limit - len(turns))
        return tuple(history.joined(older, turns))

    async def _with_history(self, conversation: Conversation, past: _Past, caller: Caller) -> Conversation:
        request, session = conversation.request, past.session
        chosen = conversation.keep.history or session.history
        strategy = history.parse(chosen, "history") if chosen else caller.history or self.default
        room = self._room(conversation)
        summary = await self._summary(session.key) if strategy.name == "summary" else None
        through = summary.through if summary else None
        turns, limit = past.turns, self.hot_turns
        while history.misses_older(turns, strategy, room, through) and len(turns) >= limit:
            limit *= _MORE
            turns = await self._ending_at(*past.end, limit)
        sent = history.cut(turns, strategy, room, through)
        system = prompt.in_force(past.turns)
        brought = Turn("", 0, conversation.format, conversation.items, number=past.version + 1)
        name = "messages" if conversation.format == "chat" else "input"
        new = [item.content for item in conversation.items]
        whole = {**request.body, name: prompt.compose(new, conversation.format, system, summary, sent)}
        return conversation._replace(
            request=request._replace(body=whole),
            items=prompt.to_store(brought, system, self.mint),
            key=session.key if conversation.keeps_turn else None,
            version=past.version,
            new=session if past.is_new else None,
            sent_tokens=sum(turn.tokens for turn in sent),
        )

    def _room(self, conversation: Conversation) -> int:
        """Tokens of the model's context that are left for history."""
        request = conversation.request
        context = self.context_length(request.model)
        if not context:
            return _OPEN_ENDED
        answer = request.output_tokens or context // _ANSWER_SHARE
        return max(context - answer - sum(items.tokens_of(item.content) for item in conversation.items), 0)

    async def _summary(self, key: Key) -> Summary | None:
        found = await self.store.get("summary", key)
        return Summary(**found.body) if found else None


def _place(response: Document) -> tuple[str, int] | None:
    """The session and the turn that a stored response is."""
    session, turn = response.body.get("session"), response.body.get("turn")
    return (session, turn) if session and turn else None


def _no_response(response_id: str) -> NotFound:
    return NotFound(
        f"There is no response `{response_id}`.", param="previous_response_id", code="previous_response_not_found"
    )
