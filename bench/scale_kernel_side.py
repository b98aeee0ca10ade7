"""One side of the kernel's benchmark, in a process of its own: a steady load on a simulated fleet, timed."""

from __future__ import annotations

import json
import sys
import time

from autoscale.engine_profile import ASSUMED_H100_8B
from autoscale.simulate.fleet import Requests
from autoscale.simulate.kernel import Kernel
from autoscale.simulate.traffic import constant
from loadtest.slo import PRESETS


def fleet(requests: Requests, replicas: int) -> Kernel:
    """An H100's assumed profile, at the chat SLO."""
    made = Kernel(ASSUMED_H100_8B, requests, PRESETS["chat"])
    made.add(replicas)
    return made


def main() -> None:
    """Replicas, requests per second and replica, seconds, rounds: prints CPU seconds to compile and per round."""
    replicas, seconds, rounds = int(sys.argv[1]), float(sys.argv[3]), int(sys.argv[4])
    begun = time.process_time()
    fleet(constant("chat", 5.0, 1.0, 0), 1).advance(60.0)
    compiled = time.process_time() - begun
    requests, took = constant("chat", float(sys.argv[2]) * replicas, seconds, 1), []
    for _ in range(rounds):
        made = fleet(requests, replicas)
        begun = time.process_time()
        made.advance(seconds + 120.0)
        took.append(time.process_time() - begun)
    done = made.sample()
    print(json.dumps({"compiled": compiled, "took": took, "requests": done.slo_total, "good": done.slo_good}))


if __name__ == "__main__":
    main()
