"""`tidegate up`: everything on this machine, kept running until told to stop.

It tells the story; `household` decides what runs, `supervisor` and `child` run it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from serving.cli.front import add_listen_options, listen_overrides, with_fixed_ports
from serving.cli.options import Subparsers, add_settings_options, settings_from

if TYPE_CHECKING:
    from serving.cli.crew import Crew
    from serving.cli.household import Household
    from serving.cli.ready import Ready
    from serving.engine.signals import StopSignals

_TICK_SECONDS = 0.25
_KILL_MARGIN_SECONDS = 5.0


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "up",
        help="run everything on this machine: engine cells, a front and a Redis",
        description="Run engine cells, a front and a Redis on this machine. "
        "Ctrl-C drains and stops them, twice stops at once.",
    )
    add_settings_options(parser)
    parser.add_argument("--model", help="hub id or folder of the model (default: a small one for this machine)")
    parser.add_argument("--served-model-name", metavar="NAME", help="name that clients use (default: the model's)")
    parser.add_argument("--engines", metavar="N", type=_count, default=1, help="engine cells (default: 1)")
    add_listen_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON line on standard output once ready")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from serving.cli.crew import Crew
    from serving.cli.household import plan
    from serving.cli.progress import Progress
    from serving.cli.state import state_of
    from serving.engine.signals import StopSignals
    from serving.front.keys import mint

    overrides = {
        **listen_overrides(args),
        "engine.model": args.model,
        "engine.served_model_name": args.served_model_name,
    }
    settings = with_fixed_ports(settings_from(args, overrides))
    household = plan(settings, args.engines, os.environ, mint)
    stopping = StopSignals()
    stopping.install()
    with state_of(settings.front.port, os.environ) as folder:
        progress = Progress(sys.stderr)
        if household.front.settings.front.redis is None:
            progress.say("no Redis: there is no redis-server on PATH; streams cannot be resumed")
        crew = Crew(household, folder, progress)
        try:
            crew.start()
            while not stopping.count and not crew.ready():
                time.sleep(_TICK_SECONDS)
            if not stopping.count:
                ready = _endpoint(household)
                folder.announce(ready)
                print(ready.line() if args.json else _greeting(ready, crew, household), flush=True)
            while not stopping.count:
                crew.keep_running()
                time.sleep(_TICK_SECONDS)
        finally:
            _stop(crew, household, stopping)
    return 0


def _stop(crew: Crew, household: Household, stopping: StopSignals) -> None:
    """The front first, so that no stream loses its engine while it is drained; last the Redis that both may need."""
    front = household.front.settings.front
    drain = household.cells[0].settings.engine.drain

    def hurry() -> bool:
        return stopping.count > 1

    crew.stop_front(front.drain_delay_seconds + front.drain_seconds + _KILL_MARGIN_SECONDS, hurry)
    crew.stop_cells(drain.grace_seconds, hurry)
    crew.stop_redis()


def _endpoint(household: Household) -> Ready:
    from serving.cli.household import replica_urls
    from serving.cli.probe import first_model
    from serving.cli.ready import Ready, urls

    front = household.front.settings.front
    key = next(iter(front.api_keys), None)
    model = first_model(f"{replica_urls(household.cells[0].settings)[0]}/v1", None)
    return Ready(*urls(front), key, model)


def _talks_nonsense(household: Household) -> bool:
    """vLLM lists a model with its folder, which says whether it is ours of random weights."""
    from pathlib import Path

    from serving.cli.household import replica_urls
    from serving.cli.probe import models
    from serving.engine.tiny import is_tiny_model

    listed = models(f"{replica_urls(household.cells[0].settings)[0]}/v1", None)
    return any(is_tiny_model(Path(str(model.get("root")))) for model in listed)


def _greeting(ready: Ready, crew: Crew, household: Household) -> str:
    warning = "  (tiny, random weights: this model talks nonsense)" if _talks_nonsense(household) else ""
    return f"""
  base URL   {ready.base_url}
  key        {ready.api_key or "one of front.keys_file"}
  model      {ready.model}{warning}
  admin      {ready.admin_url}  (/readyz, /metrics)
  logs       {crew.logs}

{ready.curl()}

Ctrl-C stops everything; `tidegate chat` in another terminal talks to it.
"""


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)
