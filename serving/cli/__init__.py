"""The command line: it lists the commands and turns what they raise into one line and an exit status.

What a command does is known in its own module only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from serving.cli import bench, chat, db, doctor, engine, front, key, model, scale, sessions, settings_command, up
from serving.errors import EngineStartError, SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 failed, 2 a wrong setting or argument, 130 interrupted."""
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except SettingsError as error:
        return _failed(error, 2)
    except EngineStartError as error:
        return _failed(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader left (`tidegate settings | head`); without this the interpreter complains once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidegate", description="A self-hosted, OpenAI-compatible chat backend on Ray Serve and vLLM."
    )
    parser.add_argument("--version", action="version", version=f"tidegate {version('tidegate')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (up, engine, front, model, chat, bench, scale, doctor, settings_command, key, db, sessions):
        command.add(commands)
    return parser


def _failed(error: Exception, status: int) -> int:
    print(f"tidegate: error: {error}", file=sys.stderr)
    return status
