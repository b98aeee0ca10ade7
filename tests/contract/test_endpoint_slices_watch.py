"""The front's directory follows EndpointSlices: who comes is asked at once, who leaves is dropped, streams go on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from serving.adapters.engines.directory import EngineDirectory
from serving.adapters.engines.http import EnginePool, Patience
from serving.adapters.kubernetes.discovery import SliceDiscovery
from serving.front.route import Endpoint
from serving.front.upstream import Post
from serving.settings import FrontSettings
from tests.support.script import Script
from tests.support.scripted_engine import ScriptedEngine
from tests.support.slice_api import SliceApiServer, endpoint, slice_of

pytestmark = pytest.mark.anyio
_POLL_SECONDS = 30


@dataclass
class Watched:
    """A directory that runs, and what it published last."""

    api: SliceApiServer
    pool: EnginePool
    engines: tuple[Endpoint, ...] = ()
    published: list[tuple[Endpoint, ...]] = field(default_factory=list)

    def publish(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.engines = endpoints
        self.published.append(endpoints)

    @property
    def serving(self) -> dict[str, list[str]]:
        return {one.url: list(one.models) for one in self.engines if one.models}

    async def until(self, happened: Callable[[], bool], within: float = 5) -> float:
        began = time.monotonic()
        while not happened():
            assert time.monotonic() - began < within, f"last published: {self.engines}"
            await asyncio.sleep(0.002)
        return time.monotonic() - began


@asynccontextmanager
async def watched(
    api: SliceApiServer,
    *services: str,
    poll_seconds: float = _POLL_SECONDS,
    up: bool = True,
    fixed: tuple[str, ...] = (),
) -> AsyncIterator[Watched]:
    loop = asyncio.get_running_loop()
    pool = EnginePool(time.monotonic, Patience(2, 30, 30, 4), loop, None)
    settings = FrontSettings(engines=fixed, engine_poll_seconds=poll_seconds, endpoint_slices=services or ("qwen",))
    world = Watched(api, pool)
    directory = EngineDirectory(
        pool, settings, world.publish, SliceDiscovery(settings.endpoint_slices, api.access, lambda low, _high: low)
    )
    if up:
        await api.up()
    running = asyncio.create_task(directory.run())
    try:
        yield world
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pool.close()
        await api.down()


@pytest.fixture
def api(tmp_path: Path) -> SliceApiServer:
    return SliceApiServer(tmp_path)


@pytest.fixture(scope="module")
def engines() -> list[ScriptedEngine]:
    return [ScriptedEngine(), ScriptedEngine("other")]


def of(engine: ScriptedEngine, service: str = "qwen", name: str = "", **conditions: bool) -> dict[str, object]:
    return slice_of(service, endpoint("127.0.0.1", **conditions), name=name, http=engine.port)


async def test_engines_that_are_there_at_the_start_serve(api: SliceApiServer, engines: list[ScriptedEngine]) -> None:
    api.put(of(engines[0]))
    async with watched(api) as world:
        await world.until(lambda: world.serving == {engines[0].url: ["tiny"]}, within=1)


async def test_an_engine_that_becomes_ready_serves_within_a_second(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    api.put(of(engines[0], ready=False))
    async with watched(api) as world:
        await world.until(lambda: bool(api.watches))
        assert world.engines == ()
        api.put(of(engines[0], ready=True))
        assert await world.until(lambda: world.serving == {engines[0].url: ["tiny"]}) < 1


@pytest.mark.parametrize("conditions", [{"ready": False}, {"ready": False, "serving": True, "terminating": True}])
async def test_a_stream_goes_on_when_its_engine_leaves(
    api: SliceApiServer, engines: list[ScriptedEngine], conditions: dict[str, bool]
) -> None:
    engine = engines[0]
    api.put(of(engine))
    async with watched(api) as world:
        await world.until(lambda: bool(world.serving))
        engine.script = Script(tokens=["a", "b", "c", "d", "e"], gap=0.1)
        post = Post("/v1/chat/completions", "r1", b'{"model":"tiny","stream":true,"messages":[]}', True, fresh=False)
        reply = world.pool.send(world.engines[0], post)
        await reply.arrived.future()
        api.put(of(engine, **conditions))
        await world.until(lambda: world.engines == ())
        assert b"[DONE]" not in reply.body
        for _ in range(20):
            world.pool.tick()
            await asyncio.sleep(0.05)
        assert reply.error is None
        assert reply.body.endswith(b"data: [DONE]\n\n")
    engine.reset()


async def test_services_are_merged_and_a_deleted_slice_leaves(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    one, two = engines
    api.put(of(one, "qwen"))
    api.put(of(two, "llama"))
    api.put(of(two, "stranger"))
    async with watched(api, "qwen", "models/llama:http") as world:
        await world.until(lambda: world.serving == {one.url: ["tiny"], two.url: ["other"]})
        api.delete("llama-1")
        await world.until(lambda: world.serving == {one.url: ["tiny"]})


async def test_fixed_engines_stay_beside_those_of_a_service(api: SliceApiServer, engines: list[ScriptedEngine]) -> None:
    one, two = engines
    api.put(of(one))
    async with watched(api, fixed=(two.url,), poll_seconds=0.1) as world:
        await world.until(lambda: world.serving == {one.url: ["tiny"], two.url: ["other"]})
        polls = len(one.polls)
        await world.until(lambda: len(one.polls) > polls + 2)
        api.delete("qwen-1")
        await world.until(lambda: world.serving == {two.url: ["other"]})


async def test_an_engine_that_says_that_it_drains_has_no_models_until_it_serves_again(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    engine, normally = engines[0], engines[0].document
    async with watched(api, fixed=(engine.url,), poll_seconds=0.1) as world:
        await world.until(lambda: bool(world.serving))
        engine.document = lambda _: (503, b'{"error":{"code":"draining"}}')
        await world.until(lambda: not world.serving and len(world.engines) == 1)
        engine.document = normally
        await world.until(lambda: world.serving == {engine.url: ["tiny"]})


async def test_an_older_cluster_has_v1beta1_only(tmp_path: Path, engines: list[ScriptedEngine]) -> None:
    api = SliceApiServer(tmp_path, versions=("v1beta1",))
    api.put(of(engines[0]))
    async with watched(api) as world:
        await world.until(lambda: bool(world.serving))
    assert {path.split("/")[3] for path in api.paths} == {"v1beta1"}


async def test_a_watch_that_ends_goes_on_after_the_last_bookmark(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    async with watched(api) as world:
        await world.until(lambda: len(api.watches) == 1)
        api.bookmark()
        await asyncio.sleep(0.1)
        api.cut()
        await world.until(lambda: len(api.watches) == 2)
        assert (api.lists, api.watches[1]) == (1, "101")
        api.put(of(engines[0]))
        await world.until(lambda: bool(world.serving))


async def test_changes_that_are_not_kept_any_more_are_listed_again(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    one, two = engines
    api.put(of(one))
    async with watched(api) as world:
        await world.until(lambda: bool(world.serving) and len(api.watches) == 1)
        api.put_unseen(of(two))
        api.compact()
        await world.until(lambda: world.serving == {two.url: ["other"]})
        assert api.lists == 2


async def test_without_the_api_server_the_last_engines_stay_and_it_heals(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    one, two = engines
    api.put(of(one))
    async with watched(api) as world:
        await world.until(lambda: bool(world.serving))
        await api.down()
        api.put(of(two, name="qwen-2"))
        await asyncio.sleep(1)
        assert world.serving == {one.url: ["tiny"]}
        await api.up()
        await world.until(lambda: world.serving == {one.url: ["tiny"], two.url: ["other"]})


async def test_without_the_api_server_at_the_start_it_waits_for_it(
    api: SliceApiServer, engines: list[ScriptedEngine]
) -> None:
    api.put(of(engines[0]))
    async with watched(api, up=False) as world:
        await asyncio.sleep(0.5)
        await api.up()
        await world.until(lambda: bool(world.serving))


async def test_a_token_that_was_replaced_is_read_again(api: SliceApiServer, engines: list[ScriptedEngine]) -> None:
    async with watched(api) as world:
        await world.until(lambda: len(api.watches) == 1)
        api.tokens = {"second"}
        (api.access.folder / "token").write_text("second", encoding="ascii")
        api.compact()
        api.put(of(engines[0]))
        await world.until(lambda: bool(world.serving))


async def test_a_missing_right_is_named_once(
    api: SliceApiServer, engines: list[ScriptedEngine], caplog: pytest.LogCaptureFixture
) -> None:
    api.refusal = web.HTTPForbidden
    api.put(of(engines[0]))
    with caplog.at_level(logging.WARNING, "tidegate.engines"):
        async with watched(api) as world:
            await asyncio.sleep(1)
            api.refusal = None
            await world.until(lambda: bool(world.serving))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert "verbs list and watch on endpointslices (discovery.k8s.io) in models" in said[0]


async def test_a_port_that_is_not_clear_is_said_and_the_engines_stay(
    api: SliceApiServer, engines: list[ScriptedEngine], caplog: pytest.LogCaptureFixture
) -> None:
    api.put(of(engines[0]))
    async with watched(api) as world:
        await world.until(lambda: bool(world.serving))
        with caplog.at_level(logging.WARNING, "tidegate.engines"):
            api.put(slice_of("qwen", endpoint("127.0.0.1"), http=engines[0].port, metrics=1))
            await world.until(lambda: bool(caplog.records))
        assert "SERVICE:PORT_NAME; it has: http, metrics" in caplog.text
        assert len(world.engines) == 1


async def test_an_api_server_in_trouble_is_not_stormed(api: SliceApiServer) -> None:
    api.refusal = web.HTTPInternalServerError
    async with watched(api):
        await asyncio.sleep(2)
    assert 2 <= api.asked <= 8


async def test_watches_that_are_cut_at_once_are_not_a_busy_loop(api: SliceApiServer) -> None:
    async with watched(api) as world:
        for _ in range(20):
            await asyncio.sleep(0.1)
            api.cut()
        assert world.engines == ()
    assert 2 <= len(api.watches) <= 6
