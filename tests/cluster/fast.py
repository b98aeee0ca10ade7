"""A release whose cells are scripted and fast: a chat of 40 tokens takes 0.8 s, 8 go at once in a cell.

So one cell decodes 400 tokens a second at most, and 20 people who never stop asking need two and a half.
"""

from __future__ import annotations

from typing import Any

from tests.cluster.chatters import Chat
from tests.cluster.kube import Kube

NAME, MODEL = "chat", "fast"
ENGINE = f"{NAME}-engine-{MODEL}"
FRONT = f"{NAME}-front"
Values = dict[str, Any]


def values(*, least: int = 1, most: int = 4, cooldown_seconds: int = 5, **model: Any) -> Values:
    """A chart's values: everything small, every time short. `model` is merged into the model's entry."""
    small = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {}}
    return {
        "images": {"engine": {"tag": "scripted"}},
        "front": {
            "replicas": 2,
            "autoscaling": {"enabled": False},
            "drainDelaySeconds": 2,
            "drainSeconds": 60,
            "resources": small,
            "settings": {"heartbeat_seconds": 1},
        },
        "models": [
            {
                "name": MODEL,
                "source": "scripted",
                "startSeconds": 60,
                "sharedMemory": "64Mi",
                "resources": small,
                "drain": {"preStopSeconds": 2, "streamSeconds": 60},
                "scaling": {"minReplicas": least, "maxReplicas": most, "parameters": _parameters()},
                **model,
            }
        ],
        "scaling": {
            "prometheusAddress": "http://prometheus.monitoring.svc:9090",
            "pollingInterval": 1,
            "cooldownPeriod": cooldown_seconds,
            "deletionCost": {"intervalSeconds": 1, "resources": small},
        },
        "keda": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5, "policies": _at_once()}}},
        "store": {"postgres": {"size": "1Gi", "resources": small}},
        "redis": {"resources": small, "maxMemory": "32mb"},
        "monitoring": {"interval": "1s"},
    }


def chat(kube: Kube, *, output_tokens: int = 40) -> Chat:
    """With the release's own key, through the front's Service."""
    return Chat(kube.service_address(FRONT), kube.secret(f"{NAME}-keys")["api-key"], MODEL, output_tokens)


def _parameters() -> Values:
    return {
        "window": "10s",
        "prefill_tokens_per_second": 100000,
        "decode_tokens_per_second": 400,
        # People wait for their answers, so full cells hide the demand; what shows of it must leave the HPA's 10 %.
        "headroom": 0.85,
        "drain_seconds": 10,
        "ttft_seconds": 5,
    }


def _at_once() -> list[Values]:
    return [{"type": "Percent", "value": 100, "periodSeconds": 5}]
