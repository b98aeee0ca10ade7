"""The servers of a run, from before its first probe to after its last: samples, and their counts against the rows.

It needs a gevent loop to sample in; it knows nothing of probes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gevent

from loadtest.plan import Plan
from loadtest.records import Rows
from loadtest.results import CrossCheck
from loadtest.server.crosscheck import Expect, reconcile
from loadtest.server.exposition import Snapshots
from loadtest.server.preflight import describe
from loadtest.server.sampler import INTERVAL_SECONDS, Sampler
from loadtest.server.scrape import Servers


class Watch:
    """What the servers say of themselves from the first probe to the last."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._servers = [Servers(target) for target in plan.targets]
        self.sampler = Sampler(self._servers[0], time.time)
        self._before: Sequence[Snapshots] = ()
        self._greenlet: Any = None

    def __enter__(self) -> Watch:
        self._before = [servers.settled() for servers in self._servers]
        self._greenlet = gevent.spawn(self._sample)
        return self

    def __exit__(self, *_: object) -> None:
        self._greenlet.kill()

    def reconciled(self, rows: Rows) -> CrossCheck:
        """Every target's own figures against the client's rows."""
        expect = Expect.of(self._plan)
        engines = [set(before.engines) for before in self._before]
        shared = len(engines) == 2 and bool(engines[0] & engines[1])
        found = [
            reconcile(before, servers.settled(), rows[rows["target"] == target], expect, rows if shared else None)
            for target, (servers, before) in enumerate(zip(self._servers, self._before, strict=True))
        ]
        return CrossCheck(
            checked=any(check.checked for check in found),
            entries=tuple(entry for check in found for entry in check.entries),
            note="; ".join(check.note for check in found if check.note),
        )

    def described(self) -> dict[str, str]:
        """What the servers are, for the report."""
        return {
            f"{target.name} {name}": text
            for target, servers in zip(self._plan.targets, self._servers, strict=True)
            for name, text in describe(servers, time.time()).items()
        }

    def _sample(self) -> None:
        while True:
            self.sampler.sample()
            gevent.sleep(INTERVAL_SECONDS)
