"""A rate that no client on one core can send: the load test must say so and give no verdict."""

from __future__ import annotations

import sys

from bench import load_run, report
from bench.load_run import CLIENT_CORE, ENGINE_CORE, Load
from bench.processes import answers, free_port, running, wait_until
from bench.report import Bar

_RATE = 20_000
_OPTIONS = (
    *("--preset", "chat", "--seconds", "6", "--set", f"search.start_rate={_RATE}", "--set", "search.max_probes=3"),
    *("--set", "workload.classes.0.input={median: 20, high: 20}"),
    *("--set", "workload.classes.0.output={median: 1, high: 1}"),
)


def measure() -> tuple[str, list[Bar]]:
    """What each probe says of its client, over an engine that costs next to nothing."""
    port = free_port()
    command = [sys.executable, "-m", "bench.mock_engine", "--port", str(port)]
    with running("mock engine of load_starved", command, ENGINE_CORE) as mock:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), mock, 20)
        found = load_run.run(Load("starved", "goodput", f"http://127.0.0.1:{port}/v1", _OPTIONS, CLIENT_CORE))
    given = [goodput for goodput in found.result["goodputs"] if not goodput["withheld"]]
    trusted = [probe for probe in found.probes if not probe["client"]["reasons"]]
    rows = [
        [f"{probe['offered_rate']:,.0f}", (probe["client"]["reasons"] or ["none"])[0].partition(". ")[0]]
        for probe in found.probes
    ]
    return report.table(["client as the limit: requests/s asked for", "why no verdict"], rows), [
        Bar("client as the limit: verdicts given", float(len(given)), 0, "verdicts"),
        Bar("client as the limit: probes that it trusts", float(len(trusted)), 0, "probes"),
    ]
