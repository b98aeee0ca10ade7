"""One short HTTP GET, as a start-up check makes it; it knows no route and never retries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def connect(base_url: str, timeout_seconds: float) -> tuple[HTTPConnection, str]:
    """A connection, not opened yet, to the server of a URL, and the path in it without a closing slash."""
    parts = urlsplit(base_url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeout_seconds), parts.path.rstrip("/")


def get(url: str, *, key: str | None = None, timeout_seconds: float = 1.0) -> Answer | None:
    """The answer of one GET; None when nobody answered in time."""
    connection, path = connect(url, timeout_seconds)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("GET", path or "/", headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def models(base_url: str, key: str | None) -> list[dict[str, Any]]:
    """The models that an OpenAI-compatible server lists; none where it refuses or is not there."""
    answer = get(f"{base_url}/models", key=key, timeout_seconds=5)
    content = answer.json() if answer and answer.status == 200 else None
    listed = content.get("data") if isinstance(content, dict) else None
    return [model for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []


def first_model(base_url: str, key: str | None) -> str | None:
    """The id of the first model that a server lists."""
    return next((str(model["id"]) for model in models(base_url, key) if "id" in model), None)
