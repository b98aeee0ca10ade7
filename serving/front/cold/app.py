"""The cold routes for clients, as a FastAPI app: models, health, what is kept, OpenAI-shaped errors for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match

from serving.errors import InternalError, MethodNotAllowed, NotFound, RequestError, StoreDown
from serving.front.auth import Auth
from serving.front.cold import conversations, responses, stored_chat
from serving.front.cold.edge import ColdEdge, raw_headers
from serving.front.cold.parts import State
from serving.front.dialect import ROUTES, openai_error
from serving.front.route import Fleet
from serving.front.state import commit


def create(auth: Auth, fleet: Fleet, is_ready: Callable[[], bool], new_id: Callable[[], str], state: State) -> FastAPI:
    """The app that uvicorn gets whatever the hot path does not take."""
    app = FastAPI(title="Tidegate", redirect_slashes=False, docs_url=None, redoc_url=None, openapi_url=None)
    answer_errors(app, new_id)
    add_health(app, is_ready)
    edge = ColdEdge(auth, new_id, state.limits)
    for routes in (conversations, responses, stored_chat):
        routes.add(app, state, edge)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        caller = auth.identify(raw_headers(request))
        served = fleet.models().items()
        cards = [_card(name, context_length) for name, context_length in served if caller.may_use(name)]
        return JSONResponse({"object": "list", "data": cards}, headers={"x-request-id": new_id()})

    @app.get("/v1/models/{model:path}")
    async def one_model(model: str, request: Request) -> Response:
        caller = auth.identify(raw_headers(request))
        context_length = fleet.models().get(model)
        if context_length is None or not caller.may_use(model):
            raise NotFound(f"The model `{model}` does not exist here.", param="model", code="model_not_found")
        return JSONResponse(_card(model, context_length), headers={"x-request-id": new_id()})

    return app


def add_health(app: FastAPI, is_ready: Callable[[], bool]) -> None:
    """`/livez` and `/readyz`, without detail, for anybody."""

    @app.get("/livez")
    async def livez() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz() -> Response:
        return PlainTextResponse("ok\n") if is_ready() else PlainTextResponse("not ready\n", status_code=503)


def answer_errors(app: FastAPI, new_id: Callable[[], str]) -> None:
    """Every error of this app in OpenAI's shape."""

    def respond(error: RequestError, headers: dict[str, str] | None = None) -> Response:
        lines = {"x-request-id": new_id(), **(headers or {})}
        if error.retry_after_seconds is not None:
            lines["retry-after"] = str(error.retry_after_seconds)
        return Response(openai_error(error), error.status, lines, media_type="application/json")

    @app.exception_handler(RequestError)
    async def known(_: Request, error: RequestError) -> Response:
        return respond(error)

    @app.exception_handler(StoreDown)
    async def away(_: Request, __: StoreDown) -> Response:
        return respond(commit.unavailable())

    @app.exception_handler(HTTPException)
    async def from_router(request: Request, _: HTTPException) -> Response:
        path, method = request.scope["path"], request.method
        if allowed := _allowed(request):
            allow = ", ".join(sorted(allowed))
            wrong = MethodNotAllowed(f"{method} is not allowed for {path}: use {allow}.", allow=allow)
            return respond(wrong, {"allow": allow})
        return respond(NotFound(f"There is no route {method} {path}.", code="unknown_route"))

    @app.exception_handler(Exception)
    async def unknown(_: Request, __: Exception) -> Response:
        return respond(InternalError("The server failed on this request."))


def _allowed(request: Request) -> set[str]:
    """The methods that this path has, on the hot path and here."""
    allowed = {"POST"} if request.scope["raw_path"] in ROUTES else set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            allowed |= route.methods
    return allowed


def _card(name: str, context_length: int) -> dict[str, Any]:
    card: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "tidegate"}
    if context_length:
        card["max_model_len"] = context_length
    return card
