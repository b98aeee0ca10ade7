"""Lets the emptiest cell leave first: writes each engine pod's deletion cost from the requests that it has in hand.

Kubernetes' ReplicaSet controller reads the annotation when a Deployment shrinks (1.22 and later). It is a hint: pods
that are not ready go first anyway. `python -m autoscale.deletion_cost --namespace N --selector L`.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Protocol

from autoscale.deletion_load import requests_in_hand
from autoscale.deletion_pods import ClusterPods, Pod, PodsUnknown

_log = logging.getLogger("tidegate.deletion_cost")
_UNREADY_COST = -1
_ASKED_AT_ONCE = 16
_ANSWER_SECONDS = 2.0

InHand = Callable[[str], int | None]


class Pods(Protocol):
    """Where pods and their annotation are kept."""

    def list(self) -> Sequence[Pod]: ...

    def write(self, pod: Pod, cost: str) -> None: ...


def cost(in_hand: int) -> int:
    """Powers of two, so that an engine whose load moves a little is not written to: 0, 1, 2-3, 4-7, 8-15, …"""
    return in_hand.bit_length()


def update(pods: Pods, in_hand: InHand) -> int:
    """Look at every pod once and write what changed, each pod at most once; how many were written.

    A pod that is ready and does not tell its load keeps what it has. Raises `PodsUnknown`.
    """
    found = pods.list()
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        costs = list(threads.map(partial(_cost_of, in_hand=in_hand), found))
    changed = [
        (pod, str(now)) for pod, now in zip(found, costs, strict=True) if now is not None and str(now) != pod.cost
    ]
    for pod, now in changed:
        pods.write(pod, now)
        _log.info("%s: %s, was %s", pod.name, now, pod.cost)
    return len(changed)


def run(pods: Pods, in_hand: InHand, interval_seconds: float, stop: Event) -> None:
    """Update every so often until `stop`; trouble with the cluster is said once and waited out."""
    said = None
    while not stop.is_set():
        try:
            update(pods, in_hand)
            said = None
        except PodsUnknown as error:
            if str(error) != said:
                _log.warning("%s", error)
            said = str(error)
        stop.wait(interval_seconds)


def _cost_of(pod: Pod, in_hand: InHand) -> int | None:
    if not pod.is_ready or pod.address is None:
        return _UNREADY_COST
    count = in_hand(pod.address)
    return None if count is None else cost(count)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", required=True, help="where the engine pods are")
    parser.add_argument("--selector", required=True, metavar="LABELS", help="which pods they are, as kubectl -l")
    parser.add_argument("--interval", type=float, default=5, metavar="SECONDS", help="between two looks (default: 5)")
    parser.add_argument(
        "--port",
        type=int,
        action="append",
        metavar="P",
        help="port with an engine's metrics, repeatable for the replicas of a cell (default: 30000)",
    )
    parser.add_argument("--once", action="store_true", help="one look, then end")


def run_with(args: argparse.Namespace) -> int:
    """Until SIGTERM or Ctrl-C; 1 where there is no cluster, or `--once` failed."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    in_hand = partial(requests_in_hand, ports=tuple(args.port or (30000,)), timeout_seconds=_ANSWER_SECONDS)
    try:
        pods = ClusterPods(args.namespace, args.selector)
        if args.once:
            update(pods, in_hand)
        else:
            run(pods, in_hand, args.interval, stop)
    except PodsUnknown as error:
        _log.error("%s", error)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m autoscale.deletion_cost", description=__doc__)
    add_options(parser)
    return run_with(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
