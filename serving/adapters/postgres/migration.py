"""Brings a PostgreSQL database to the last step of its schema; what a step does it does not know."""

from __future__ import annotations

from typing import Any

from serving.adapters.postgres.schema import STEPS, Step
from serving.errors import SettingsError

# A constant of ours that no other program on the database should lock.
_LOCK = 0x7469_6465_6761_7465
# For one step on large tables, and for others who are at it.
_PATIENCE = "10min"
# Not to_regclass: within a transaction that may answer from before the lock.
_HAS_STEPS = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'tidegate' AND tablename = 'schema_steps')"


async def migrate(connection: Any, steps: tuple[Step, ...] = STEPS) -> bool:
    """Apply what is missing, all of it or nothing; False when nothing was. Many may do so at once.

    A database that has everything is only read: a role that may not create tables is then enough.
    """
    await _check_encoding(connection)
    if await _applied(connection, steps) == len(steps):
        return False
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        applied = await _applied(connection, steps)
        if applied == 0:
            await connection.execute(
                "CREATE SCHEMA IF NOT EXISTS tidegate; CREATE TABLE IF NOT EXISTS tidegate.schema_steps "
                "(number int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
        for number, step in enumerate(steps[applied:], start=applied + 1):
            await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO tidegate.schema_steps (number, name) VALUES ($1, $2)", number, step.name
            )
    return applied < len(steps)


async def _applied(connection: Any, steps: tuple[Step, ...]) -> int:
    if not await connection.fetchval(_HAS_STEPS):
        return 0
    names = [row["name"] for row in await connection.fetch("SELECT name FROM tidegate.schema_steps ORDER BY number")]
    if names != [step.name for step in steps[: len(names)]]:
        raise SettingsError(
            "front.store",
            f"the database has schema version {len(names)} ({names[-1]}), this Tidegate knows {len(steps)} "
            f"({steps[-1].name}): run the newer Tidegate, or name another database",
        )
    return len(names)


async def _check_encoding(connection: Any) -> None:
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise SettingsError("front.store", f"the database's encoding is {encoding}: create it with ENCODING 'UTF8'")
