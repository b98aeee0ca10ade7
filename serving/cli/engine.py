"""`tidegate engine`: runs one engine cell in the foreground; what a cell is, `serving.engine` knows."""

from __future__ import annotations

import argparse
import os
import sys

from serving.cli.options import Subparsers, add_settings_options, settings_from


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "engine",
        help="run one engine cell (Ray Serve and vLLM) in the foreground",
        description="Run one engine cell in the foreground. SIGTERM and Ctrl-C drain it, twice stops it at once.",
    )
    add_settings_options(parser)
    parser.add_argument("--model", metavar="M", help="hub id or folder (default: a small one for this machine)")
    parser.add_argument("--served-model-name", metavar="N", help="name that clients use (default: the model's own)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", metavar="P", help="port of the first replica (default: 30000)")
    parser.add_argument("--replicas", metavar="K", help="replicas, each on its own port (default: 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    settings = settings_from(
        args,
        {
            "engine.model": args.model,
            "engine.served_model_name": args.served_model_name,
            "engine.host": args.host,
            "engine.port": args.port,
            "engine.replicas": args.replicas,
        },
    )
    from serving.engine.cell import run_cell

    return run_cell(settings.engine, os.environ, lambda line: print(f"tidegate: {line}", file=sys.stderr, flush=True))
