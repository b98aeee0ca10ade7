"""A real Prometheus in a process of its own: filled with a made-up past, or scraping what a test exposes."""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_port
from tests.support.tiers import require
from tests.support.waiting import eventually

Points = Sequence[tuple[float, float]]
"""Unix seconds and values."""

_KEPT = "--storage.tsdb.retention.time=10y"


class PrometheusServer:
    """`past`: series as PromQL writes them, e.g. `up{job="a"}`, to their samples. `targets`: ports of this machine."""

    def __init__(self, folder: Path, past: Mapping[str, Points] | None = None, targets: Sequence[int] = ()) -> None:
        require("prometheus", shutil.which("prometheus") is not None and shutil.which("promtool") is not None)
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "prometheus.yml").write_text(_configuration(targets), encoding="utf-8")
        if past:
            _fill(folder, past)

    def __enter__(self) -> PrometheusServer:
        command = ["prometheus", f"--config.file={self._folder / 'prometheus.yml'}", _KEPT]
        command += [f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self._port}"]
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._answers, within=20, what="prometheus")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False


def _configuration(targets: Sequence[int]) -> str:
    hosts = ", ".join(f"'127.0.0.1:{port}'" for port in targets)
    jobs = f"[{{job_name: made, static_configs: [{{targets: [{hosts}]}}]}}]" if targets else "[]"
    return f"global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs: {jobs}\n"


def _fill(folder: Path, past: Mapping[str, Points]) -> None:
    """By promtool, from OpenMetrics: its gauges have no suffix, and all samples of a series stand together."""
    lines = [f"{series} {value} {at:.3f}" for series, points in past.items() for at, value in points]
    text = folder / "past.om"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
