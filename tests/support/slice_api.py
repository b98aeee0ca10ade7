"""A small server that speaks the part of Kubernetes' API that lists and watches EndpointSlices, over TLS.

It is not Kubernetes: tests/cluster holds the same client against a real API server.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.adapters.kubernetes.access import Access
from tests.support.ports import free_port

Slice = dict[str, Any]


def endpoint(address: str, *, pod: str | None = None, **conditions: bool) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "namespace": "models", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": conditions, **target}


def slice_of(service: str, *endpoints: dict[str, Any], name: str = "", family: str = "IPv4", **ports: int) -> Slice:
    return {
        "metadata": {"name": name or f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
        "addressType": family,
        "endpoints": list(endpoints) or None,
        "ports": [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports.items()],
    }


class SliceApiServer:
    """`folder` becomes a service account's folder. `tokens` are those that it lets in."""

    def __init__(self, folder: Path, versions: tuple[str, ...] = ("v1", "v1beta1")) -> None:
        self.versions = versions
        self.tokens = {"first"}
        self.refusal: type[web.HTTPException] | None = None
        self.asked = 0
        self.lists = 0
        self.watches: list[str] = []
        self.paths: list[str] = []
        self.access = Access(f"https://127.0.0.1:{free_port()}", folder)
        self._version = 100
        self._oldest = 100
        self._slices: dict[str, Slice] = {}
        self._events: list[tuple[int, str, Slice]] = []
        self._news = asyncio.Event()
        self._ending = False
        self._runner: web.AppRunner | None = None
        self._tls = _certificate(folder)
        (folder / "token").write_text("first\n", encoding="ascii")
        (folder / "namespace").write_text("models", encoding="ascii")

    async def up(self) -> None:
        app = web.Application()
        app.router.add_get("/apis/discovery.k8s.io", self._group)
        app.router.add_get("/apis/discovery.k8s.io/{version}/namespaces/{namespace}/endpointslices", self._slices_asked)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        port = int(self.access.url.rpartition(":")[2])
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=self._tls).start()

    async def down(self) -> None:
        """Watches break; the port refuses."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            self._wake()
            await runner.cleanup()

    def put(self, one: Slice) -> None:
        kind = "MODIFIED" if one["metadata"]["name"] in self._slices else "ADDED"
        self._happened(kind, one)
        self._slices[one["metadata"]["name"]] = one

    def delete(self, name: str) -> None:
        self._happened("DELETED", self._slices.pop(name))

    def bookmark(self) -> None:
        """A version that only a bookmark tells of."""
        self._happened("BOOKMARK", {"metadata": {"name": ""}})

    def compact(self) -> None:
        """Changes up to now cannot be watched for any more, and running watches end."""
        self._oldest = self._version = self._version + 1
        self._events.clear()
        self._wake()

    def put_unseen(self, one: Slice) -> None:
        """A change that no watch tells of."""
        self._slices[one["metadata"]["name"]] = one

    def cut(self) -> None:
        """Every running watch ends in order, as after its timeoutSeconds."""
        self._wake()

    def _happened(self, kind: str, one: Slice) -> None:
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, kind, orjson.loads(orjson.dumps(one))))
        self._wake(end=False)

    def _wake(self, *, end: bool = True) -> None:
        self._ending = end
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _group(self, request: web.Request) -> web.Response:
        self._admit(request)
        groups = [{"groupVersion": f"discovery.k8s.io/{one}", "version": one} for one in self.versions]
        return web.json_response({"kind": "APIGroup", "versions": groups})

    async def _slices_asked(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.paths.append(request.path)
        label = request.query["labelSelector"].partition("=")[2]
        if "watch" in request.query:
            return await self._watch(request, label)
        self.lists += 1
        found = [one for one in self._slices.values() if _service(one) == label]
        return web.json_response({"metadata": {"resourceVersion": str(self._version)}, "items": found})

    async def _watch(self, request: web.Request, label: str) -> web.StreamResponse:
        since = request.query["resourceVersion"]
        self.watches.append(since)
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        seen = int(since)
        while True:
            news = self._news
            if seen < self._oldest:
                gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                await response.write(orjson.dumps({"type": "ERROR", "object": gone}) + b"\n")
                return response
            for version, kind, one in [event for event in self._events if event[0] > seen]:
                seen = version
                if kind == "BOOKMARK" or _service(one) == label:
                    await response.write(orjson.dumps({"type": kind, "object": one}) + b"\n")
            await news.wait()
            if self._ending and seen >= self._oldest:
                return response

    def _admit(self, request: web.Request) -> None:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal()
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise web.HTTPUnauthorized


def _service(one: Slice) -> str | None:
    return (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name")


def _certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slice-api")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
    return context
