"""The statements of the PostgreSQL store, each one round trip and one transaction; who calls them it does not know.

Unless said otherwise $1 is the tenant, $2 the session or the kind, and $3 now in seconds since the epoch.
"""

from __future__ import annotations

from serving.front.state.stores import Order

_SESSION = "s.created_at, s.user_id, s.metadata, s.history, s.parent, s.parent_number"
_TURN = (
    "t.number, t.id AS turn_id, t.created_at AS turn_created_at, t.format, t.status, t.tokens AS turn_tokens, "
    "t.tokens_before, i.item_ids, i.contents"
)
_ITEMS = """LEFT JOIN LATERAL (
    SELECT array_agg(i.id ORDER BY i.position) AS item_ids, array_agg(i.content ORDER BY i.position) AS contents
    FROM tidegate.items i WHERE i.tenant = $1 AND i.session = $2 AND i.number = t.number
) i ON true"""
_LIVE_SESSION = "s.tenant = $1 AND s.id = $2 AND s.expires_at > $3"
_LIVE_TURN = "t.tenant = $1 AND t.session = $2 AND t.expires_at > $3"

CREATE = "SELECT tidegate.create_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS created"

APPEND = f"SELECT outcome, tokens_so_far FROM tidegate.append({', '.join(f'${number}' for number in range(1, 20))})"

# What may be large of the session comes once, with its last turn.
OPEN = f"""
SELECT s.created_at, s.user_id, s.parent, s.parent_number,
    CASE WHEN t.number IS NULL OR t.number = s.version THEN s.metadata END AS metadata,
    CASE WHEN t.number IS NULL OR t.number = s.version THEN s.history END AS history,
    {_TURN}
FROM tidegate.sessions s
LEFT JOIN LATERAL (
    SELECT * FROM tidegate.turns t WHERE {_LIVE_TURN} ORDER BY t.number DESC LIMIT $4
) t ON true
{_ITEMS}
WHERE {_LIVE_SESSION}
ORDER BY t.number
"""

UPDATE = f"""
UPDATE tidegate.sessions s SET user_id = $4, metadata = $5, history = $6 WHERE {_LIVE_SESSION} RETURNING 1
"""

DELETE_SESSION = "SELECT tidegate.delete_session($1, $2, $3) AS deleted"

_DELETE_ITEMS = f"""
DELETE FROM tidegate.items i WHERE i.tenant = $1 AND i.session = $2 AND i.number = $4
    AND EXISTS (SELECT FROM tidegate.turns t WHERE {_LIVE_TURN} AND t.number = $4)
    AND EXISTS (SELECT FROM tidegate.sessions s WHERE {_LIVE_SESSION})
"""
DELETE_ALL_ITEMS = f"{_DELETE_ITEMS} RETURNING 1"
DELETE_THESE_ITEMS = f"{_DELETE_ITEMS} AND i.id = ANY($5) RETURNING 1"

GET = """
SELECT id, created_at, user_id, body, revision FROM tidegate.documents
WHERE tenant = $1 AND kind = $2 AND expires_at > $3 AND id = $4
"""

_PUT = "(tenant, kind, id, created_at, user_id, body, expires_at, revision)"
PUT_FIRST = f"""
INSERT INTO tidegate.documents AS d {_PUT} VALUES ($1, $2, $4, $5, $6, $7, $8, 1)
ON CONFLICT (tenant, kind, id) DO UPDATE SET {_PUT} = ($1, $2, $4, $5, $6, $7, $8, 1) WHERE d.expires_at <= $3
RETURNING revision
"""
PUT_NEXT = """
UPDATE tidegate.documents SET created_at = $5, user_id = $6, body = $7, expires_at = $8, revision = revision + 1
WHERE tenant = $1 AND kind = $2 AND expires_at > $3 AND id = $4 AND revision = $9
RETURNING revision
"""

DELETE = """
WITH gone AS (DELETE FROM tidegate.documents WHERE tenant = $1 AND kind = $2 AND id = $4 RETURNING expires_at)
SELECT 1 FROM gone WHERE expires_at > $3
"""

_OLD = "WHERE expires_at <= $1 AND expires_at > '-Infinity' ORDER BY expires_at LIMIT 500"


def _old(table: str) -> str:
    return f"ctid = ANY (ARRAY (SELECT ctid FROM tidegate.{table} {_OLD} FOR UPDATE SKIP LOCKED))"


# $1 is now. A bounded share, small enough for the time of one call. A session goes after its turns: a later one of its
# id must not find them.
PURGE = f"""
WITH turns AS (
    DELETE FROM tidegate.turns WHERE {_old("turns")} RETURNING tenant, session, number
), items AS (
    DELETE FROM tidegate.items i USING turns t
    WHERE i.tenant = t.tenant AND i.session = t.session AND i.number = t.number
), sessions AS (
    DELETE FROM tidegate.sessions s WHERE {_old("sessions")}
        AND NOT EXISTS (SELECT FROM tidegate.turns t WHERE t.tenant = s.tenant AND t.session = s.id)
    RETURNING 1
), documents AS (
    DELETE FROM tidegate.documents WHERE {_old("documents")} RETURNING 1
)
SELECT (SELECT count(*) FROM turns) + (SELECT count(*) FROM sessions) + (SELECT count(*) FROM documents) AS purged
"""


def _turns(which: str, order: Order = "asc", limit: str = "1") -> str:
    return f"""
SELECT {_TURN}
FROM tidegate.sessions s
CROSS JOIN LATERAL (
    SELECT * FROM tidegate.turns t WHERE {_LIVE_TURN} AND {which} ORDER BY t.number {order} LIMIT {limit}
) t
{_ITEMS}
WHERE {_LIVE_SESSION}
ORDER BY t.number {order}
"""


TURNS: dict[Order, str] = {
    "asc": _turns("t.number > $4 AND t.number < $5", "asc", "$6"),
    "desc": _turns("t.number > $4 AND t.number < $5", "desc", "$6"),
}
TURN_BY_ID = _turns("t.id = $4")
TURN_OF_ITEM = _turns(
    "t.number = (SELECT max(i.number) FROM tidegate.items i WHERE i.tenant = $1 AND i.session = $2 AND i.id = $4)"
)


def sessions(*, of_user: bool) -> str:
    """$2: ids after it, $4: how many, $5: the user."""
    return f"""
SELECT s.id, {_SESSION} FROM tidegate.sessions s
WHERE s.tenant = $1 AND s.id > $2 AND s.expires_at > $3 {"AND s.user_id = $5" if of_user else ""}
ORDER BY s.id LIMIT $4
"""


def documents(order: Order, *, of_user: bool, after: bool) -> str:
    """$4: how many; then the user; then created_at and id of the one before."""
    user = "AND user_id = $5" if of_user else "AND created_at > '-Infinity'"
    first = 6 if of_user else 5
    cursor = f"AND (created_at, id) {'>' if order == 'asc' else '<'} (${first}, ${first + 1})" if after else ""
    return f"""
SELECT id, created_at, user_id, body, revision FROM tidegate.documents
WHERE tenant = $1 AND kind = $2 AND expires_at > $3 {user} {cursor}
ORDER BY created_at {order}, id {order} LIMIT $4
"""
