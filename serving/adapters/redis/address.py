"""Where a Redis is, read from its URL, and how to open a socket to it; it speaks no command."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from serving.errors import SettingsError

P = TypeVar("P", bound=asyncio.Protocol)
_KEY = "front.redis"
_OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"})


@dataclass(frozen=True)
class Address:
    """A server, a database in it, and who asks."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = None
    database: int = 0

    async def open(self, protocol: Callable[[], P]) -> P:
        """Raises `OSError`; the caller bounds the time."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            return (await loop.create_unix_connection(protocol, self.path))[1]
        name = self.host if self.tls is not None else None
        return (await loop.create_connection(protocol, self.host, self.port, ssl=self.tls, server_hostname=name))[1]

    def __str__(self) -> str:
        """Without the password: it enters the log."""
        return self.path or f"{self.host}:{self.port}"


def address(url: str) -> Address:
    """`redis://[user:password@]host:port/db`, `rediss://` or `unix:///path`. Raises `SettingsError`."""
    # It takes 0.15 s to import, which a front without Redis need not pay.
    from redis.connection import parse_url

    try:
        parts: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise SettingsError(_KEY, str(error)) from None
    kind = parts.pop("connection_class", None)
    options = parts.keys() - {"host", "port", "path", "username", "password"}
    if unknown := options - _OPTIONS:
        raise SettingsError(_KEY, f"no such option: {min(unknown)}; known: {', '.join(sorted(_OPTIONS))}")
    if url.startswith("unix:") and not parts.get("path"):
        raise SettingsError(_KEY, "a unix:// URL names no socket")
    return Address(
        host=parts.get("host", Address.host),
        port=parts.get("port", Address.port),
        path=parts.get("path"),
        tls=_tls(parts) if kind is not None and kind.__name__ == "SSLConnection" else None,
        username=parts.get("username"),
        password=parts.get("password"),
        database=parts.get("db", 0),
    )


def _tls(parts: dict[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
        if parts.get("ssl_certfile"):
            context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    except OSError as error:
        raise SettingsError(_KEY, f"TLS: {error}") from None
    if parts.get("ssl_check_hostname") is False or parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
    if parts.get("ssl_cert_reqs") == "none":
        context.verify_mode = ssl.CERT_NONE
    return context
