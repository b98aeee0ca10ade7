"""CPU per server-sent event of the load test's client beside a bare aiohttp reader, over the same mock engine.

The bare reader only counts; the client also times, scans and checks. Each side is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import report
from bench.loads import LOAD_CORE, run_pinned
from bench.processes import BenchError, answers, free_port, running, wait_until
from bench.report import Bar

HEADERS = ("reader", "CPU per event, best", "spread of rounds", "events/s per core")
LEAST_RATE = 0.8
_STREAMS, _EVENTS = 16, 200
_REPEATS = 5
"""Answers per stream: what a connection costs once is not what an event costs."""
_DELAY_MS = 5
_MESSAGES = [{"role": "user", "content": "When does the gate open tonight?"}]


@dataclass(frozen=True)
class Compared:
    """CPU microseconds per event, by round."""

    ours_us: tuple[float, ...]
    bare_us: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Events per second and core, ours over the bare reader's: the median of the rounds' ratios."""
        return statistics.median(bare / ours for ours, bare in zip(self.ours_us, self.bare_us, strict=True))

    def table(self) -> str:
        """Both sides."""
        rows = [_row("loadtest.client", self.ours_us), _row("aiohttp, iter_any", self.bare_us)]
        return report.table(HEADERS, rows)

    def bar(self) -> Bar:
        """What is promised."""
        text = "events/s per core, the load test's client over a bare aiohttp reader"
        return Bar(text, self.rate, LEAST_RATE, at_least=True)


def compare(rounds: int) -> Compared:
    """Alternate both sides over one mock engine, each round beginning with the other one."""
    port = free_port()
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    command = [sys.executable, "-m", "bench.mock_engine", "--port", str(port)]
    with running("mock engine of load_reader", command, core=0) as mock:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), mock, 20)
        for number in range(rounds):
            for side in ("ours", "bare") if number % 2 else ("bare", "ours"):
                reader = [sys.executable, "-m", "bench.load_reader", "--side", side, "--port", str(port)]
                output = run_pinned(reader, {}, LOAD_CORE)
                found[side].append(_us_per_event(json.loads(output)))
    return Compared(tuple(found["ours"]), tuple(found["bare"]))


def _us_per_event(seen: dict[str, Any]) -> float:
    wanted = _STREAMS * _REPEATS * _EVENTS
    if seen["events"] < wanted:
        raise BenchError(f"{seen['events']} of {wanted} events came")
    return float(seen["cpu_seconds"] / seen["events"] * 1e6)


def _row(name: str, values: Sequence[float]) -> list[str]:
    best = min(values)
    return [name, f"{best:.2f} us", f"{max(values) / best:.2f}x", f"{1e6 / best:,.0f}"]


def _ours(port: int) -> int:
    """The token events that the client counted."""
    import gevent

    from loadtest.client.answer import Ask
    from loadtest.client.client import Client

    client = Client(f"http://127.0.0.1:{port}/v1", "none", "tiny")

    def stream() -> int:
        ask = Ask(_MESSAGES, _EVENTS, body={"seed": _DELAY_MS})
        return sum(client.ask(ask, time.perf_counter).chunks for _ in range(_REPEATS))

    jobs = [gevent.spawn(stream) for _ in range(_STREAMS)]
    gevent.joinall(jobs, raise_error=True)
    return sum(job.value for job in jobs)


def _bare(port: int) -> int:
    """The same token events: what is in a stream besides them is taken off, so that both sides divide by one number."""
    import aiohttp

    body = {"model": "tiny", "messages": _MESSAGES, "max_tokens": _EVENTS, "stream": True, "seed": _DELAY_MS}
    body |= {"stream_options": {"include_usage": True}}
    others = 4  # role, finish, usage, [DONE]

    async def stream(session: aiohttp.ClientSession) -> int:
        events = 0
        for _ in range(_REPEATS):
            async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as answer:
                async for part in answer.content.iter_any():
                    events += part.count(b"data:")
        return events - _REPEATS * others

    async def load() -> int:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return sum(await asyncio.gather(*(stream(session) for _ in range(_STREAMS))))

    return asyncio.run(load())


_SIDES: dict[str, Callable[[int], int]] = {"ours": _ours, "bare": _bare}


def _run_side(side: str, port: int) -> None:
    read = _SIDES[side]
    read(port)  # imports and first connections
    gc.freeze()
    before = time.process_time()
    events = read(port)
    print(json.dumps({"events": events, "cpu_seconds": time.process_time() - before}))


def main() -> int:
    """Compare, or be one side."""
    parser = argparse.ArgumentParser(prog="python -m bench.load_reader", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="exit with 1 when the bar is missed")
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        _run_side(options.side, options.port)
        return 0
    compared = compare(options.rounds)
    print(f"{compared.table()}\n\n{report.bars_table([compared.bar()])}")
    return 1 if options.strict and not compared.bar().held() else 0


if __name__ == "__main__":
    sys.exit(main())
