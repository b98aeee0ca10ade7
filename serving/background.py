"""Tasks that live as long as the process: named, logged when they fail, cancelled at its end; it knows none of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_log = logging.getLogger("tidegate.front")


def start(**coroutines: Coroutine[None, None, None]) -> list[asyncio.Task[None]]:
    """Begin all; the names are the tasks'. The caller cancels them."""
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
    for task in tasks:
        task.add_done_callback(_report)
    return tasks


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("background task %s failed", task.get_name(), exc_info=error)
