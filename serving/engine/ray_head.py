"""Runs the Ray head of one cell and asks Serve how its application fares; it does not know what the replicas do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.engine.deployment import APPLICATION, Deployment, application
from serving.errors import EngineStartError

_OBJECT_STORE_BYTES = 80 * 1024 * 1024


@dataclass(frozen=True)
class ServeStatus:
    """`failure`: Serve has given up on starting replicas, and why. `gone`: nothing of the application is left."""

    failure: str | None
    gone: bool


@contextmanager
def ray_head(folder: Path, host: str, dashboard_port: int | None) -> Iterator[RayHead]:
    """A Ray of this process alone, stopped at the end with everything that runs in it.

    The environment must be set before: Ray and Serve read it when they are imported.
    """
    import ray
    from ray import serve

    try:
        ray.init(
            address="local",
            # No CPUs to hand out means no idle workers; replicas and Serve's own actors ask for none.
            num_cpus=0,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=dashboard_port is not None,
            dashboard_port=dashboard_port,
            log_to_driver=False,
            logging_level="error",
            _temp_dir=str(folder),
        )
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        # Serve insists on its own proxy beside direct ingress; it gets any free port and no traffic.
        serve.start(http_options={"host": host, "port": 0})
        yield RayHead()
    except (RuntimeError, ConnectionError, TimeoutError, ray.exceptions.RayError) as error:
        raise EngineStartError(f"Ray failed: {_last_line(str(error))}; its logs are in {folder}") from error
    finally:
        ray.shutdown()


class RayHead:
    """The running head. All calls are short."""

    def deploy(self, deployment: Deployment) -> None:
        """Start the application; it becomes ready later."""
        from ray import serve

        target = serve.RunTarget(application(deployment), name=APPLICATION, route_prefix="/")
        serve.run_many([target], wait_for_applications_running=False)

    def status(self) -> ServeStatus:
        from ray import serve

        overview = serve.status().applications.get(APPLICATION)
        if overview is None or overview.status == "NOT_STARTED":
            return ServeStatus(None, gone=True)
        failed = [
            deployment.message
            for deployment in overview.deployments.values()
            if deployment.status_trigger == "REPLICA_STARTUP_FAILED"
        ]
        if overview.status == "DEPLOY_FAILED":
            failed.insert(0, overview.message)
        return ServeStatus("\n".join(failed) if failed else None, gone=False)

    def delete(self) -> None:
        """Let the replicas drain and end; returns at once."""
        from ray import serve

        serve.delete(APPLICATION, _blocking=False)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
