"""How a replica finds its Redis: what it accepts, what stops its start, what does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.errors import SettingsError
from tests.contract.values import KEY
from tests.support.hot_copies import copied, turn_without_redis
from tests.support.redis_replica import QUICK, replica, settled
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
# Far above what a call may take, far below what a hanging one would.
PROMPT_SECONDS = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


async def test_a_server_that_comes_later_is_used_then(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    async with replica(server.url, QUICK) as here:
        assert not here.is_up
        await turn_without_redis(here.hot, 1)
        with server:
            await settled(here.hot)
            await copied(here.hot, 2)


async def test_a_server_that_takes_connections_and_says_nothing_does_not_hold_up_the_start(server: RedisServer) -> None:
    server.freeze()
    async with asyncio.timeout(PROMPT_SECONDS), replica(server.url, QUICK) as here:
        assert not here.is_up
        await turn_without_redis(here.hot, 1)
    async with replica(server.url, QUICK) as here:
        server.thaw()
        await settled(here.hot)


async def test_a_password_is_sent_and_a_wrong_one_stops_the_start(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="se cret") as server:
        at = f"127.0.0.1:{server.port}"
        async with replica(f"redis://:se%20cret@{at}/3", QUICK) as here:
            await settled(here.hot)
        for url in (f"redis://{at}", f"redis://:other@{at}", f"redis://user:other@{at}", f"redis://:se%20cret@{at}/99"):
            with pytest.raises(SettingsError, match=r"front\.redis: the server refuses"):
                async with replica(url, QUICK):
                    pass


async def test_tls_is_spoken_and_a_stranger_s_certificate_is_not_trusted(server: RedisServer, tmp_path: Path) -> None:
    certificate, context = certified(tmp_path)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(*server.address)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    async with await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context) as listening:
        url = f"rediss://localhost:{listening.sockets[0].getsockname()[1]}/0"
        async with replica(f"{url}?ssl_ca_certs={certificate}", QUICK) as here:
            await settled(here.hot)
        async with replica(url, QUICK) as here:
            assert not here.is_up
        with pytest.raises(SettingsError, match="TLS"):
            async with replica(f"{url}?ssl_ca_certs={tmp_path}/missing", QUICK):
                pass


def certified(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine, signed by itself, and what a server needs of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (path := folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_unix_socket_serves_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("r")
    with RedisServer(folder, "--save", "", "--unixsocket", str(folder / "s")):
        async with replica(f"unix://{folder}/s", QUICK) as here:
            await settled(here.hot)


async def test_a_server_that_is_too_old_stops_the_start() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = b"# Server\r\nredis_version:6.0.16\r\nrun_id:abc\r\n"
        while await reader.read(65536):
            writer.write(b"+OK\r\n$%d\r\n%b\r\n" % (len(told), told) + b"$1\r\nx\r\n" * 9)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(SettingsError, match=r"Redis 6\.0\.16; 6\.2 or later"):
            async with replica(f"redis://127.0.0.1:{port}", QUICK):
                pass


@pytest.mark.parametrize("url", ["http://x", "redis://h?typo=1", "redis://h/0?db=x", "unix://", "redis://h:99999"])
async def test_a_wrong_url_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"front\.redis"):
        async with replica(url, QUICK):
            pass


async def test_what_is_not_redis_is_given_up_without_harm() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with asyncio.timeout(PROMPT_SECONDS), replica(f"redis://127.0.0.1:{port}", QUICK) as here:
            assert not here.is_up


async def test_all_of_a_session_is_in_one_slot_of_a_cluster(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "", "--cluster-enabled", "yes") as server:
        server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        async with replica(server.url, QUICK) as here:
            await settled(here.hot)
            await copied(here.hot, 2)
            writer = here.streams.open(KEY)
            writer.end(b"data: 1\n\n", 1)
            found = await here.streams.read(KEY, -1)
            assert found is not None
            assert found.ended
