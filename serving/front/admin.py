"""The admin port: probes, metrics and the engines as this front sees them; never on the clients' port."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response

from serving.front.cold.app import add_health, answer_errors
from serving.front.route import Fleet
from serving.metrics import Need, gauge, need_gauges


def create(
    registry: CollectorRegistry, fleet: Fleet, is_ready: Callable[[], bool], new_id: Callable[[], str]
) -> FastAPI:
    """`/livez`, `/readyz`, `/metrics`, `/admin/engines`."""
    app = FastAPI(title="Tidegate admin", docs_url=None, redoc_url=None, openapi_url=None)
    answer_errors(app, new_id)
    add_health(app, is_ready)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/admin/engines")
    async def engines() -> Response:
        return JSONResponse(
            {
                "engines": [
                    {
                        "id": endpoint.id,
                        "url": endpoint.url,
                        "models": endpoint.models,
                        "in_flight": fleet.in_flight(endpoint),
                        "suspect": fleet.is_suspect(endpoint),
                    }
                    for endpoint in fleet.endpoints
                ]
            }
        )

    return app


def registry(series: Collector) -> CollectorRegistry:
    """The front's series, and those of its process."""
    made = CollectorRegistry()
    made.register(series)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=made)
    return made


def gauges(
    fleet: Fleet,
    needs: Iterable[Need],
    in_flight: Callable[[], int],
    is_ready: Callable[[], bool],
    redis_is_up: bool | None,
) -> Iterator[Metric]:
    """What is true at the moment of a scrape; `redis_is_up` is None where none is configured."""
    if redis_is_up is not None:
        yield gauge("redis_up", "1 while Redis answers; else histories come from the durable store.", {(): redis_is_up})
    yield from need_gauges(needs, fleet.ready)
    yield gauge("requests_in_flight", "Generation requests being answered.", {(): in_flight()})
    yield gauge("ready", "1 while this front takes new requests.", {(): float(is_ready())})
    yield gauge(
        "engine_requests_in_flight",
        "Requests that this front has at an engine.",
        {(endpoint.id,): fleet.in_flight(endpoint) for endpoint in fleet.endpoints},
        ("engine",),
    )
    yield gauge(
        "engine_suspect",
        "1 while an engine that failed is asked last.",
        {(endpoint.id,): float(fleet.is_suspect(endpoint)) for endpoint in fleet.endpoints},
        ("engine",),
    )
