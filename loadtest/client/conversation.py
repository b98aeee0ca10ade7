"""What one session sends in each of its turns, and what it remembers of the answers; it sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from loadtest.client.answer import Ask
from loadtest.client.prompts import Messages, Prompts
from loadtest.traffic.session import Session


class Conversation:
    """`history`: who keeps it. `client` sends all of it every time, `server` only what is new, with `session_id`."""

    def __init__(
        self, session: Session, prompts: Prompts, history: Literal["client", "server"], session_id: str
    ) -> None:
        self._session, self._prompts = session, prompts
        self._client_keeps = history == "client"
        self._headers = {} if self._client_keeps else {"x-session-id": session_id}
        self._kept: list[Mapping[str, Any]] = self._prefix()
        self._asked: Messages = ()

    def ask(self, turn_number: int, stream: bool, body: Mapping[str, Any]) -> Ask:
        """Turn `turn_number`, from 0. A former turn that was never `answered` is left out, as at the server."""
        turn = self._session.turns[turn_number]
        self._asked = self._prompts.messages(self._session.index, turn_number, turn.input_tokens)
        later = turn_number + 1 < len(self._session.turns)
        return Ask(
            messages=[*self._kept, *self._asked],
            max_tokens=turn.output_tokens,
            stream=stream,
            headers=self._headers,
            body=body,
            keep_text=self._client_keeps and later,
        )

    def answered(self, text: str) -> None:
        """The turn asked last has its answer."""
        if self._client_keeps:
            self._kept += [*self._asked, {"role": "assistant", "content": text}]
        else:
            self._kept = []
        self._asked = ()

    def _prefix(self) -> list[Mapping[str, Any]]:
        session = self._session
        if session.prefix < 0 or session.prefix_tokens <= 0:
            return []
        text = self._prompts.prefix(session.traffic_class, session.prefix, session.prefix_tokens)
        return [{"role": "system", "content": text}]
