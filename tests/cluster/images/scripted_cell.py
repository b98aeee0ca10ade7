"""Stands for an engine cell where only its behaviour counts: a knee engine with a cell's port, probes, start and drain.

A test double: it computes no token, numbered.py says which it gives. `python -m tests.cluster.images.scripted_cell`,
everything by environment: TIDEGATE_ENGINE__SERVED_MODEL_NAME as the chart sets it, SCRIPTED_START_SECONDS, and
SCRIPTED_FLAGS, the options of `bench.knee_engine` that say how fast it is. SIGTERM drains it as it does a real cell.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Iterator

import orjson
import uvloop

from bench import mock_answers
from bench.knee_clock import Engine
from bench.knee_engine import Connection, add_profile, profile_of
from bench.knee_model import Entry, Generation
from tests.cluster.images import numbered
from tests.support import vllm_wire
from tests.support.token_ids import Refused

_PORT = 30000
_GENERATES = frozenset({numbered.CHAT, numbered.COMPLETIONS})


class Cell:
    """What all connections share."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.draining = False
        self.open: set[CellConnection] = set()


class CellConnection(Connection):
    """Says what is numbered, refuses new work while the cell drains, and tells its probes so."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.engine)
        self._cell = cell
        # What goes out with each token of a stream, or the whole answer; which of both.
        self._speech: Iterator[list[bytes]] | None = None
        self._whole = b""
        cell.open.add(self)

    @property
    def generates(self) -> bool:
        return self._generation is not None

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(error)
        self._cell.open.discard(self)

    def on_message_complete(self) -> None:
        """Answer what a drain refuses, and generate; all else is the engine's."""
        path = self._url.decode("latin-1")
        if self._cell.draining and (path in _GENERATES or path == "/-/healthz"):
            self._transport.write(mock_answers.error(503, "this cell is shutting down", b"retry-after: 1\r\n"))
        elif path == "/-/healthz":
            self._transport.write(mock_answers.whole(200, b"success"))
        elif path in _GENERATES:
            self._generate(path)
        else:
            super().on_message_complete()
            return
        if not self._generation:
            self._ended()

    def token(self, generation: Generation) -> None:
        """The next token is out; the last one ends the answer."""
        if generation.done:
            self._generation = None
        if self._speech is not None:
            self._transport.write(b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in next(self._speech)))
        if generation.done:
            self._transport.write(b"0\r\n\r\n" if self._speech is not None else self._whole)
            self._ended()

    def _generate(self, path: str) -> None:
        body = orjson.loads(self._body)
        try:
            answer = numbered.answer(path, self._engine.model, body)
        except Refused as refused:
            refusal = vllm_wire.error_body(400, str(refused), "BadRequestError", refused.param)
            self._transport.write(mock_answers.whole(400, refusal))
            return
        prompt_tokens, output_tokens = len(answer.output.prompt), len(answer.tokens)
        if prompt_tokens + output_tokens > self._engine.max_model_len:
            self._transport.write(mock_answers.error(400, "longer than this model's maximum context length"))
            return
        entry, generation = self._engine.offer(self, prompt_tokens, output_tokens)
        if entry is not Entry.TAKEN:
            self._transport.write(mock_answers.error(429, "the engine is full", b"retry-after: 1\r\n"))
            return
        self._generation = generation
        if answer.start:
            print(f"goes on after {answer.start} tokens", flush=True)
        self._speech, self._whole = None, b""
        if body.get("stream"):
            self._speech = numbered.by_token(path, answer, body)
            self._transport.write(mock_answers.STREAM_HEAD)
        else:
            self._whole = mock_answers.whole(200, vllm_wire.DOCUMENTS[path](answer, body))


async def serve() -> None:
    """From the cold start to the end of the drain."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.sleep(float(os.environ.get("SCRIPTED_START_SECONDS", "2")))
    parser = add_profile(argparse.ArgumentParser())
    profile = profile_of(parser.parse_args(os.environ.get("SCRIPTED_FLAGS", "").split()))
    cell = Cell(Engine(profile, os.environ["TIDEGATE_ENGINE__SERVED_MODEL_NAME"], max_model_len=32768))
    server = await loop.create_server(lambda: CellConnection(cell), "0.0.0.0", _PORT, backlog=4096)
    await stop.wait()
    cell.draining = True
    while any(connection.generates for connection in cell.open):
        await asyncio.sleep(0.05)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
