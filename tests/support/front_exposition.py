"""What a front tells Prometheus once each of its series has a sample.

`python -m tests.support.front_exposition` writes tests/data/expositions/front.txt from a front that it starts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import FrontSeries
from tests.support.script import BEFORE_HEAD, Script
from tests.support.waiting import eventually
from tests.support.world import World, Worlds

FILE = Path(__file__).parents[1] / "data" / "expositions" / "front.txt"
SETTINGS = {"front.redis": "redis://127.0.0.1:9/0", "front.models": '["tiny"]'}

Shape = dict[str, tuple[str, frozenset[str]]]


def told_by(world: World) -> str:
    """After a stream, a whole answer, a turn of a session, a refusal and a failure; its engine is `engine:8000`."""
    world.say()
    world.say(stream=False)
    world.say(session_id="one")
    world.say(temperature="hot")
    world.engine.next(Script(fault="rst", at=BEFORE_HEAD))
    world.say()
    world.engine.next(Script(tokens=("a",) * 50, gap=0.2))
    with world.wire() as wire:
        wire.send(world.chat())
        world.engine.wait_for(6)
    eventually(lambda: world.front.metric("tidegate_cancellations_total"), what="the client's leaving")
    status, text = world.front.get(f"{world.front.admin_url}/metrics")
    assert status == 200
    own = [line for line in text.splitlines(keepends=True) if "tidegate_" in line or str(FrontSeries.BEGAN) in line]
    return "".join(own).replace(f"127.0.0.1:{world.engine.port}", "engine:8000")


def shape(exposition: str) -> Shape:
    """Of each series its type and the names of its labels."""
    return {
        sample.name: (family.type, frozenset(sample.labels))
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        worlds = Worlds(Path(folder))
        world = worlds.new(settings=SETTINGS)
        try:
            FILE.write_text(told_by(world), encoding="utf-8")
        finally:
            world.end()


if __name__ == "__main__":
    main()
