"""The proxy does to TCP what its modes say, as a client sees it and as the server behind it sees it."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.chaos_proxy import ChaosProxy
from tests.support.ports import free_port
from tests.support.waiting import eventually


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets, and remembers it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.got = b""
        super().__init__(("127.0.0.1", free_port()), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        try:
            while data := self.request.recv(4096):
                self.server.got += data
                self.request.sendall(data)
        except OSError:
            return


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[ChaosProxy]:
    host, port = echo.server_address[:2]
    with ChaosProxy((str(host), int(port))) as proxy:
        yield proxy


def connect(proxy: ChaosProxy) -> socket.socket:
    return socket.create_connection(proxy.address, timeout=2)


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return client.recv(4096)


def is_silent(client: socket.socket, seconds: float = 0.2) -> bool:
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        client.settimeout(2)
        return True
    return False


def test_passes_bytes_both_ways_and_counts_them(proxy: ChaosProxy) -> None:
    with connect(proxy) as client:
        assert ask(client, b"hello") == b"hello"
    assert (proxy.counts.accepted, proxy.counts.bytes_up, proxy.counts.bytes_down) == (1, 5, 5)
    eventually(lambda: proxy.connections == 0, what="the connection's end")


def test_a_refused_client_is_reset_and_open_connections_go_on(proxy: ChaosProxy) -> None:
    with connect(proxy) as old:
        ask(old, b"a")
        proxy.switch("refuse")
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)
        assert ask(old, b"b") == b"b"
    assert proxy.counts.refused == 1


def test_a_server_that_is_away_is_a_reset(proxy: ChaosProxy) -> None:
    proxy.upstream = ("127.0.0.1", free_port())
    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)
    assert proxy.counts.unreachable == 1


def test_cut_resets_every_open_connection_and_takes_new_ones(proxy: ChaosProxy) -> None:
    with connect(proxy) as first, connect(proxy) as second:
        ask(first, b"a")
        ask(second, b"b")
        assert proxy.cut() == 2
        for client in (first, second):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    with connect(proxy) as client:
        assert ask(client, b"c") == b"c"


def test_a_black_hole_takes_everything_and_a_connection_that_lost_bytes_ends_with_it(
    proxy: ChaosProxy, echo: Echo
) -> None:
    with connect(proxy) as idle, connect(proxy) as client:
        ask(idle, b"a")
        ask(client, b"b")
        proxy.switch("black_hole")
        client.sendall(b"lost")
        assert is_silent(client)
        with connect(proxy) as late:
            late.sendall(b"lost too")
            assert is_silent(late)
        proxy.switch("pass")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert ask(idle, b"c") == b"c"
    assert b"lost" not in echo.got
    assert proxy.counts.bytes_swallowed >= 4


def test_half_open_delivers_the_request_and_loses_the_answer(proxy: ChaosProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        proxy.switch("half_open")
        client.sendall(b"write")
        assert is_silent(client)
    assert echo.got == b"write"


def test_stalled_bytes_arrive_late_though_their_sender_has_left(proxy: ChaosProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        ask(client, b"a")
        proxy.switch("stall")
        client.sendall(b"late")
        assert is_silent(client)
    assert echo.got == b"a"
    proxy.switch("pass")
    eventually(lambda: echo.got == b"alate", what="the late bytes")


def test_slow_waits_per_chunk_and_by_size(proxy: ChaosProxy) -> None:
    with connect(proxy) as client:
        proxy.switch("slow", delay_seconds=0.1, bytes_per_second=1000)
        begun = time.monotonic()
        assert ask(client, b"x" * 100) == b"x" * 100
        assert time.monotonic() - begun >= 0.4
