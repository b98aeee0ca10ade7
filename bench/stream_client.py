"""A closed-loop client for many streams at once: it counts events, reads, times and errors, and parses no event.

It prints one JSON object. Run it as `python -m bench.stream_client --port 8000 --connections 20 --requests 160`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import httptools
import orjson
import uvloop

from bench import chat_request

_EVENT = b"data: "
_DONE = b"data: [DONE]\n\n"
_TAIL_BYTES = 1024
_TOKENS = re.compile(rb'"completion_tokens": ?(\d+)')


@dataclass
class Tally:
    """What all connections saw together."""

    completed: int = 0
    errors: int = 0
    events: int = 0
    reads: int = 0
    output_tokens: int = 0
    first_error: str = ""
    ttft_ms: list[float] = field(default_factory=list)
    durations_ms: list[float] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """Count a stream that did not end as it should."""
        self.errors += 1
        self.first_error = self.first_error or reason


class Connection(asyncio.Protocol):
    """One connection that takes the next request when its stream has ended; `finished` tells when none is left."""

    def __init__(self, requests: Iterator[bytes], tally: Tally) -> None:
        self._requests, self._tally = requests, tally
        self._busy = False
        self.finished: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is sent before `send_next`."""
        self._transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        """Send the next request, or end."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._busy, self._tail, self._events = True, b"", 0
        self._started = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and count the read when events came with it."""
        events = self._events
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._tally.fail(f"not HTTP: {error}")
            self._busy = False
            self._transport.close()
            return
        if self._events != events:
            self._tally.reads += 1
        if not self._busy:
            self.send_next()

    def on_body(self, part: bytes) -> None:
        """Count the events, also one whose first bytes came with the former part."""
        new = (self._tail[1 - len(_EVENT) :] + part).count(_EVENT)
        if new and not self._events:
            self._tally.ttft_ms.append((time.perf_counter() - self._started) * 1000)
        self._events += new
        self._tail = part[-_TAIL_BYTES:] if len(part) >= _TAIL_BYTES else (self._tail + part)[-_TAIL_BYTES:]

    def on_message_complete(self) -> None:
        """A stream ended in order as HTTP; it is whole when its last event says so."""
        self._busy = False
        status = self._parser.get_status_code()
        self._tally.events += self._events
        if status != 200:
            self._tally.fail(f"status {status}: {self._tail[:200].decode(errors='replace')}")
        elif not self._tail.endswith(_DONE):
            self._tally.fail("no [DONE]")
        else:
            self._tally.completed += 1
            self._tally.durations_ms.append((time.perf_counter() - self._started) * 1000)
            self._tally.output_tokens += sum(int(count) for count in _TOKENS.findall(self._tail)[-1:])

    def connection_lost(self, _: Exception | None) -> None:
        """A close in the middle of a stream is an error."""
        if self._busy:
            self._tally.fail("closed in the middle of a stream")
        if not self.finished.done():
            self.finished.set_result(self._busy)


async def load(port: int, connections: int, requests: list[bytes], ramp_seconds: float) -> dict[str, object]:
    """Open all connections, then send the requests over them in a closed loop; a broken connection is replaced.

    The first requests are spread over the ramp.
    """
    tally, todo = Tally(), iter(requests)
    slots = [await _connect(port, todo, tally) for _ in range(connections)]
    started = time.perf_counter()
    step = ramp_seconds / connections
    await asyncio.gather(*(_keep_busy(port, slot, todo, tally, step * i) for i, slot in enumerate(slots)))
    return _summary(tally, time.perf_counter() - started)


async def _keep_busy(
    port: int, connection: Connection, todo: Iterator[bytes], tally: Tally, wait_seconds: float
) -> None:
    if wait_seconds:
        await asyncio.sleep(wait_seconds)
    connection.send_next()
    while await connection.finished:
        connection = await _connect(port, todo, tally)
        connection.send_next()


async def _connect(port: int, todo: Iterator[bytes], tally: Tally) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(todo, tally), "127.0.0.1", port)
    return connection


def _summary(tally: Tally, seconds: float) -> dict[str, object]:
    summary = dataclasses.asdict(tally) | {"seconds": seconds}
    for name in ("ttft_ms", "durations_ms"):
        values = sorted(summary.pop(name)) or [0.0]
        summary[f"{name}_p50"] = values[len(values) // 2]
        summary[f"{name}_p99"] = values[int(len(values) * 0.99)]
    return summary


def main() -> None:
    """Run one load from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.stream_client", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--delay-ms", type=int, help="between the events of the mock engine")
    parser.add_argument("--ramp-ms", type=float, default=0, help="over which the first requests are spread")
    parser.add_argument("--salt", help="send distinct prompts of 30 words instead of one small prompt")
    options = parser.parse_args()
    if options.salt is None:
        bodies = [chat_request.small(options.tokens, stream=True, delay_ms=options.delay_ms)] * options.requests
    else:
        salts = (f"{options.salt}.{number}" for number in range(options.requests))
        bodies = [chat_request.distinct(salt, 30, options.tokens) for salt in salts]
    encoded = [chat_request.encode(body, options.key) for body in bodies]
    gc.disable()
    summary = uvloop.run(load(options.port, options.connections, encoded, options.ramp_ms / 1000))
    print(orjson.dumps(summary).decode())


if __name__ == "__main__":
    main()
