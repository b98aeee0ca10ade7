"""What is said on a new connection to Redis before anything else, and whether the server will do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from serving.adapters.redis.address import Address
from serving.adapters.redis.link import Call, Command, Link
from serving.errors import SettingsError, StoreDown

_KEY = "front.redis"
_OLDEST = (6, 2)
_WRONG_SETTING = ("WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH", "ERR DB index", "ERR Client sent AUTH")


class Greeting(NamedTuple):
    """`run` names one life of one server; empty where it does not tell."""

    run: str
    version: str


async def greet(link: Link, address: Address, more: Iterable[Command]) -> Greeting:
    """Authenticate, choose the database, send `more`.

    Raises `SettingsError` where the URL cannot work with this server or the server is too old, else `StoreDown`.
    """
    first: list[Command] = []
    if address.password is not None:
        who = (address.username,) if address.username else ()
        first.append(("AUTH", *who, address.password))
    if address.database:
        first.append(("SELECT", address.database))
    required = [_send(link, command) for command in first]
    named, told = _send(link, ("CLIENT", "SETNAME", "tidegate")), _send(link, ("INFO", "server"))
    required += [_send(link, command) for command in more]
    await named
    await told
    for call in required:
        await call
    _check([told, *required])
    return _greeting(told.reply)


def _send(link: Link, command: Command) -> Call:
    call = Call(command)
    link.call(call)
    return call


def _check(calls: list[Call]) -> None:
    for call in calls:
        reply = call.reply
        if isinstance(reply, StoreDown):
            raise reply
        text = str(reply) if isinstance(reply, Exception) else ""
        if text.startswith(_WRONG_SETTING):
            raise SettingsError(_KEY, f"the server refuses {call.command[0]!s}: {text}")
        # A user who may not ask for INFO may still use the rest.
        if text and not (call.command[0] == "INFO" and text.startswith("NOPERM")):
            raise StoreDown(f"{call.command[0]!s}: {text}")


def _greeting(told: object) -> Greeting:
    text = told.decode(errors="replace") if isinstance(told, bytes) else ""
    found = dict(re.findall(r"^(redis_version|run_id):(\S*)", text, re.MULTILINE))
    version = found.get("redis_version", "")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers and numbers < _OLDEST:
        raise SettingsError(_KEY, f"the server is Redis {version}; 6.2 or later is needed, or Valkey")
    return Greeting(found.get("run_id", ""), version)
