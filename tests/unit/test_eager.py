"""A Wake may be awaited by a flow, by a Task, and by a flow that became a Task."""

from __future__ import annotations

import asyncio

from serving.front.eager import Run, Wake


def test_a_task_waits_for_a_wake() -> None:
    async def main() -> None:
        wake = Wake()
        task = asyncio.create_task(_wait(wake))
        await asyncio.sleep(0)
        assert not task.done()
        wake.set()
        await asyncio.wait_for(task, 1)

    asyncio.run(main())


def test_a_cancelled_task_does_not_mind_a_late_wake() -> None:
    async def main() -> None:
        wake = Wake()
        task = asyncio.create_task(_wait(wake))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        wake.set()
        assert task.cancelled()

    asyncio.run(main())


def test_a_flow_goes_on_inside_set_and_later_as_a_task() -> None:
    async def main() -> None:
        first, second, seen = Wake(), Wake(), []

        async def flow() -> None:
            await first
            seen.append("first")
            await asyncio.sleep(0)
            seen.append("slept")
            await second
            seen.append("second")

        Run(flow(), asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(first.set)
        await asyncio.sleep(0.01)
        assert seen == ["first", "slept"]
        second.set()
        await asyncio.sleep(0.01)
        assert seen == ["first", "slept", "second"]

    asyncio.run(main())


async def _wait(wake: Wake) -> None:
    await wake
