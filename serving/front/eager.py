"""Runs a flow at once, and goes on with it from the very callback that brings what it waits for.

A flow that waits for nothing but `Wake`s never costs a Task or a turn of the loop; one that waits for a Future becomes
a Task there. It knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Flow = Coroutine[Any, Any, None]


class Wake:
    """Something that happens once; awaiting it returns when it has."""

    __slots__ = ("_happened", "_then")

    def __init__(self) -> None:
        self._happened = False
        self._then: Callable[[], None] | None = None

    @property
    def happened(self) -> bool:
        return self._happened

    def set(self) -> None:
        """It happened: whoever waits goes on before this returns. Further calls do nothing."""
        if not self._happened:
            self._happened = True
            if self._then is not None:
                self._then()

    def on_set(self, then: Callable[[], None] | None) -> None:
        self._then = then

    def __await__(self) -> Generator[Any, Any, None]:
        """In a Task it waits by a Future; a flow that `Run` drives goes on from `set` itself. One waiter at a time."""
        if not self._happened:
            if asyncio.current_task() is None:
                yield self
            else:
                yield from self.future()

    def future(self) -> asyncio.Future[None]:
        """The same as something that a loop can wait for."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._happened:
            future.set_result(None)
        else:
            self._then = lambda: None if future.done() else future.set_result(None)
        return future


class Run:
    """A started flow. Before it waits for a Future it has no current task: no `asyncio.timeout` until then."""

    __slots__ = ("_flow", "_loop", "_task", "_wake")

    def __init__(self, flow: Flow, loop: asyncio.AbstractEventLoop) -> None:
        self._flow = flow
        self._loop = loop
        self._wake: Wake | None = None
        self._task: asyncio.Task[None] | None = None
        self._advance(flow.send, None)

    def cancel(self) -> None:
        """Raise `CancelledError` where it waits; a flow that is finished stays so."""
        if self._task is not None:
            self._task.cancel()
        elif self._wake is not None:
            self._wake.on_set(None)
            self._advance(self._flow.throw, asyncio.CancelledError())

    def _go_on(self) -> None:
        self._advance(self._flow.send, None)

    def _advance(self, resume: Callable[[Any], Any], value: Any) -> None:
        self._wake = None
        try:
            waits_for = resume(value)
        except StopIteration:
            return
        except asyncio.CancelledError:
            return
        if isinstance(waits_for, Wake):
            self._wake = waits_for
            waits_for.on_set(self._go_on)
        else:
            self._task = self._loop.create_task(_finish(self._flow, waits_for))


async def _finish(flow: Flow, waits_for: Any) -> None:
    await _resume(flow, waits_for)


@types.coroutine
def _resume(flow: Flow, waits_for: Any) -> Generator[Any, Any, None]:
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever the loop throws belongs to the flow
                waits_for = flow.throw(error)
            else:
                waits_for = flow.send(sent)
    except StopIteration:
        return
