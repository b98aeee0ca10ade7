"""`tidegate front`: one replica of the front tier in the foreground; what a front is, `serving.main` knows."""

from __future__ import annotations

import argparse
import sys
from threading import Thread
from typing import TYPE_CHECKING

from serving.cli.options import Subparsers, add_settings_options, settings_from

if TYPE_CHECKING:
    from serving.settings import Settings


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "front",
        help="serve an OpenAI-compatible endpoint over engines, or over any OpenAI-compatible servers",
        description="Run one front-tier replica in the foreground. SIGTERM and Ctrl-C drain it.",
    )
    add_settings_options(parser)
    parser.add_argument("--engine", metavar="URL", action="append", help="base URL of an engine; repeatable")
    parser.add_argument(
        "--ray-serve", metavar="URL", help="dashboard URL of a Ray Serve whose replicas are the engines"
    )
    parser.add_argument(
        "--endpoint-slices",
        metavar="SERVICE",
        action="append",
        help="[NAMESPACE/]SERVICE[:PORT_NAME] whose ready endpoints are engines, in a pod; repeatable",
    )
    add_listen_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON line on standard output once ready")
    parser.set_defaults(run=run)


def add_listen_options(parser: argparse.ArgumentParser) -> None:
    """Where a front listens, whom it lets in and where it keeps things: shared with `tidegate up`."""
    parser.add_argument("--host", help="address for clients (default: 127.0.0.1)")
    parser.add_argument("--port", help="port for clients, 0 for any free one (default: 8000)")
    parser.add_argument("--admin-host", help="address for probes, metrics and admin (default: 127.0.0.1)")
    parser.add_argument("--admin-port", help="port for probes, metrics and admin, 0 for any free one (default: 9000)")
    parser.add_argument("--api-key", metavar="KEY", action="append", help="key with full access; repeatable")
    parser.add_argument("--keys-file", metavar="FILE", help="YAML file of keys with team, models and limits")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where conversations are kept: sqlite:///FILE, postgresql://… or dynamodb://TABLE?region=R "
        "(default: SQLite in the state folder)",
    )
    parser.add_argument("--redis", metavar="URL", help="redis://…, rediss://… or unix://…, 6.2 or later, or Valkey")


def listen_overrides(args: argparse.Namespace) -> dict[str, object]:
    """The settings that `add_listen_options` set."""
    return {
        "front.host": args.host,
        "front.port": args.port,
        "front.admin_host": args.admin_host,
        "front.admin_port": args.admin_port,
        "front.api_keys": args.api_key,
        "front.keys_file": args.keys_file,
        "front.store": args.store,
        "front.redis": args.redis,
    }


def run(args: argparse.Namespace) -> int:
    overrides = {
        **listen_overrides(args),
        "front.engines": args.engine,
        "front.ray_serve": args.ray_serve,
        "front.endpoint_slices": args.endpoint_slices,
    }
    settings = with_fixed_ports(settings_from(args, overrides))
    from serving.main import run_front

    # The announcement asks the front for its engines, so it must not run on the front's own event loop.
    announce = Thread(target=_announce, args=(settings, args.json), name="announce", daemon=True)
    return run_front(settings, on_ready=announce.start)


def with_fixed_ports(settings: Settings) -> Settings:
    """The same settings with port 0 replaced by a free port, so that it can be told before and after the start."""
    from serving.cli.ports import any_free

    front = settings.front
    chosen: dict[str, int] = {}
    if front.port == 0:
        chosen["port"] = any_free(front.host)
    if front.admin_port == 0:
        chosen["admin_port"] = any_free(front.admin_host)
    return settings.model_copy(update={"front": front.model_copy(update=chosen)})


def _announce(settings: Settings, as_json: bool) -> None:
    from serving.cli.ready import Ready, urls

    base_url, admin_url = urls(settings.front)
    ready = Ready(base_url, admin_url, next(iter(settings.front.api_keys), None), _served_model(admin_url))
    if as_json:
        print(ready.line(), flush=True)
    print(f"tidegate: ready on {base_url}, model {ready.model}, admin on {admin_url}", file=sys.stderr, flush=True)


def _served_model(admin_url: str) -> str | None:
    """The first model of the first engine that has one; the admin port tells it without a key."""
    from serving.cli.probe import get

    answer = get(f"{admin_url}/admin/engines", timeout_seconds=5)
    engines = (answer.json() or {}).get("engines", []) if answer else []
    return next((model for engine in engines for model in engine["models"]), None)
