"""A request log as a trace: its times and lengths, what conversations find cached, its rate, its knee."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autoscale.engine_profile import ASSUMED_H100_8B
from autoscale.replay import log
from autoscale.simulate.run import Settings, engines
from loadtest.slo import PRESETS
from loadtest.traffic.traces import TraceError
from serving.cli import main

Line = dict[str, object]


def line(at: float, session: str | None = None, prompt: int = 200, output: int = 50) -> Line:
    """Of a front's log; it tells when a request ended."""
    told = {"time": 1_795_700_000 + at + 2.0, "duration_seconds": 2.0, "request_id": f"r{at}", "team": "a"}
    return {**told, "prompt_tokens": prompt, "output_tokens": output, "session": session}


def written(folder: Path, lines: list[Line]) -> Path:
    path = folder / "front.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    return path


def steady(count: int = 3600, gap: float = 0.25) -> list[Line]:
    return [line(at * gap) for at in range(count)]


def test_requests_keep_their_times_and_lengths(tmp_path: Path) -> None:
    trace = log.read(written(tmp_path, [line(0, prompt=7), line(100.5, output=9), line(400)]))
    assert trace.requests.at_seconds.tolist() == [0.0, 100.5, 400.0]
    assert trace.requests.prompt_tokens.tolist() == [7, 200, 200]
    assert trace.requests.output_tokens.tolist() == [50, 9, 50]
    assert trace.seconds == 400.0


def test_a_conversation_finds_its_last_prompt_and_answer_cached(tmp_path: Path) -> None:
    lines = [line(0, "s", 100, 20), line(50, "t", 300, 10), line(90, "s", 200, 30), line(400, "s", 210, 5)]
    requests = log.read(written(tmp_path, lines)).requests
    assert requests.prefix_tokens.tolist() == [0, 0, 120, 209], "and one token of it is new at least"
    assert requests.group[0] == requests.group[2] != requests.group[1]


def test_its_rate_follows_it_and_is_smooth(tmp_path: Path) -> None:
    lines = [*steady(1200, 0.5), *(line(600 + at * 0.1) for at in range(6000))]
    trace = log.read(written(tmp_path, lines))
    known = trace.rate(log.RECORDED, np.array([300.0, 900.0]))
    assert known == pytest.approx([2.0, 10.0], rel=0.02)
    times = np.linspace(0, trace.seconds, 5000)
    assert np.trapezoid(trace.rate(log.RECORDED, times), times) == pytest.approx(7200, rel=0.02)


def test_more_times_over_it_is_as_long_and_its_conversations_stay_apart(tmp_path: Path) -> None:
    path = written(tmp_path, [line(0, "s"), line(10, "s"), line(400, "t")])
    once, thrice = log.read(path), log.read(path, times=3)
    assert len(thrice.requests.at_seconds) == 9
    assert thrice.seconds == once.seconds
    assert np.all(np.diff(thrice.requests.at_seconds) >= 0)
    assert sorted(np.unique(thrice.requests.group, return_counts=True)[1].tolist()) == [1, 1, 1, 2, 2, 2]


def test_a_log_too_short_for_any_law_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"front.jsonl: its 2 requests span 60 s"):
        log.read(written(tmp_path, [line(0), line(60)]))


def test_what_is_no_log_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="line 2"):
        log.read(written(tmp_path, [line(0), {"time": "noon", "request_id": "r"}]))


def test_longer_prompts_have_a_lower_knee(tmp_path: Path) -> None:
    fleets = engines(ASSUMED_H100_8B, Settings())
    found = []
    for prompt in (200, 2000):
        trace = log.read(written(tmp_path, [line(at, prompt=prompt) for at in range(600)]))
        found.append(log.own_knee(trace, fleets, PRESETS["chat"]))
    assert found[0] > 1.5 * found[1]


def test_the_command_runs_laws_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, page = written(tmp_path, steady()), tmp_path / "replay.html"
    wanted = ["--law", "static-peak", "--times", "2", "--out", str(page)]
    assert main(["scale", "replay", "--request-log", str(path), *wanted]) == 0
    out, err = capsys.readouterr()
    assert {row.split()[0] for row in out.splitlines()[2:-1]} == {"static-peak", "oracle"}
    assert out.startswith("front.jsonl: 7200 requests in 0.25 h")
    assert "replicas at its peak" in err
    assert "7,200 requests" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "either --from"),
        (["--from", "1h", "--request-log", "LOG"], "either --from"),
        (["--request-log", "/nowhere.jsonl"], "/nowhere.jsonl: cannot be read"),
        (["--request-log", "LOG", "--times", "0"], "--times 0"),
        (["--request-log", "LOG", "--law", "best"], "--law best"),
        (["--from", "1h", "--file", "SCALED"], "spec.scaleTargetRef.name: is missing"),
        (["--from", "1h", "--file", "SCALED", "other"], "no ScaledObject other; there: qwen"),
        (["--from", "1h", "--file", "LOG"], "front.jsonl: is not YAML"),
        (["--from", "1h", "--file", "SCALED", "--begin", "-1"], "--begin -1"),
        (["--from", "1h", "--file", "/nowhere.yaml"], "/nowhere.yaml: No such file"),
    ],
)
def test_what_is_wrong_ends_with_2_and_is_named(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scaled = tmp_path / "so.yaml"
    scaled.write_text("kind: ScaledObject\nmetadata: {name: qwen}\nspec: {}\n", encoding="utf-8")
    places = {"LOG": str(written(tmp_path, steady())), "SCALED": str(scaled)}
    assert main(["scale", "replay", *(places.get(word, word) for word in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
