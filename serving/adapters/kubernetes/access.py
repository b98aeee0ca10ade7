"""How a pod reaches its own cluster's API: address, token, certificate, namespace. It asks the API nothing."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.errors import SettingsError

ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_KEY = "front.endpoint_slices"


@dataclass(frozen=True)
class Access:
    """`url` of the API server; `folder` is the service account's, whose files the kubelet replaces in time."""

    url: str
    folder: Path

    def namespace(self) -> str:
        """The pod's own."""
        return self._file("namespace")

    def bearer(self) -> str:
        """The present token: it lives for an hour or so, then the file holds another one."""
        return f"Bearer {self._file('token')}"

    def trust(self) -> ssl.SSLContext:
        """Whom to believe that it is the API server."""
        return ssl.create_default_context(cafile=str(self.folder / "ca.crt"))

    def _file(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="ascii").strip()


def in_cluster(environ: Mapping[str, str], folder: Path = ACCOUNT_FOLDER) -> Access:
    """What Kubernetes gives every pod. Raises `SettingsError` where this is no pod, or one without an account."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise SettingsError(
            _KEY, "works in a pod only (KUBERNETES_SERVICE_HOST is not set); elsewhere use --engine URL"
        )
    missing = [name for name in ("token", "ca.crt", "namespace") if not (folder / name).is_file()]
    if missing:
        raise SettingsError(
            _KEY,
            f"{folder} has no {', '.join(missing)}: the pod needs a service account with "
            "automountServiceAccountToken: true",
        )
    return Access(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", folder)
