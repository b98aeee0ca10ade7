"""One Helm release of a chart on the cluster that KUBECONFIG names; it knows no scenario.

On the cluster tool, its verbs convert the chart for the API server there; elsewhere Helm installs it as it is.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.cluster.tool import cluster, is_inside
from tests.support.helm import ROOT

_TIMEOUT_SECONDS = 420


class Release:
    """`chart` is a folder below the repository. Values are whole: an upgrade starts from the chart's own again."""

    def __init__(self, chart: str, name: str, namespace: str) -> None:
        self.chart, self.name, self.namespace = ROOT / chart, name, namespace

    def install(self, values: dict[str, Any], *, wait: bool = True) -> str:
        return self._put("install", values, wait)

    def upgrade(self, values: dict[str, Any], *, wait: bool = True) -> str:
        return self._put("upgrade", values, wait)

    def rollback(self) -> str:
        """To the revision before."""
        return self._verb("rollback", self.name)

    def test(self) -> str:
        """`helm test`. Raises `RuntimeError` or `HelmError` when it fails."""
        return self._verb("test", self.name)

    def uninstall(self) -> str:
        return self._verb("uninstall", self.name)

    def _put(self, verb: str, values: dict[str, Any], wait: bool) -> str:
        if not is_inside():
            with self._config() as config, helm_python.Chart.load(str(self.chart)) as chart:
                put = getattr(config, verb)
                return str(put(self.name, chart, values, wait="watcher" if wait else None, timeout=_TIMEOUT_SECONDS))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump(values, file)
            file.flush()
            quick = [] if wait else ["--no-wait"]
            return self._verb(verb, str(self.chart), self.name, "-f", file.name, *quick)

    def _verb(self, verb: str, *words: str) -> str:
        if is_inside():
            return cluster(verb, *words, "-n", self.namespace, "--timeout", str(_TIMEOUT_SECONDS))
        with self._config() as config:
            return str(getattr(config, verb)(self.name))

    def _config(self) -> helm_python.Config:
        return helm_python.Config(kubeconfig_path=str(Path(os.environ["KUBECONFIG"])), namespace=self.namespace)
