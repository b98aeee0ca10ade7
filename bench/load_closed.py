"""A closed loop as other load tests drive it: so many clients at once, TTFT from dispatch; what it cannot see is shown.

Its wire is the load test's own client, so that nothing but the loop differs from the open one.
"""

from __future__ import annotations

import argparse
import json
import time

import gevent

from loadtest.client.answer import Answer, Ask
from loadtest.client.client import Client
from loadtest.slo import PRESETS, Fault

_MESSAGES = [{"role": "user", "content": "When does the gate open tonight?"}]


def measure(client: Client, clients: int, seconds: float, max_tokens: int) -> list[Answer]:
    """The answers to all that was sent within the time; each client asks again as soon as it has its answer."""
    clock = time.perf_counter
    until = clock() + seconds
    answers: list[Answer] = []

    def ask_on() -> None:
        while clock() < until:
            answers.append(client.ask(Ask(_MESSAGES, max_tokens), clock))

    gevent.joinall([gevent.spawn(ask_on) for _ in range(clients)], raise_error=True)
    return answers


def good(answer: Answer) -> bool:
    """By the `chat` SLO, as other load tests apply it: TTFT from dispatch."""
    slo = PRESETS["chat"]
    assert slo.ttft_seconds is not None
    assert slo.tpot_seconds is not None
    if answer.fault is not Fault.NONE:
        return False
    later = max(1, answer.output_tokens - answer.first_tokens)
    return answer.first - answer.sent <= slo.ttft_seconds and (answer.last - answer.first) / later <= slo.tpot_seconds


def main() -> None:
    """Print what came as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load_closed", description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", default="knee")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    chosen = parser.parse_args()
    client = Client(chosen.base_url, "", chosen.model)
    found = measure(client, chosen.clients, chosen.seconds, chosen.max_tokens)
    print(json.dumps({"requests": len(found), "good": sum(map(good, found))}))


if __name__ == "__main__":
    main()
