"""Where engines of other kinds serve the same model, only a vLLM is asked for the rest of what a vLLM began."""

from __future__ import annotations

from dataclasses import replace

from tests.support.broken_streams import SCRIPT, SETTINGS, USAGE, asked, assert_one_stream, giving_ids, say, undisturbed
from tests.support.script import Script
from tests.support.world import CHAT, COMPLETIONS, MakeWorld


def test_the_rest_waits_for_a_vllm_rather_than_go_to_another_kind_of_engine(fresh_world: MakeWorld) -> None:
    two, body = giving_ids(fresh_world(2, SETTINGS, started=False)), asked(CHAT, **USAGE)
    other, vllm = two.engines
    other.lists_models = False
    two.front.start()
    expected = undisturbed(two, body)
    busy = Script(("x",) * 20, gap=0.5)
    vllm.script = replace(SCRIPT, fault="rst", at=3)
    vllm.decide = lambda seen: SCRIPT if "prompt" in seen.body else None
    other.script = busy
    with two.wire() as first:
        # The other engine has more in flight than the vLLM.
        first.send(two.request(CHAT, body))
        other.wait_for(1)
        answer = say(two, body)
    assert [seen.path for seen in vllm.seen] == [CHAT, COMPLETIONS]
    assert all("prompt" not in seen.body for seen in other.seen)
    assert_one_stream(answer, expected, "")
