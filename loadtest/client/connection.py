"""Connections to one server: made, kept while idle, handed out; it knows no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket, ssl

from loadtest.client.faults import ClientError, WireFault

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Where a base URL points: `path` is its own, without a slash at the end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, base_url: str) -> Origin:
        """Raises `ClientError` for what is no http or https URL."""
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError as error:
            raise ClientError(f"base URL {base_url!r}: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ClientError(f"base URL {base_url!r} is none: write it as http://host:port/v1")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(eq=False)
class Connection:
    """`used`: it has carried an answer before, so its server may have closed it meanwhile."""

    sock: Any
    used: bool = False

    def close(self) -> None:
        """End it now; idempotent."""
        self.sock.close()


class Connections:
    """The idle connections of one origin, last used first, and the way to new ones."""

    def __init__(self, origin: Origin, connect_seconds: float) -> None:
        self._origin, self._connect_seconds = origin, connect_seconds
        self._idle: list[Connection] = []
        self._addresses: list[Any] = []
        self._tls = ssl.create_default_context() if origin.scheme == "https" else None
        self._closed = False

    def take(self) -> Connection:
        """An idle connection, else a new one."""
        return self._idle.pop() if self._idle else self.new()

    def new(self) -> Connection:
        """Raises `WireFault` when none can be had within `connect_seconds`."""
        with gevent.Timeout(self._connect_seconds, WireFault("connect_timeout")):
            try:
                return Connection(self._connect())
            except ssl.SSLError as error:
                raise WireFault("tls") from error
            except OSError as error:
                raise WireFault("connect") from error

    def give_back(self, connection: Connection) -> None:
        """Keep it for another request."""
        connection.used = True
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle now, and the rest as it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> Any:
        # Asked once: a look-up costs a thread's turn. It is asked again when none of the addresses answers.
        addresses = self._addresses or socket.getaddrinfo(self._origin.host, self._origin.port, 0, socket.SOCK_STREAM)
        self._addresses = []
        for position, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                self._join(sock, address)
                sock = self._secured(sock)
            except BaseException as error:
                sock.close()
                if not isinstance(error, OSError) or position == len(addresses) - 1:
                    raise
            else:
                self._addresses = addresses[position:] + addresses[:position]
                return sock
        raise WireFault("connect")

    @staticmethod
    def _join(sock: Any, address: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(address)

    def _secured(self, sock: Any) -> Any:
        return self._tls.wrap_socket(sock, server_hostname=self._origin.host) if self._tls else sock
