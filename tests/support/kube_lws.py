"""Reads a LeaderWorkerSet of leaderworkerset.x-k8s.io/v1 strictly; its pod templates are judged by the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.support.helm import Obj

_SPEC = {"replicas", "leaderWorkerTemplate", "rolloutStrategy", "startupPolicy", "networkConfig"}
_TEMPLATE = {"leaderTemplate", "workerTemplate", "size", "restartPolicy"}
_RESTARTS = {"RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"}
_STARTUPS = {"LeaderCreated", "LeaderReady"}


def lws_problems(document: Obj, judge: Callable[[Obj], list[str]]) -> list[str]:
    """`judge` takes a v1 PodTemplate. Only the fields that a serving group needs are known here."""
    spec = document["spec"]
    template = spec.get("leaderWorkerTemplate", {})
    found = [*_unknown("spec", spec, _SPEC), *_unknown("leaderWorkerTemplate", template, _TEMPLATE), *_values(spec)]
    for part in ("leaderTemplate", "workerTemplate"):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": part}, "template": template[part]}
        found += [f"{part}: {problem}" for problem in judge(pod)]
    return found


def _values(spec: Obj) -> Iterator[str]:
    template = spec["leaderWorkerTemplate"]
    if template.get("size", 1) < 2:
        yield "leaderWorkerTemplate.size: a group of one needs no LeaderWorkerSet"
    if template.get("restartPolicy") not in _RESTARTS:
        yield f"leaderWorkerTemplate.restartPolicy: {template.get('restartPolicy')}"
    if spec.get("startupPolicy", "LeaderCreated") not in _STARTUPS:
        yield f"startupPolicy: {spec['startupPolicy']}"
    strategy = spec.get("rolloutStrategy", {"type": "RollingUpdate"})
    yield from _unknown("rolloutStrategy", strategy, {"type", "rollingUpdateConfiguration"})
    if strategy["type"] != "RollingUpdate":
        yield f"rolloutStrategy.type: {strategy['type']}"
    rolling = strategy.get("rollingUpdateConfiguration", {"maxUnavailable": 1})
    yield from _unknown("rollingUpdateConfiguration", rolling, {"maxUnavailable", "maxSurge", "partition"})
    if rolling.get("maxUnavailable") == 0 and rolling.get("maxSurge", 0) == 0:
        yield "rollingUpdateConfiguration: maxUnavailable and maxSurge are both 0"


def _unknown(where: str, part: Obj, known: set[str]) -> Iterator[str]:
    if unknown := part.keys() - known:
        yield f"{where}: unknown {', '.join(sorted(unknown))}"
