"""Asks a Prometheus, as KEDA would; it knows no query."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

_TIMEOUT_SECONDS = 10.0


class PrometheusError(Exception):
    """It cannot be reached, or refuses the query; the message says which."""


class Series(NamedTuple):
    """One series of an answer. `points` are (Unix seconds, value); an instant query's has one."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The newest."""
        return self.points[-1][1]


class Prometheus:
    """`address` is its base URL, e.g. http://prometheus.monitoring.svc:9090; `token` a bearer token, or None."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def instant(self, query: str, at: float | None = None) -> list[Series]:
        """What holds now, or at a Unix time. Raises `PrometheusError`."""
        parameters = {"query": query} if at is None else {"query": query, "time": str(math.floor(at))}
        return _series(self._get("query", parameters))

    def range(self, query: str, start: float, end: float, step_seconds: float) -> list[Series]:
        """Values at every step from `start` to `end`. Raises `PrometheusError`."""
        parameters = {"query": query, "start": str(start), "end": str(end), "step": str(step_seconds)}
        return _series(self._get("query_range", parameters))

    def _get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            request = urllib.request.Request(url, headers=self._headers)
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{self.address} refuses the query ({error.code}): {_reason(error)}") from None
        except (KeyError, TypeError):
            raise PrometheusError(f"{self.address} answers, but not as a Prometheus does") from None
        except (OSError, ValueError) as error:
            raise PrometheusError(f"{self.address} does not answer: {getattr(error, 'reason', error)}") from None
        return data


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return error.reason


def _series(data: dict[str, Any]) -> list[Series]:
    if data["resultType"] in ("scalar", "string"):
        return [Series({}, (_point(data["result"]),))]
    return [
        Series(one["metric"], tuple(_point(point) for point in one.get("values") or [one["value"]]))
        for one in data["result"]
    ]


def _point(point: list[Any]) -> tuple[float, float]:
    return float(point[0]), float(point[1])
