"""`tidegate sessions export|delete`: everything that is kept of a session, a user or a tenant, out or gone."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from serving.cli.options import Subparsers
from serving.cli.stores import add_store_options, finish, front_settings, opened_copies, opened_store

if TYPE_CHECKING:
    from serving.cli.session_scope import Scope
    from serving.settings import FrontSettings

_PROGRESS_EVERY = 1000
_NOUNS = ("session", "turn", "document")


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "sessions",
        help="export or delete what is kept of a session, a user or a tenant",
        description="Export or delete what is kept of a session, a user or a tenant. The tenant of a key is its team.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    export = actions.add_parser(
        "export",
        help="print sessions with their turns, then documents, as JSON lines",
        description="Print sessions with their turns, then stored answers, summaries and idempotency records, one JSON "
        "object a line. Without --session and --user: all of the tenant.",
    )
    _add_scope(export).add_argument("--user", help="only this user's")
    export.set_defaults(run=_run_export)
    delete = actions.add_parser(
        "delete",
        help="delete sessions with their turns and the documents that belong to them",
        description="Delete sessions with their turns, and the stored answers, summaries and idempotency records that "
        "belong to them. With front.redis set, the copies there go too.",
    )
    chosen = _add_scope(delete, required=True)
    chosen.add_argument("--user", help="everything of this user")
    chosen.add_argument("--all", action="store_true", help="everything of the tenant")
    delete.add_argument("--redis", metavar="URL", help="Redis that the fronts use (default: front.redis)")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    delete.set_defaults(run=_run_delete)


def _add_scope(parser: argparse.ArgumentParser, required: bool = False) -> Any:
    add_store_options(parser)
    parser.add_argument("--tenant", required=True, help="team of the API key")
    chosen = parser.add_mutually_exclusive_group(required=required)
    chosen.add_argument("--session", metavar="ID", help="only this session")
    return chosen


def _run_export(args: argparse.Namespace) -> int:
    return finish(_export(*front_settings(args), _scope(args)))


def _run_delete(args: argparse.Namespace) -> int:
    url, front = front_settings(args, {"front.redis": args.redis})
    scope = _scope(args)
    if not args.yes and not _confirmed(scope, url):
        print("tidegate: nothing was deleted", file=sys.stderr)
        return 1
    return finish(_delete(url, front, scope))


def _scope(args: argparse.Namespace) -> Scope:
    from serving.cli.session_scope import Scope

    return Scope(args.tenant, args.session, args.user)


def _confirmed(scope: Scope, url: str) -> bool:
    from serving.adapters.stores import describe

    print(f"Delete everything of {scope} in {describe(url)}? It cannot be undone. [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _export(url: str, front: FrontSettings, scope: Scope) -> int:
    from serving.cli.session_scope import documents_of, sessions_of, turns_of

    counts: Counter[str] = Counter()
    exported: set[str] = set()
    async with opened_store(url, front) as store:
        async for session in sessions_of(store, scope):
            exported.add(session.key.id)
            _print_line(counts, "session", {**session._asdict(), "key": None, "id": session.key.id})
            async for turn in turns_of(store, session.key):
                items = [item._asdict() for item in turn.items]
                _print_line(counts, "turn", {"session": session.key.id, **turn._asdict(), "items": items})
        async for document in documents_of(store, scope, exported):
            _print_line(counts, "document", {**document._asdict(), "key": None, "id": document.key.id})
    print(f"tidegate: exported {_told(counts, *_NOUNS)}", file=sys.stderr)
    return 0 if counts or scope.session is None else 1


def _print_line(counts: Counter[str], noun: str, fields: dict[str, Any]) -> None:
    present = {name: value for name, value in fields.items() if value is not None}
    print(json.dumps({"object": noun, **present}, ensure_ascii=False, separators=(",", ":")))
    counts[noun] += 1
    if counts.total() % _PROGRESS_EVERY == 0:
        print(f"tidegate: {_told(counts, *_NOUNS)} so far", file=sys.stderr, flush=True)


async def _delete(url: str, front: FrontSettings, scope: Scope) -> int:
    from serving.cli.session_scope import documents_of, sessions_of
    from serving.front.ids import minter
    from serving.front.state.records import Key

    counts: Counter[str] = Counter()
    mint = minter()
    # Also when it is not there: an earlier try may have ended before its documents and its copy were gone.
    deleted = set() if scope.session is None else {scope.session}
    async with opened_store(url, front) as store, opened_copies(front) as hot:
        async for session in sessions_of(store, scope):
            deleted.add(session.key.id)
            await hot.open(session.key, mint("turn"))
            counts["session"] += await store.delete_session(session.key)
            await hot.forget(session.key)
        if scope.session is not None:
            await hot.forget(Key(scope.tenant, scope.session))
        async for document in documents_of(store, scope, deleted):
            counts["document"] += await store.delete(document.kind, document.key)
    print(f"deleted {_told(counts, 'session', 'document')}")
    return 0


def _told(counts: Counter[str], *nouns: str) -> str:
    """`1 session, 2 turns, 0 documents`."""
    return ", ".join(f"{counts[noun]} {noun}{'' if counts[noun] == 1 else 's'}" for noun in nouns)
