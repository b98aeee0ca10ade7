"""The keys a front accepts, read once from the settings and a YAML file; in memory only their SHA-256."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import yaml

from serving.errors import InvalidRequest, SettingsError
from serving.front import keys
from serving.front.auth import Caller
from serving.front.state import history
from serving.front.state.history import Strategy

_ENTRY_FIELDS = frozenset(
    {
        "name",
        "team",
        "key",
        "sha256",
        "models",
        "requests_per_minute",
        "tokens_per_minute",
        "expires",
        "history",
        "slo_class",
    }
)


class KnownKeys:
    """Callers by the raw SHA-256 of their key."""

    def __init__(self, callers: dict[bytes, Caller]) -> None:
        self._callers = callers

    def find(self, digest: bytes) -> Caller | None:
        return self._callers.get(digest)

    def teams(self) -> set[str]:
        return {caller.team for caller in self._callers.values()}


def read(plain: Iterable[str], keys_file: str | None, salt_secret: bytes, slo_classes: Collection[str]) -> KnownKeys:
    """Raises `SettingsError` naming the entry that is wrong."""
    callers: dict[bytes, Caller] = {}
    for index, key in enumerate(plain):
        where = f"front.api_keys[{index}]"
        _check_plain(key, where)
        callers[_digest(key)] = _caller(
            {"name": "default", "team": "default"}, _digest(key), keys.shown(key), salt_secret
        )
    for index, entry in enumerate(_entries(keys_file) if keys_file else ()):
        where = f"front.keys_file: keys[{index}]"
        digest, shown = _identity(entry, where)
        try:
            _check_class(entry.get("slo_class"), slo_classes)
            callers[digest] = _caller(entry, digest, shown, salt_secret)
        except (TypeError, ValueError) as error:
            raise SettingsError(where, str(error)) from None
    if not callers:
        raise SettingsError("front.api_keys", "no key is configured: `tidegate key` makes one, --api-key sets it")
    return KnownKeys(callers)


def _entries(path: str) -> list[dict[str, Any]]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError("front.keys_file", f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError("front.keys_file", f"{path} is not a YAML file") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError("front.keys_file", f"{path} must hold `keys:` with a list of entries")
    return entries


def _identity(entry: dict[str, Any], where: str) -> tuple[bytes, str]:
    unknown = entry.keys() - _ENTRY_FIELDS
    if unknown:
        raise SettingsError(f"{where}.{min(unknown)}", f"no such field; known: {', '.join(sorted(_ENTRY_FIELDS))}")
    if isinstance(entry.get("key"), str):
        _check_plain(entry["key"], f"{where}.key")
        return _digest(entry["key"]), keys.shown(entry["key"])
    try:
        digest = bytes.fromhex(str(entry["sha256"]))
    except (KeyError, ValueError):
        raise SettingsError(f"{where}.sha256", "must be the hex SHA-256 of a key; `tidegate key` prints it") from None
    if len(digest) != hashlib.sha256().digest_size:
        raise SettingsError(f"{where}.sha256", "must have 64 hex digits")
    return digest, f"#{digest.hex()[:6]}"


def _caller(entry: dict[str, Any], digest: bytes, shown: str, salt_secret: bytes) -> Caller:
    team = str(entry.get("team") or "default")
    models = entry.get("models") or []
    if not isinstance(models, list):
        raise TypeError("models must be a list of model names")
    return Caller(
        key_id=digest.hex()[:16],
        key_shown=shown,
        team=team,
        cache_salt=hmac.new(salt_secret, team.encode(), hashlib.sha256).hexdigest(),
        models=frozenset(str(model) for model in models),
        requests_per_minute=_limit(entry, "requests_per_minute"),
        tokens_per_minute=_limit(entry, "tokens_per_minute"),
        expires_at=_expiry(entry.get("expires")),
        history=_history(entry.get("history")),
        slo_class=entry.get("slo_class"),
    )


def _check_class(value: Any, known: Collection[str]) -> None:
    if value is not None and value not in known:
        raise ValueError(f"slo_class must be one of front.slo: {', '.join(known)}")


def _history(value: Any) -> Strategy | None:
    try:
        return None if value is None else history.parse(value, "history")
    except InvalidRequest as error:
        raise ValueError(error.message) from None


def _limit(entry: dict[str, Any], name: str) -> int | None:
    value = entry.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{name} must be a positive integer")
    return value


def _expiry(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, date):
        raise ValueError("expires must be a date such as 2027-01-31")
    moment = value if isinstance(value, datetime) else datetime.combine(value, time.min)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _check_plain(key: str, where: str) -> None:
    if key.lower() in keys.WELL_KNOWN:
        raise SettingsError(where, "is a key that everybody knows; `tidegate key` makes a good one")
    if keys.is_mistyped(key):
        raise SettingsError(where, "is mistyped: its checksum is wrong")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(where, "must be printable ASCII without spaces")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
