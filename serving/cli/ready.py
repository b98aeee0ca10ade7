"""What a started endpoint tells its user: one line of JSON for programs, a few lines for people; it starts nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.settings import FrontSettings

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}


@dataclass(frozen=True)
class Ready:
    """A running endpoint. `api_key` is None where only the keys file knows keys, `model` while no engine is there."""

    base_url: str
    admin_url: str
    api_key: str | None
    model: str | None

    def line(self) -> str:
        """The one line that `--json` promises."""
        return json.dumps(asdict(self))

    def curl(self) -> str:
        """A command that streams an answer."""
        body = {"model": self.model, "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
        return (
            f"curl -N {self.base_url}/chat/completions -H 'Content-Type: application/json' "
            f"-H 'Authorization: Bearer {self.api_key or '$KEY'}' -d '{json.dumps(body)}'"
        )


def urls(front: FrontSettings) -> tuple[str, str]:
    """Base URL (with /v1, as OpenAI clients want it) and admin URL, reachable from this machine."""
    return f"{_origin(front.host, front.port)}/v1", _origin(front.admin_host, front.admin_port)


def _origin(host: str, port: int) -> str:
    host = _ANY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
