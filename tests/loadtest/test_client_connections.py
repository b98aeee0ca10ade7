"""The client's connections and requests as servers see them: kept, replaced, over TLS, with the right fields."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadtest.client.answer import Answer, Ask
from loadtest.client.client import Client
from loadtest.client.faults import ClientError
from loadtest.slo import Fault
from tests.support.load_server import DONE, STREAM, STREAM_END, End, LoadServer, chunk, delta, document, head, stream
from tests.support.script import Script
from tests.support.scripted_engine import ScriptedEngine
from tests.support.waiting import eventually

USER = [{"role": "user", "content": "Say something."}]
ONE_TOKEN = stream(delta(content="a"))


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedEngine]:
    made = ScriptedEngine()
    yield made
    made.down()


def ask(client: Client, **options: Any) -> Answer:
    return client.ask(Ask(USER, 16, **options), time.perf_counter)


def client_of(url: str, key: str = "key") -> Client:
    return Client(url, key, "tiny")


def test_one_connection_serves_one_request_after_the_other() -> None:
    with LoadServer(ONE_TOKEN) as server:
        client = client_of(server.url)
        assert [ask(client).fault for _ in range(5)] == [Fault.NONE] * 5
        assert (server.connections, len(server.requests)) == (1, 5)


def test_refusals_and_documents_keep_their_connection_too() -> None:
    refusal = [document(429, b"busy", retry_after="1")]
    with LoadServer(refusal, [document(500, b"")], [document(200, b"{}")], ONE_TOKEN) as server:
        client = client_of(server.url)
        for _ in range(4):
            ask(client)
        assert (server.connections, len(server.requests)) == (1, 4)


def test_requests_at_once_have_a_connection_each() -> None:
    slow = [STREAM, chunk(delta(content="a")), 0.2, chunk(DONE), STREAM_END]
    with LoadServer(slow) as server:
        client = client_of(server.url)
        for _ in range(2):
            gevent.joinall([gevent.spawn(ask, client) for _ in range(3)], raise_error=True)
        assert (server.connections, len(server.requests)) == (3, 6)


def test_a_kept_connection_that_its_server_closed_is_replaced_unseen() -> None:
    with LoadServer(ONE_TOKEN) as server:
        client = client_of(server.url)
        ask(client)
        server.drop_connections()
        answer = ask(client)
        assert (answer.fault, server.connections, len(server.requests)) == (Fault.NONE, 2, 2)


def test_a_kept_connection_is_replaced_once_and_then_the_fault_is_told(engine: ScriptedEngine) -> None:
    engine.reset()
    client = client_of(f"{engine.url}/v1")
    assert ask(client).fault == Fault.NONE
    engine.kill_idle()
    engine.script = Script(fault="fin", at=-1)
    answer = ask(client)
    assert (answer.fault, answer.detail, len(engine.seen)) == (Fault.ERROR, "closed", 2)


def test_a_kept_connection_that_fails_after_the_first_byte_is_not_tried_again(engine: ScriptedEngine) -> None:
    engine.reset()
    client = client_of(f"{engine.url}/v1")
    ask(client)
    engine.script = Script(fault="rst", at=1)
    answer = ask(client)
    assert (answer.fault, answer.detail, len(engine.seen)) == (Fault.ERROR, "reset", 2)


def test_a_connection_given_up_in_mid_answer_is_not_used_again(engine: ScriptedEngine) -> None:
    engine.reset()
    engine.next(Script(fault="hang", at=2))
    client = client_of(f"{engine.url}/v1")
    before = engine.connections
    assert ask(client, end_by=time.perf_counter() + 0.2).fault == Fault.TIMEOUT
    assert ask(client).fault == Fault.NONE
    assert engine.connections == before + 2
    eventually(lambda: engine.seen[0].left_at, what="the client to leave")


def test_a_connection_whose_end_is_announced_is_not_kept(engine: ScriptedEngine) -> None:
    engine.reset()
    engine.script = Script(close="announced")
    client = client_of(f"{engine.url}/v1")
    before = engine.connections
    assert [ask(client).fault for _ in range(3)] == [Fault.NONE] * 3
    assert engine.connections == before + 3
    assert len(engine.seen) == 3


def test_a_closed_client_closes_its_idle_connections(engine: ScriptedEngine) -> None:
    engine.reset()
    client, others = client_of(f"{engine.url}/v1"), set(engine.open)
    ask(client)
    (connection,) = engine.open - others
    client.close()
    eventually(lambda: connection not in engine.open, what="the connection to end")


def test_the_request_says_what_was_asked_and_its_body_fields_win() -> None:
    with LoadServer(ONE_TOKEN) as server:
        client = client_of(server.url, key="sk-1")
        ask(client, headers={"X-Session-Id": "s-1"}, body={"ignore_eos": True, "max_tokens": 3})
        fields, body = server.requests[0]
        assert fields[":line"] == "POST /v1/chat/completions HTTP/1.1"
        assert fields["host"] == f"127.0.0.1:{server.port}"
        assert (fields["authorization"], fields["x-session-id"]) == ("Bearer sk-1", "s-1")
        assert body == {
            "model": "tiny",
            "messages": USER,
            "max_tokens": 3,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def test_without_a_key_no_authorization_is_sent() -> None:
    with LoadServer(ONE_TOKEN) as server:
        ask(client_of(server.url, key=""))
        assert "authorization" not in server.requests[0][0]


def test_interim_answers_are_passed_over() -> None:
    early = head(103, link="</style.css>")
    with LoadServer([early, early, *ONE_TOKEN]) as server:
        client = client_of(server.url)
        assert [ask(client).fault for _ in range(2)] == [Fault.NONE] * 2
        assert server.connections == 1


def test_an_ipv6_address_is_a_host() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with LoadServer(ONE_TOKEN, host="::1") as server:
        assert ask(client_of(server.url)).fault == Fault.NONE
        assert server.requests[0][0]["host"] == f"[::1]:{server.port}"


def test_a_name_is_tried_at_each_of_its_addresses() -> None:
    """localhost is ::1 too on most machines, where nobody listens."""
    with LoadServer(ONE_TOKEN) as server:
        assert ask(client_of(f"http://localhost:{server.port}/v1")).fault == Fault.NONE


def test_models_are_listed_with_what_is_told_of_them(engine: ScriptedEngine) -> None:
    engine.reset()
    assert client_of(f"{engine.url}/v1/").models() == [{"id": "tiny", "max_model_len": 2048}]
    with LoadServer([document(200, b'{"data":[{"id":"a"},{"id":"b","max_model_len":null}]}')]) as server:
        assert client_of(server.url).models() == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (document(401, b""), "API key"),
        (document(404, b"{}"), "404.*/v1"),
        (document(200, b"<html>"), "no list of models"),
        (b"", "closed"),
    ],
)
def test_models_that_cannot_be_listed_are_an_error_with_a_hint(answer: bytes, said: str) -> None:
    with LoadServer([answer, End.CLOSE]) as server, pytest.raises(ClientError, match=said):
        client_of(server.url).models()


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http:///v1", "http://host:port", "http://h/v1?a=b"]
)
def test_a_base_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ClientError, match="base URL"):
        client_of(url)


def test_a_field_of_two_lines_is_refused() -> None:
    with pytest.raises(ClientError, match="one line"):
        client_of("http://127.0.0.1:1/v1", key="sk\r\nx: y")


def test_https_with_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = own_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with LoadServer(ONE_TOKEN, tls=server_context(certificate)) as server:
        client = client_of(server.url)
        answers = [ask(client, keep_text=True) for _ in range(2)]
        assert [(answer.fault, answer.text) for answer in answers] == [(Fault.NONE, "a")] * 2
        assert server.connections == 1


def test_https_with_a_certificate_that_nobody_vouches_for_is_an_error(tmp_path: Path) -> None:
    with LoadServer(ONE_TOKEN, tls=server_context(own_certificate(tmp_path))) as server:
        assert ask(client_of(server.url)).detail == "tls"
        assert server.requests == []


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def own_certificate(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "load server")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "server.pem"
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path
