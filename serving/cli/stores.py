"""The store that a command works on, and what is told when it fails; it knows no command."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from serving.cli.options import add_settings_options, settings_from

if TYPE_CHECKING:
    from serving.front.state.stores import DurableStore, HotStore
    from serving.settings import FrontSettings


def add_store_options(parser: argparse.ArgumentParser) -> None:
    add_settings_options(parser)
    parser.add_argument(
        "--store",
        metavar="URL",
        help="sqlite:///FILE, postgresql://… or dynamodb://TABLE?region=R (default: front.store, else the SQLite file "
        "in the state folder)",
    )


def front_settings(args: argparse.Namespace, overrides: dict[str, Any] | None = None) -> tuple[str, FrontSettings]:
    """The store's URL, and the settings that the front would have."""
    from serving.adapters.stores import default_store_url

    front = settings_from(args, {"front.store": args.store, **(overrides or {})}).front
    return front.store or default_store_url(os.environ), front


@asynccontextmanager
async def opened_store(url: str, front: FrontSettings) -> AsyncIterator[DurableStore]:
    from serving.adapters.stores import open_store

    store = await open_store(url, front.state)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_copies(front: FrontSettings) -> AsyncIterator[HotStore]:
    """What the fronts hold in Redis. Raises `StoreDown` when it was not reached, all the time."""
    if front.redis is None:
        from serving.adapters.redis.absent import NoHotStore

        yield NoHotStore()
        return
    from serving.adapters.redis.state import RedisState
    from serving.errors import StoreDown

    redis = await RedisState.connect(front.redis, front.state, "tidegate-sessions", lambda _: None)
    try:
        if not redis.is_up:
            raise StoreDown("front.redis cannot be reached, and fronts would go on from the copies there")
        yield redis.hot
        if redis.counts["failures"]:
            raise StoreDown("front.redis failed meanwhile; fronts may go on from copies there until it is emptied")
    finally:
        await redis.close()


def finish(work: Coroutine[Any, Any, int]) -> int:
    """The exit status of a command; 1 when a store could not be reached."""
    from serving.errors import StoreDown

    try:
        return asyncio.run(work)
    except StoreDown as error:
        print(f"tidegate: error: {error}", file=sys.stderr)
        return 1
