"""The Ray Serve deployment of one vLLM: vLLM's own API on the replica's own port. It knows no settings tree.

vLLM is imported inside the methods: Serve's controller imports this module too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from serving.engine.draining import RefuseWhileDraining
from serving.engine.reusable_port import reuse_ports

APPLICATION = "engine"
_LOOK_SECONDS = 0.05
_LAST_WORD_SECONDS = 0.25

_log = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Deployment:
    """What Serve needs to know of one cell's replicas."""

    arguments: tuple[str, ...]
    draining_file: Path
    replicas: int
    gpus: int
    max_ongoing_requests: int
    health_check_period_seconds: float
    graceful_shutdown_seconds: float


def application(deployment: Deployment) -> Any:
    """The Serve application, to be given to `serve.run`. Ray must be set up by then."""
    from ray import serve

    options = serve.deployment(
        name="vllm",
        num_replicas=deployment.replicas,
        max_ongoing_requests=deployment.max_ongoing_requests,
        health_check_period_s=deployment.health_check_period_seconds,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=deployment.graceful_shutdown_seconds,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=1,
        # Bookkeeping only: vLLM sizes its own threads.
        ray_actor_options={"num_cpus": 0, "num_gpus": deployment.gpus},
    )
    replica = options(serve.ingress()(VllmReplica))
    return replica.bind(list(deployment.arguments), str(deployment.draining_file))


class VllmReplica:
    """One vLLM engine and its API."""

    async def __init__(self, arguments: list[str], draining_file: str) -> None:  # type: ignore[misc]
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        reuse_ports()
        self._draining_file = draining_file
        self._args = _parse(arguments)
        config = AsyncEngineArgs.from_cli_args(self._args).create_engine_config(
            usage_context=UsageContext.OPENAI_API_SERVER
        )
        self._engine = AsyncLLM.from_vllm_config(
            config,
            usage_context=UsageContext.OPENAI_API_SERVER,
            enable_log_requests=self._args.enable_log_requests,
            disable_log_stats=False,
        )
        self._watch = asyncio.create_task(_exit_when_dead(self._engine))

    async def __serve_build_asgi_app__(self) -> Any:
        """Called by Serve once the constructor is through."""
        from vllm.entrypoints.launchers.api_server.app_state import init_app_state
        from vllm.entrypoints.launchers.app import build_app

        tasks = await self._engine.get_supported_tasks()
        app = build_app(self._args, tasks, self._engine.model_config)
        await init_app_state(self._engine, app.state, self._args, tasks)
        # vLLM's error handler stops its server through this; here the process itself ends.
        app.state.server = SimpleNamespace(should_exit=False)
        # vLLM hands its application over with the middleware already built: ours goes around it.
        inner = app.middleware_stack or app.build_middleware_stack()
        app.middleware_stack = RefuseWhileDraining(inner, self._draining_file)
        return app

    async def check_health(self) -> None:
        """Called by Serve; raising takes the replica out of service."""
        if self._engine.errored:
            # Serve's controller unpickles what is raised: vLLM's own error would import vLLM there, for ten seconds.
            raise RuntimeError("the engine process is dead")

    async def __del__(self) -> None:
        """Awaited by Serve after the drain."""
        watch = getattr(self, "_watch", None)
        if watch is not None:
            watch.cancel()
            self._engine.shutdown(timeout=0)


def _parse(arguments: list[str]) -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise ValueError(f"vLLM refuses its arguments: {message}")

    args = make_arg_parser(Parser()).parse_args(arguments)
    validate_parsed_serve_args(args)
    return args


async def _exit_when_dead(engine: Any) -> None:
    """End this process as soon as its engine is dead, so that Serve puts a new one in its place.

    Streams in flight get vLLM's error event first.
    """
    # vLLM tells nobody: it sets a flag from a thread of its own.
    while not engine.errored:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)
    _log.error("the engine process is dead; this replica ends")
    await asyncio.sleep(_LAST_WORD_SECONDS)
    _kill_own_group()
    os._exit(1)


def _kill_own_group() -> None:
    """vLLM's workers outlive their engine by up to 20 s and hold its memory, which the replacement needs.

    Python's resource tracker stays: it removes the shared memory of the others and ends by itself.
    """
    own = os.getpid()
    if os.getpgrp() != own:
        return
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with suppress(ProcessLookupError, FileNotFoundError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if pid != own and os.getpgid(pid) == own and b"resource_tracker" not in command:
                os.kill(pid, signal.SIGKILL)
