"""The page of a comparison: complete, escaped, of one size, loading nothing; its steps have reasons."""

from __future__ import annotations

import json
import re
from pathlib import Path

from autoscale import report
from autoscale.report.why import changes, drivers
from autoscale.simulate.run_result import Comparison, Run, Score, Spans, Steps, Totals, dumps

HOSTILE = "</script><script>alert(1)</script>"


def run(law: str, wanted: list[int], why: list[str], steps: int = 6) -> Run:
    times = tuple(15.0 * at for at in range(steps))
    signals = {"prefill": tuple(float(at) for at in range(steps)), "kv": (None,) * steps} if any(why) else {}
    of = Steps(times, tuple(wanted), (0,) * steps, tuple(wanted), (0,) * steps, signals, tuple(why))
    spans = Spans(60.0, (10, 0), (7, 0), (1, 0))
    return Run(law, f"about {law}", 3, of, spans, Totals(10, 7, 1, 0.7, 2.5, 1, 4, 60.0, 0))


def comparison(name: str = "bursty") -> Comparison:
    ours = run("tidegate", [1, 1, 4, 4, 2, 2], ["", "prefill", "", "kv", "", ""])
    best = run("oracle", [2] * 6, [""] * 6)
    scores = {"tidegate": Score(0.7777, 0.9, 1.2, 1.0, 1.5), "oracle": Score(1.0, 1.0, 1.0, 0.0, 1.0)}
    return Comparison(name, "two bursts", 90.0, 1, {"cold start": "180 s"}, (ours, best), scores)


def test_the_page_has_every_law_its_score_and_the_reason_of_every_step(tmp_path: Path) -> None:
    path = tmp_path / "scale.html"
    report.write(comparison(), path)
    html = path.read_text(encoding="utf-8")
    assert html.index("oracle</span>") < html.index("tidegate</span>"), "the best score comes first"
    assert "0.778" in html
    assert re.search(r"0:00:15</td>.*?1</td>.*?4</td>.*?prefill", html)
    assert "180 s" in html


def test_each_step_is_laid_to_the_trigger_that_was_read_before_it() -> None:
    ours = comparison().runs[0]
    found = changes(ours)
    assert [(each.before, each.after, each.why, each.reading) for each in found] == [
        (1, 4, "prefill", 1.0),
        (4, 2, "kv", None),
    ]
    assert drivers(ours) == {"prefill": (1, 0), "kv": (0, 1)}


def test_the_page_loads_nothing_and_a_name_in_it_is_text() -> None:
    html = report.render(comparison(HOSTILE))
    assert html.count("<script") == 2
    assert "src=" not in html
    assert set(re.findall(r"https?://[\w.]+", html)) <= {"http://www.w3.org"}
    assert "default-src 'none'" in html


def test_the_charts_hold_what_the_run_held() -> None:
    data = json.loads(report.render(comparison()).partition('id="data">')[2].partition("</script>")[0])
    ours = data["laws"][0]
    assert ours["wanted"] == [1, 1, 4, 4, 2, 2]
    assert ours["attainment"] == [0.7, None]
    assert ours["signals"]["kv"] == [None] * 6


def test_a_day_of_steps_makes_a_page_of_one_size() -> None:
    steps = 5760
    many = run("tidegate", [at % 7 for at in range(steps)], ["prefill"] * steps, steps)
    whole = comparison()
    long = Comparison(whole.trace, whole.about, 86400.0, 1, whole.facts, (many, *whole.runs[1:]), whole.scores)
    assert len(report.render(long)) < 200_000


def test_the_json_of_a_comparison_has_no_number_that_json_lacks() -> None:
    tree = json.loads(dumps(comparison()), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert tree["runs"][0]["totals"]["attainment"] == 0.7
    assert tree["scores"]["tidegate"]["score"] == 0.7777
