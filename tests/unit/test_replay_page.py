"""The page of a replay: complete, escaped, loading nothing and running nothing."""

from __future__ import annotations

import re
from pathlib import Path

from autoscale.replay import page
from autoscale.replay.chart import Line, chart
from autoscale.replay.page import Replayed
from autoscale.replay.recording import Span
from autoscale.replay.what_if import Change, Step

HOSTILE = "</style><script>alert(1)</script>"
SPAN = Span(1_795_716_000.0, 1_795_716_060.0, 15.0)


def replayed(name: str = "qwen", steps: int = 5) -> Replayed:
    span = Span(SPAN.begin, SPAN.begin + 15.0 * (steps - 1), 15.0)
    found = [Step(15.0 * at, 1 + at % 3, 1, 2, {"need": float(at), "kv": None}, "need") for at in range(steps)]
    moved = [Change(15.0, 1, 2, "need", 1.25), Change(30.0, 2, 3, "activation", None)]
    return Replayed(name, span, found, moved, [("there were", "2 to 2 replicas")], [f"{name}: no answer"])


def test_it_has_every_change_its_reason_the_facts_and_the_notes(tmp_path: Path) -> None:
    page.write(replayed(), tmp_path / "replay.html")
    html = (tmp_path / "replay.html").read_text(encoding="utf-8")
    assert re.search(r"2026-11-26T18:00:15Z</td>.*?1</td>.*?2</td>.*?need</td>.*?1.25</td>", html)
    assert re.search(r"2026-11-26T18:00:30Z</td>.*?2</td>.*?3</td>.*?activation</td>", html)
    assert "2 to 2 replicas" in html
    assert "qwen: no answer" in html


def test_it_loads_nothing_runs_nothing_and_a_name_in_it_is_text() -> None:
    html = page.render(replayed(HOSTILE))
    assert "<script" not in html
    assert "src=" not in html
    assert html.count("</style>") == 1
    assert "default-src 'none'" in html


def test_a_week_makes_a_page_of_one_size() -> None:
    assert len(page.render(replayed(steps=40_320))) < 100_000


def test_a_line_breaks_where_nothing_was_read() -> None:
    drawn = chart("need", [0.0, 15.0, 30.0, 45.0], [Line("reading", [1.0, None, 1.0, 2.0])], SPAN)
    (path,) = re.findall(r'd="([^"]*)" class="reading"', drawn)
    assert path.count("M") == 2
    assert path.count("V") == 1


def test_nothing_changed_is_said() -> None:
    assert "It changed nothing." in page.render(replayed()._replace(changes=[]))
