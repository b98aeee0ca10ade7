"""The keys of one DynamoDB table, and what they say of a row; what a row holds besides is not known here, nor I/O.

A session's partition is `TENANT/SESSION`. In the order of their sort keys it holds

    t#0000000007#ATTEMPT#000000#0000   part 0 of item 0 of turn 7, as one attempt to append wrote it
    t#0000000007~INCARNATION           the marker of turn 7: which attempt it is; the turn is there from this row on
    ~session                           the session itself, under the incarnation that its markers carry

so that reading backwards gives the session, then its newest turns. Items whose attempt no marker names belong to an
append that lost or died, markers of another incarnation to a session that had this id before: none of them is seen.
A document's partition is `TENANT/KIND/ID`; its row is `head`, and parts of a body too long for it are `part#…`.
Every row ends at `expires_at`, seconds since the epoch, which DynamoDB itself acts on late.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

from serving.front.state.records import Key, Kind

Row = dict[str, Any]
RowKey = tuple[str, str]

SESSION = "~session"
HEAD = "head"
LAST_MARKER = "t~"
# A partition key may have 2,048 bytes, a sort key 1,024.
_KEY_BYTES = 900


def session_partition(key: Key) -> str:
    return f"{_escaped(key.tenant)}/{_escaped(key.id)}"


def document_partition(kind: Kind, key: Key) -> str:
    return f"{_escaped(key.tenant)}/{kind}/{_escaped(key.id)}"


def owner_key(tenant: str, kind: str) -> str:
    """What lists the sessions, or the documents of a kind, of a tenant."""
    return f"{_escaped(tenant)}/{kind}"


def user_key(tenant: str, kind: str, user: str) -> str:
    """The same of one user."""
    return f"{owner_key(tenant, kind)}/{_escaped(user)}"


def document_list_key(created_at: float, id: str) -> str:
    """Sorts as (created_at, id) does; nine decimals tell any two times of this century apart."""
    return f"{created_at:020.9f}#{short(id)}"


def item_lookup(id: str) -> str:
    return f"i#{short(id)}"


def turn_lookup(id: str) -> str:
    return f"t#{short(id)}"


def short(text: str) -> str:
    """The text itself, or its hash where a key has no room for it; an escaped text is never like a hash."""
    encoded = text.encode()
    return text if len(encoded) <= _KEY_BYTES else f"%%{hashlib.sha256(encoded).hexdigest()}"


def marker_key(number: int, incarnation: str) -> str:
    return f"t#{number:010d}~{incarnation}"


def is_marker(row: Row) -> bool:
    return bool(row["sort_key"][12:13] == "~")


def marks(row: Row, incarnation: str) -> bool:
    """A marker of this incarnation, be it a turn's or a fence."""
    return is_marker(row) and bool(row["sort_key"].endswith(f"~{incarnation}"))


def is_fence(row: Row) -> bool:
    """A marker without a turn, which a delete puts where the next turn would go."""
    return row.get("fence") == 1


def number_of(row: Row) -> int:
    """Number of the turn that an item's row or a marker belongs to."""
    return int(row["sort_key"][2:12])


def attempt_of(row: Row) -> str:
    """The attempt that wrote an item's row."""
    return cast(str, row["sort_key"].split("#")[2])


def key_of(row: Row) -> RowKey:
    return row["session_id"], row["sort_key"]


def lives(row: Row, now: float) -> bool:
    return bool(row["expires_at"] > now)


def part_key(writer: str, part: int) -> str:
    return f"part#{writer}#{part:04d}"


def _escaped(part: str) -> str:
    return short(part.replace("%", "%25").replace("/", "%2F"))
