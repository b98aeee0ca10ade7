"""Which store a URL names, and what a wrong one is told: never with a part of it that may be a password."""

from __future__ import annotations

import pytest

from serving.adapters.stores import (
    DynamoTable,
    PostgresDatabase,
    SqliteFile,
    Target,
    create,
    describe,
    open_store,
    parse,
)
from serving.errors import SettingsError
from serving.settings import StateSettings

PG = "postgresql://ann:hunter2@db.example:5433/chat"
PG_TLS = f"{PG}?sslmode=require&application_name=x"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("sqlite:///chat.db", SqliteFile("chat.db")),
        ("sqlite:////var/lib/chat.db", SqliteFile("/var/lib/chat.db")),
        ("sqlite:////my%20state/%231%3F.db", SqliteFile("/my state/#1?.db")),
        (PG, PostgresDatabase(PG, "chat on db.example:5433")),
        (
            f"{PG}?sslmode=require&application_name=x",
            PostgresDatabase(PG_TLS, "chat on db.example:5433"),
        ),
        ("postgresql:///chat?host=/run/pg", PostgresDatabase("postgresql:///chat?host=/run/pg", "chat on /run/pg")),
        ("dynamodb://Chat_1.x-y?region=eu-west-1", DynamoTable("Chat_1.x-y", None, "eu-west-1")),
        ("dynamodb://chat?endpoint=http://127.0.0.1:8000&region=r", DynamoTable("chat", "http://127.0.0.1:8000", "r")),
    ],
)
def test_what_a_url_names(url: str, target: Target) -> None:
    assert parse(url) == target


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no such kind of store; it must be sqlite:///FILE, "),
        ("chat.db", "no such kind of store"),
        ("mysql://ann:hunter2@host/db", "no such kind of store"),
        ("sqlite:chat.db?hunter2", "is not a URL"),
        ("sqlite://chat.db", "has three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:////folder/", "names no file"),
        ("sqlite:///:memory:", "is not durable"),
        ("sqlite:///a.db?mode=hunter2", "no such parameter: mode"),
        ("sqlite:///a#1.db", "has a '#'"),
        ("postgresql://ann:hunter2@/chat", "names no host"),
        ("postgresql://ann:hunter2@host", "names no database"),
        ("postgresql://ann:hunter2@host/", "names no database"),
        ("postgresql://ann:hunter2@host:port/chat", "the port is not a number"),
        ("postgresql://ann:hun/ter2@host/chat", "the port is not a number"),
        ("postgresql://ann/hunter2@host/chat", "names no database"),
        ("postgresql://ann:hunter2@[::1/chat", "is not a URL"),
        ("postgresql://ann@host/chat?passwort=hunter2", "no such parameter: passwort; known: application_name, host, "),
        ("postgresql://ann@host/chat?sslmode=on&sslmode=off", "has a parameter twice"),
        ("dynamodb://", "names no table"),
        ("dynamodb://ab?region=r", "names no table"),
        ("dynamodb://chat/other?region=r", "names no table"),
        ("dynamodb://key:hunter2@chat?region=r", "names no table"),
        ("dynamodb://chat", "names no region"),
        ("dynamodb://chat?region=", "names no region"),
        ("dynamodb://chat?region=r&endpoint=127.0.0.1:8000", "endpoint must be an http:// or https:// URL"),
        ("dynamodb://chat?region=r&table=x", "no such parameter: table; known: endpoint, region"),
    ],
)
def test_a_wrong_url_names_the_setting_and_what_to_write(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse(url)

    assert str(raised.value).startswith("front.store: ")
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "ter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////var/chat.db", "the SQLite file /var/chat.db"),
        (PG, "the PostgreSQL database chat on db.example:5433"),
        ("dynamodb://chat?region=eu-west-1", "the DynamoDB table chat in eu-west-1"),
    ],
)
def test_a_store_is_described_without_its_password(url: str, said: str) -> None:
    assert describe(url) == said


@pytest.mark.anyio
async def test_a_server_that_is_not_there_stops_the_start_without_its_password() -> None:
    url = "postgresql://ann:hunter2@127.0.0.1:1/chat"
    for work in (create(url), open_store(url, StateSettings(store_timeout_seconds=1))):
        with pytest.raises(SettingsError) as raised:
            await work
        assert "hunter2" not in str(raised.value)
