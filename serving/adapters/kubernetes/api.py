"""Two questions to the Kubernetes API: list a Service's EndpointSlices, and what changed since. It keeps nothing.

aiohttp, not Kubernetes' client: two GETs do not need 55 MB of generated classes in every front.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, NamedTuple

import aiohttp
import orjson

from serving.adapters.kubernetes.access import Access
from serving.adapters.kubernetes.slices import Service, Slice

_GROUP = "/apis/discovery.k8s.io"
_GONE = 410
_ANSWER_SECONDS = 10.0
# A server that went without a word is noticed after the longer of these plus `_ANSWER_SECONDS`.
_WATCH_SECONDS = (25.0, 35.0)


class Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {said}")
        self.status = status


class Gone(Exception):
    """The changes since that version are not kept any more: list again."""


class Listed(NamedTuple):
    """The slices of a Service at `version`; `path` is where to watch for what comes after it."""

    path: str
    version: str
    slices: tuple[Slice, ...]


class Change(NamedTuple):
    """`kind`: ADDED, MODIFIED, DELETED, or BOOKMARK, which only brings a newer version."""

    kind: str
    slice: Slice

    @property
    def version(self) -> str:
        return str(self.slice["metadata"]["resourceVersion"])


class SliceApi:
    """`uniform(a, b)` spreads the ends of watches, so that fronts do not come back all at once."""

    def __init__(
        self, access: Access, session: aiohttp.ClientSession, uniform: Callable[[float, float], float]
    ) -> None:
        self._access = access
        self._session = session
        self._uniform = uniform
        self._trust: ssl.SSLContext | bool = True

    async def list(self, of: Service) -> Listed:
        """Raises `Refused`, and what aiohttp raises where nobody answers."""
        # Read anew: a cluster's certificates are replaced as well, and a failure leads here.
        self._trust = self._access.trust()
        path = f"{_GROUP}/{await self._version()}/namespaces/{of.namespace}/endpointslices"
        body = await self._json(path, _selector(of))
        return Listed(path, body["metadata"]["resourceVersion"], tuple(body.get("items") or ()))

    async def watch(self, of: Service, path: str, version: str) -> AsyncGenerator[Change, None]:
        """What happens after `version`, for half a minute. Raises as `list` does, and `Gone`."""
        seconds = self._uniform(*_WATCH_SECONDS)
        query = {
            **_selector(of),
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
        }
        async with self._get(path, query, seconds + _ANSWER_SECONDS) as response:
            await _require_ok(response)
            async for line in _lines(response.content):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise _failure(event["object"])
                yield Change(event["type"], event["object"])

    async def _version(self) -> str:
        """v1 where the cluster has it (1.21 and later), else the best that it has."""
        versions = [one["version"] for one in (await self._json(_GROUP, {}))["versions"]]
        return "v1" if "v1" in versions else str(versions[0])

    async def _json(self, path: str, query: dict[str, str]) -> Any:
        async with self._get(path, query, _ANSWER_SECONDS) as response:
            await _require_ok(response)
            return orjson.loads(await response.read())

    def _get(self, path: str, query: dict[str, str], seconds: float) -> Any:
        return self._session.get(
            self._access.url + path,
            params=query,
            headers={"authorization": self._access.bearer(), "accept": "application/json"},
            ssl=self._trust,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=_ANSWER_SECONDS),
        )


def _selector(of: Service) -> dict[str, str]:
    return {"labelSelector": f"kubernetes.io/service-name={of.name}"}


async def _require_ok(response: aiohttp.ClientResponse) -> None:
    if response.status == _GONE:
        raise Gone
    if response.status != 200:
        raise Refused(response.status, (await response.text(errors="replace"))[:300])


def _failure(status: dict[str, Any]) -> Exception:
    code = int(status.get("code") or 0)
    return Gone() if code == _GONE else Refused(code, str(status.get("message"))[:300])


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines, however long: a slice of a thousand endpoints does not fit into aiohttp's own line buffer."""
    rest = b""
    async for piece in content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
