"""Sessions and turns as the bytes that Redis holds, and back; the key says which form they have."""

from __future__ import annotations

from functools import lru_cache

import orjson

from serving.front.state.records import Item, Key, Session, Turn

_TURN_FIELDS = len(Turn._fields)


def encode_turn(turn: Turn) -> bytes:
    """Raises `TypeError` where the content is not JSON."""
    items = [[item.id, item.content] for item in turn.items]
    return orjson.dumps(
        [turn.id, turn.created_at, turn.format, items, turn.status, turn.tokens, turn.number, turn.tokens_before]
    )


def decode_turns(blobs: list[bytes]) -> tuple[Turn, ...]:
    """Raises `TypeError` or `ValueError` where they are not what `encode_turn` wrote."""
    new, rows = tuple.__new__, orjson.loads(b"[%b]" % b",".join(blobs))
    for row in rows:
        if len(row) != _TURN_FIELDS:
            raise ValueError("not a turn")
        row[3] = tuple([new(Item, item) for item in row[3]])
    return tuple([new(Turn, row) for row in rows])


def encode_session(session: Session) -> bytes:
    """Raises `TypeError` where the content is not JSON."""
    return orjson.dumps([session.created_at, session.user, session.metadata, session.history, session.parent])


def decode_session(key: Key, blob: bytes) -> Session:
    """Raises `TypeError` or `ValueError` where it is not what `encode_session` wrote."""
    created_at, user, metadata, history, parent = orjson.loads(blob)
    return Session(key, created_at, user, metadata, history, parent and (parent[0], parent[1]))


# A tenant or an id with these would end the hash tag early, or look like another pair.
_ESCAPED = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D", ":": "%3A"})


def tagged(key: Key, what: bytes) -> bytes:
    """The name of something that belongs to a session or a stream; all of one share a cluster slot."""
    return _tag(key) + what


@lru_cache(maxsize=4096)
def _tag(key: Key) -> bytes:
    tag = f"tg:{{{key.tenant.translate(_ESCAPED)}:{key.id.translate(_ESCAPED)}}}:"
    return tag.encode("utf-8", "surrogatepass")
