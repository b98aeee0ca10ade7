"""Step 4, session: a request becomes a `Conversation`, with the history that its engine gets to see.

The hot store is asked first, the durable one when it has no copy to trust. Responses that continue a response form a
chain, which is a session without a name; continuing one that is not the last of its chain begins a new chain at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serving.errors import NotFound, StoreDown
from serving.front.auth import Caller
from serving.front.dialect import Keeps
from serving.front.ids import Mint
from serving.front.state import history, items
from serving.front.state.commit import not_found, unavailable
from serving.front.state.conversation import Conversation, Past, Source
from serving.front.state.fitting import Fitting
from serving.front.state.keep import Keep
from serving.front.state.prompt import Summary
from serving.front.state.records import Document, Key, Opened, Session, Turn
from serving.front.state.stores import DurableStore, HotStore
from serving.front.wire import GenerationRequest

# Ids of ours: nobody else makes a session that is called so.
NAMED, CHAIN = "conv_", "chain_"
# Where the copy of a session does not reach far enough back, this many times more is read.
_MORE = 4


@dataclass(frozen=True, slots=True)
class Sessions:
    """Reads sessions; `now` is seconds since the epoch."""

    store: DurableStore
    hot: HotStore
    mint: Mint
    now: Callable[[], float]
    fitting: Fitting
    hot_turns: int

    async def open(self, caller: Caller, request: GenerationRequest, turn_id: str) -> Conversation:
        """Raises `NotFound`, `InvalidRequest`, `StateUnavailable`."""
        conversation = self._blank(caller, request, turn_id)
        try:
            past = await self._past(conversation)
            if past is None:
                return conversation
            strategy = self.fitting.strategy(conversation, past, caller)
            if strategy.name == "summary":
                past = past._replace(summary=await self._summary(past.session.key))
            past = past._replace(strategy=strategy)
            return self.fitting.fit(conversation, await self._far_enough(conversation, past))
        except StoreDown:
            raise unavailable() from None

    def _blank(self, caller: Caller, request: GenerationRequest, turn_id: str) -> Conversation:
        is_response = request.route.keeps is Keeps.RESPONSES
        user = request.body.get("user")
        keeps = request.route.keeps
        new = () if keeps is Keeps.NOTHING else items.from_request(keeps, request.body, self.mint)
        brought = [item.content for item in new]
        return Conversation(
            tenant=caller.team,
            keep=request.keep or Keep(),
            request=request,
            format="response" if is_response else "chat",
            turn_id=turn_id,
            items=new,
            brought=brought,
            estimate=sum(map(items.tokens_of, brought)),
            mint=self.mint,
            user=user if isinstance(user, str) else None,
            response_id=self.mint("resp") if is_response else None,
            cache_salt=caller.cache_salt,
        )

    def branched(self, conversation: Conversation) -> Conversation:
        """The same turn in a new chain that begins where this one's history ends."""
        assert conversation.key is not None
        parent = (conversation.key.id, conversation.version)
        begun = self._begin(conversation, Key(conversation.tenant, self.mint("chain")), parent)
        return conversation._replace(key=begun.session.key, version=0, new=begun.session)

    async def _past(self, conversation: Conversation) -> Past | None:
        keep, tenant = conversation.keep, conversation.tenant
        if keep.previous is not None:
            return await self._chain(conversation, keep.previous)
        if keep.session is None and conversation.format == "response" and keep.store:
            return self._begin(conversation, Key(tenant, self.mint("chain")))
        if keep.session is None:
            return None
        key = Key(tenant, keep.session)
        opened, source = await self._read(key, conversation.turn_id)
        if opened is not None:
            return Past(opened.session, await self._joined(opened), opened.version, is_new=False, source=source)
        if conversation.format == "response" or key.id.startswith((NAMED, CHAIN)):
            raise not_found(key.id)
        return self._begin(conversation, key)

    def _begin(self, conversation: Conversation, key: Key, parent: tuple[str, int] | None = None) -> Past:
        session = Session(key, self.now(), conversation.user, history=conversation.keep.history, parent=parent)
        return Past(session)

    async def _chain(self, conversation: Conversation, response_id: str) -> Past:
        """The session that a response ends, or a new one that begins where it is."""
        found = await self.store.get("response", Key(conversation.tenant, response_id))
        place = _place(found) if found is not None else None
        if place is None:
            raise _no_response(response_id)
        session_id, turn = place
        opened, source = await self._read(Key(conversation.tenant, session_id), conversation.turn_id)
        if opened is None:
            raise _no_response(response_id)
        if opened.version == turn and session_id.startswith(CHAIN):
            return Past(opened.session, await self._joined(opened), turn, is_new=False, source=source)
        begun = self._begin(conversation, Key(conversation.tenant, self.mint("chain")), place)
        return (await self._longer(begun, self.hot_turns))._replace(source="durable")

    async def _read(self, key: Key, turn_id: str) -> tuple[Opened | None, Source]:
        opened = await self.hot.open(key, turn_id)
        if opened is not None:
            return opened, "hot"
        if (opened := await self.store.open(key, self.hot_turns)) is not None:
            await self.hot.fill(opened, turn_id)
        return opened, "durable"

    async def _joined(self, opened: Opened) -> tuple[Turn, ...]:
        """Its turns, with those of the session that it continues before them."""
        turns, parent = opened.turns, opened.session.parent
        if parent is None or len(turns) >= self.hot_turns:
            return turns
        before = await self.ending_at(Key(opened.session.key.tenant, parent[0]), parent[1], self.hot_turns - len(turns))
        return tuple(history.joined(before, turns))

    async def ending_at(self, key: Key, number: int, limit: int) -> tuple[Turn, ...]:
        """The last `limit` turns of a conversation that ends at this turn, oldest first."""
        newest = await self.store.turns(key, before=number + 1, limit=limit, order="desc")
        turns = tuple(reversed(newest))
        if len(turns) == limit or (turns and turns[0].number > 1):
            return turns
        opened = await self.store.open(key, 1)
        if opened is None or opened.session.parent is None:
            return turns
        parent_id, at = opened.session.parent
        older = await self.ending_at(Key(key.tenant, parent_id), at, limit - len(turns))
        return tuple(history.joined(older, turns))

    async def _far_enough(self, conversation: Conversation, past: Past) -> Past:
        """Read further back where the copy of the session begins within what is sent."""
        limit = self.hot_turns
        while len(past.turns) >= limit and self.fitting.misses_older(conversation, past):
            limit *= _MORE
            past = await self._longer(past, limit)
        return past

    async def _longer(self, past: Past, limit: int) -> Past:
        """With its newest `limit` turns, numbered as its own session's."""
        turns = await self.ending_at(*past.end, limit)
        return past._replace(turns=tuple(history.joined(turns, ())) if past.is_new else turns)

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
