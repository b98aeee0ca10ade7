"""The steps of the PostgreSQL schema, in order; who applies them and what calls its functions it does not know.

Each row starts with its tenant. Ids are compared as bytes (collation C). What an append or the end of a session must
find unchanged is behind the lock of the session's row, and each statement of a function sees what was committed before
it got that lock.
"""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    name: str
    sql: str


# While a table is small or has no statistics the planner cannot tell apart two indexes that a lookup could use, and may
# keep the wrong one. So ids lead in the index that finds them, and an index for lists or for the purge has a condition
# that only these have.
_SESSIONS = """
CREATE TABLE tidegate.sessions (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    created_at float8 NOT NULL,
    user_id text COLLATE "C",
    metadata text NOT NULL,
    history text,
    parent text COLLATE "C",
    parent_number int,
    version int NOT NULL DEFAULT 0,
    tokens bigint NOT NULL DEFAULT 0,
    expires_at float8 NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX sessions_by_user ON tidegate.sessions (tenant, user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_expiry ON tidegate.sessions (expires_at) WHERE expires_at > '-Infinity';
CREATE TABLE tidegate.turns (
    tenant text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL,
    number int NOT NULL,
    id text COLLATE "C" NOT NULL,
    created_at float8 NOT NULL,
    format text NOT NULL,
    status text NOT NULL,
    tokens bigint NOT NULL,
    tokens_before bigint NOT NULL,
    expires_at float8 NOT NULL,
    PRIMARY KEY (tenant, session, number),
    UNIQUE (id, session, tenant)
);
CREATE INDEX turns_by_expiry ON tidegate.turns (expires_at) WHERE expires_at > '-Infinity';
CREATE TABLE tidegate.items (
    tenant text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL,
    number int NOT NULL,
    position int NOT NULL,
    id text COLLATE "C" NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (tenant, session, number, position)
);
CREATE INDEX items_by_id ON tidegate.items (id, session, tenant)
"""

_DOCUMENTS = """
CREATE TABLE tidegate.documents (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    created_at float8 NOT NULL,
    user_id text COLLATE "C",
    body text NOT NULL,
    revision int NOT NULL,
    expires_at float8 NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);
CREATE INDEX documents_by_time ON tidegate.documents (tenant, kind, created_at, id) WHERE created_at > '-Infinity';
CREATE INDEX documents_by_user ON tidegate.documents (tenant, kind, user_id, created_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX documents_by_expiry ON tidegate.documents (expires_at) WHERE expires_at > '-Infinity'
"""

_END_OF_SESSION = """
CREATE FUNCTION tidegate.delete_session(p_tenant text, p_id text, p_now float8) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE live boolean;
BEGIN
    DELETE FROM tidegate.sessions WHERE tenant = p_tenant AND id = p_id RETURNING expires_at > p_now INTO live;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM tidegate.turns WHERE tenant = p_tenant AND session = p_id;
    DELETE FROM tidegate.items WHERE tenant = p_tenant AND session = p_id;
    RETURN live;
END $$
"""

_CREATE_SESSION = """
CREATE FUNCTION tidegate.create_session(
    p_tenant text, p_id text, p_now float8, p_expires_at float8, p_created_at float8,
    p_user text, p_metadata text, p_history text, p_parent text, p_parent_number int
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM tidegate.sessions WHERE tenant = p_tenant AND id = p_id AND expires_at <= p_now FOR UPDATE;
    IF FOUND THEN
        PERFORM tidegate.delete_session(p_tenant, p_id, p_now);
    END IF;
    INSERT INTO tidegate.sessions
        (tenant, id, created_at, user_id, metadata, history, parent, parent_number, expires_at)
    VALUES
        (p_tenant, p_id, p_created_at, p_user, p_metadata, p_history, p_parent, p_parent_number, p_expires_at)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$
"""

_APPEND = """
CREATE FUNCTION tidegate.append(
    p_tenant text, p_session text, p_now float8, p_expires_at float8, p_expected int,
    p_id text, p_created_at float8, p_format text, p_status text, p_tokens bigint,
    p_item_ids text[], p_contents text[],
    p_new boolean, p_session_created_at float8, p_user text, p_metadata text, p_history text,
    p_parent text, p_parent_number int,
    OUT outcome text, OUT tokens_so_far bigint
)
LANGUAGE plpgsql AS $$
DECLARE
    held_version int;
    live boolean;
BEGIN
    LOOP
        SELECT s.version, s.tokens, s.expires_at > p_now INTO held_version, tokens_so_far, live
        FROM tidegate.sessions s WHERE s.tenant = p_tenant AND s.id = p_session FOR UPDATE;
        EXIT WHEN FOUND AND live;
        IF NOT p_new OR p_expected <> 0 THEN
            outcome := CASE WHEN p_new THEN 'conflict' ELSE 'gone' END;
            RETURN;
        END IF;
        PERFORM tidegate.create_session(
            p_tenant, p_session, p_now, p_expires_at, p_session_created_at,
            p_user, p_metadata, p_history, p_parent, p_parent_number);
    END LOOP;
    IF held_version <> p_expected THEN
        outcome := CASE WHEN EXISTS (
            SELECT FROM tidegate.turns t WHERE t.tenant = p_tenant AND t.session = p_session AND t.id = p_id
        ) THEN 'there' ELSE 'conflict' END;
        RETURN;
    END IF;
    INSERT INTO tidegate.turns
        (tenant, session, number, id, created_at, format, status, tokens, tokens_before, expires_at)
    VALUES
        (p_tenant, p_session, p_expected + 1, p_id, p_created_at, p_format, p_status, p_tokens,
         tokens_so_far, p_expires_at)
    ON CONFLICT (id, session, tenant) DO NOTHING;
    IF NOT FOUND THEN
        outcome := 'there';
        RETURN;
    END IF;
    INSERT INTO tidegate.items (tenant, session, number, position, id, content)
    SELECT p_tenant, p_session, p_expected + 1, i.position, i.id, i.content
    FROM unnest(p_item_ids, p_contents) WITH ORDINALITY AS i (id, content, position);
    UPDATE tidegate.sessions s
    SET version = p_expected + 1, tokens = tokens_so_far + p_tokens, expires_at = p_expires_at
    WHERE s.tenant = p_tenant AND s.id = p_session;
    outcome := 'added';
END $$
"""

STEPS = (
    Step("sessions, turns and items", _SESSIONS),
    Step("documents", _DOCUMENTS),
    Step("the end of a session in one call", _END_OF_SESSION),
    Step("the start of a session in one call", _CREATE_SESSION),
    Step("an append in one call", _APPEND),
)
