"""`tidegate db init`: makes what the durable store needs before a front can use it; it knows no kind of store."""

from __future__ import annotations

import argparse

from serving.cli.options import Subparsers
from serving.cli.stores import add_store_options, finish, front_settings


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("db", help="prepare the durable store", description="Prepare the durable store.")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    init = actions.add_parser(
        "init",
        help="make the tables of the store",
        description="Make the file, the tables or the table of the store, or what is missing of them. A front does the "
        "same for SQLite and PostgreSQL when it starts; a DynamoDB table is made by this command only.",
    )
    add_store_options(init)
    init.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    url, _ = front_settings(args)
    return finish(_init(url))


async def _init(url: str) -> int:
    from serving.adapters.stores import create, describe

    is_new = await create(url)
    print(f"{describe(url)}: {'made' if is_new else 'nothing to do'}")
    return 0
