"""A real nginx with its defaults in front of a server, as somebody's ingress would be."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import eventually

BINARY = shutil.which("nginx") or (path if Path(path := "/usr/sbin/nginx").exists() else None)

# Everything that could help a stream (buffering, time-outs) is left at nginx's default.
_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
    }}
  }}
}}
"""


class Nginx:
    def __init__(self, upstream: str, folder: Path) -> None:
        assert BINARY is not None
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.base_url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=folder, port=self.port, upstream=upstream), encoding="ascii")
        self._process = subprocess.Popen(
            [BINARY, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
        )
        eventually(self._listens, what="nginx listening")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0
