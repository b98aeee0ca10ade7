"""How each side of the front-tier benchmark is started: one worker on one core, logs at error level, no access log."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench import chat_request, router_venv
from bench.processes import RUN_FOLDER, BenchError, Child, answers, free_port, running, wait_until

KEY = "bench-4f9c2d7ab81e60535f0e9a7c4d21b386"
FRONT_CORE = 0
MOCK_CORE = 1
TIDEGATE = Path(sys.executable).with_name("tidegate")
_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
_NGINX_CONF = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log error;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy; fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u;
  scgi_temp_path {folder}/nginx-s;
  upstream engine {{ server 127.0.0.1:{engine_port}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Launch:
    """A side that can be started."""

    name: str
    version: str
    command: tuple[str, ...]
    port: int
    core: int | None = FRONT_CORE
    environ: dict[str, str] = field(default_factory=dict)
    ready_url: str = ""
    start_limit_seconds: float = 30.0


@dataclass(frozen=True)
class Side:
    """A side that answers."""

    name: str
    version: str
    child: Child
    port: int
    start_seconds: float
    idle_rss_mib: float


@contextlib.contextmanager
def started(launch: Launch) -> Iterator[Side]:
    """Start a side and wait for its first answer to a chat request."""
    begun = time.monotonic()
    with running(launch.name, launch.command, launch.core, launch.environ) as child:
        if launch.ready_url:
            wait_until(lambda: answers(launch.ready_url), child, launch.start_limit_seconds)
        url, body = f"http://127.0.0.1:{launch.port}/v1/chat/completions", chat_request.small(16)
        wait_until(lambda: answers(url, body, KEY), child, launch.start_limit_seconds)
        start_seconds = time.monotonic() - begun
        yield Side(launch.name, launch.version, child, launch.port, start_seconds, child.rss_mib())


def mock() -> Launch:
    """The engine that all others stand before; alone it is the floor."""
    port = free_port()
    command = (sys.executable, "-m", "bench.mock_engine", "--port", str(port))
    return Launch("mock alone", "", command, port, MOCK_CORE)


def fronts(engine_port: int) -> tuple[list[Launch], list[str]]:
    """The fronts that this machine can start, and a line about each that it cannot."""
    makers: dict[str, Callable[[int], Launch]] = {
        "nginx": _nginx,
        "vllm-router": _vllm_router,
        "tidegate": tidegate,
        "tidegate + request log": _tidegate_logging,
    }
    found, missing = [], []
    for name, make in makers.items():
        try:
            found.append(make(engine_port))
        except BenchError as error:
            missing.append(f"{name} IS MISSING: {error}")
    return found, missing


def _nginx(engine_port: int) -> Launch:
    if _NGINX is None:
        raise BenchError("apt-get install nginx")
    port, folder = free_port(), RUN_FOLDER.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX_CONF.format(folder=folder, port=port, engine_port=engine_port))
    banner = subprocess.run([_NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    return Launch("nginx", banner.strip().rpartition("/")[2], (_NGINX, "-c", str(conf), "-p", str(folder)), port)


def _vllm_router(engine_port: int) -> Launch:
    program, port = router_venv.ensure(), free_port()
    options = {
        "--port": port,
        "--policy": "round_robin",
        "--worker-urls": f"http://127.0.0.1:{engine_port}",
        "--prometheus-port": free_port(),
        "--log-level": "error",
    }
    flags = tuple(str(text) for pair in options.items() for text in pair)
    return Launch("vllm-router", router_venv.VERSION, (str(program), *flags), port)


def tidegate(engine_port: int) -> Launch:
    """Our front, with its request log off as the others' are."""
    if not TIDEGATE.exists():
        raise BenchError("pip install -e . (no tidegate program beside this Python)")
    port, admin_port = free_port(), free_port()
    options = {"--engine": f"http://127.0.0.1:{engine_port}", "--port": port, "--admin-port": admin_port}
    flags = tuple(str(text) for pair in options.items() for text in pair)
    return Launch(
        "tidegate",
        version("tidegate"),
        (str(TIDEGATE), "front", *flags, "--api-key", KEY),
        port,
        environ={"TIDEGATE_FRONT__REQUEST_LOG": "false"},
        ready_url=f"http://127.0.0.1:{admin_port}/readyz",
    )


def _tidegate_logging(engine_port: int) -> Launch:
    environ = {"TIDEGATE_FRONT__REQUEST_LOG": "true"}
    return dataclasses.replace(tidegate(engine_port), name="tidegate + request log", environ=environ)
