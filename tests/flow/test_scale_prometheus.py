"""doctor, explain and replay against a real Prometheus: with a made-up past, and with series that come and go."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscale.live.cluster import Condition, Hpa, Scaled
from autoscale.live.doctor import examine
from autoscale.live.explain import explained
from autoscale.live.prometheus import Prometheus, PrometheusError
from serving.cli import main
from tests.support.ports import free_port
from tests.support.prometheus_server import Points, PrometheusServer
from tests.support.waiting import eventually

MINUTE, STEP = 60.0, 15.0
NEED = "sum(need)"
READY = "max(engines_ready)"
KV = "avg(kv_usage)"


def document(address: str, **queries: str) -> dict[str, Any]:
    asked = {"need": NEED, "ready": READY, "kv": f"{KV} or vector(0)", **queries}
    triggers = [
        {
            "type": "prometheus",
            "name": name,
            "metricType": "AverageValue",
            "metadata": {"serverAddress": address, "query": query, "threshold": "1", "ignoreNullValues": "false"},
        }
        for name, query in asked.items()
    ]
    formula = "max(need, kv > 0.75 ? ready + 1 : 0)"
    spec = {
        "scaleTargetRef": {"name": "cell"},
        "minReplicaCount": 1,
        "maxReplicaCount": 9,
        "pollingInterval": 5,
        "fallback": {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"},
        "advanced": {"scalingModifiers": {"formula": formula, "target": "1", "metricType": "AverageValue"}},
        "triggers": triggers,
    }
    return {
        **{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"},
        **{"metadata": {"name": "qwen", "namespace": "chat"}, "spec": spec},
    }


def scaled(of: dict[str, Any], replicas: int = 2) -> Scaled:
    """As a cluster in which all is well has it."""
    hpa = Hpa("keda-hpa-qwen", replicas, replicas, (Condition("AbleToScale", "True", "ReadyForNewScale", "it may"),))
    return Scaled(
        of, (Condition("Ready", "True", "ScaledObjectReady", "is defined"),), hpa, replicas, replicas, replicas
    )


class Past:
    """Three hours: an engine, then four, then none; the need rises before them."""

    def __init__(self, folder: Path) -> None:
        self.end = math.floor(time.time() / STEP) * STEP - 2 * MINUTE
        self.begin = self.end - 180 * MINUTE
        times = [self.begin + STEP * at for at in range(int((self.end - self.begin) / STEP) + 1)]
        engines = {at: 1 if at < self.minute(40) else 4 if at < self.minute(120) else 0 for at in times}
        ready: Points = list(engines.items())
        past: dict[str, Points] = {
            "need": [(at, 3.4 if self.minute(30) <= at < self.minute(90) else 1.0) for at in times],
            'engines_ready{pod="a"}': ready,
            'engines_ready{pod="b"}': ready,
        }
        for pod in range(4):
            past[f'kv_usage{{pod="{pod}"}}'] = [(at, 0.5) for at, count in engines.items() if pod < count]
        past["broken"] = [(at, math.nan) for at in times]
        self.server = PrometheusServer(folder, past)

    def minute(self, number: float) -> float:
        return self.begin + number * MINUTE


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    made = Past(tmp_path_factory.mktemp("past"))
    with made.server:
        yield made


def findings(past: Past, **queries: str) -> dict[str, list[tuple[bool, str]]]:
    of = scaled(document(past.server.url, **queries))
    found: dict[str, list[tuple[bool, str]]] = {}
    for each in examine(of, Prometheus, past.end, 180 * MINUTE):
        found.setdefault(each.subject, []).append((each.ok, each.text))
    return found


def test_every_query_is_asked_now_and_when_there_was_no_engine_one_and_the_most(past: Past) -> None:
    found = findings(past)
    assert found["qwen: kv"] == [
        (True, "0 now"),
        (True, "0 when there were 0 engines"),
        (True, "0.5 when there was 1 engine"),
        (True, "0.5 when there were 4 engines"),
    ]
    assert [ok for each in found.values() for ok, _ in each] == [True] * 14


def test_a_query_that_is_empty_without_engines_is_found_out_at_that_moment_only(past: Past) -> None:
    found = findings(past, kv=KV)["qwen: kv"]
    assert [ok for ok, _ in found] == [False, False, True, True]
    assert found[1][1].startswith("no answer when there were 0 engines")


def test_several_series_and_a_number_that_is_none_are_found_out_with_the_fix(past: Past) -> None:
    found = findings(past, kv="kv_usage or on() vector(0)", need="broken")
    assert found["qwen: kv"][3] == (False, "4 series when there were 4 engines, KEDA takes one: aggregate over pod")
    assert found["qwen: kv"][2] == (True, "0.5 when there was 1 engine")
    assert found["qwen: need"][0] == (False, "nan now: guard the division or quantile in PromQL")


def test_a_query_that_prometheus_refuses_is_found_out_with_its_words(past: Past) -> None:
    ((ok, text),) = findings(past, need="sum(need")["qwen: need"]
    assert not ok
    assert "refuses the query (400)" in text
    assert "unclosed left parenthesis" in text


def test_what_keda_and_the_hpa_say_is_passed_on(past: Past) -> None:
    of = scaled(document(past.server.url))
    assert of.hpa is not None
    unwell = of._replace(
        conditions=(
            Condition("Ready", "False", "", "no such Deployment"),
            Condition("Fallback", "True", "", "it fails"),
        ),
        hpa=of.hpa._replace(conditions=(Condition("ScalingActive", "False", "", "cannot read metrics"),)),
    )
    wrong = [each.text for each in examine(unwell, Prometheus, past.end, MINUTE) if not each.ok]
    assert wrong[0] == "Ready is False: no such Deployment"
    assert wrong[1] == "KEDA has fallen back: a query fails. it fails"
    assert wrong[2] == "ScalingActive is False: cannot read metrics"
    nothing = [each.text for each in examine(of._replace(conditions=(), hpa=None), Prometheus, past.end, MINUTE)]
    assert nothing[0].startswith("KEDA has not looked at it yet")
    assert nothing[1].startswith("KEDA made no HorizontalPodAutoscaler")


def test_a_prometheus_that_is_away_or_is_none_is_an_error_that_names_it(past: Past) -> None:
    with pytest.raises(PrometheusError, match=r"http://127.0.0.1:9 does not answer"):
        Prometheus("http://127.0.0.1:9").instant("up")
    with pytest.raises(PrometheusError, match="does not answer"):
        Prometheus("no address").instant("up")
    with pytest.raises(PrometheusError, match=r"404|as a Prometheus"):
        Prometheus(f"{past.server.url}/elsewhere").instant("up")


def replayed(past: Past, folder: Path, *arguments: str, **queries: str) -> dict[str, Any]:
    file, data = folder / "so.yaml", folder / "replay.json"
    file.write_text(yaml.safe_dump(document("http://elsewhere", **queries)), encoding="utf-8")
    range_ = ["--from", str(past.begin), "--to", str(past.end), "--prometheus", past.server.url, "--file", str(file)]
    out = ["--out", str(folder / "replay.html"), "--json", str(data)]
    assert main(["scale", "replay", *range_, *out, *arguments]) == 0
    found: dict[str, Any] = json.loads(data.read_text(encoding="utf-8"))
    return found


def test_a_replay_follows_the_recorded_need_and_names_it(
    past: Past, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = replayed(past, tmp_path)
    rise, fall = found["changes"]
    assert (rise["seconds"], rise["before"], rise["after"], rise["why"]) == (30 * MINUTE, 1, 4, "need")
    # The need falls at 90 min; the HPA looks back over 5.
    assert (fall["before"], fall["after"]) == (4, 1)
    assert 95 * MINUTE <= fall["seconds"] <= 95 * MINUTE + STEP
    assert found["facts"]["there were"].startswith("0 to 4 replicas")
    out = capsys.readouterr().out
    assert "1 -> 4  need = 3.4" in out
    assert out.endswith("replay.html draws it\n")


def test_a_replay_upon_the_count_that_was_there_lays_its_wish_beside_it(past: Past, tmp_path: Path) -> None:
    found = replayed(past, tmp_path, "--count", "recorded")
    at = {step["seconds"]: (step["wanted"], step["recorded"]) for step in found["steps"] if step["readings"]}
    assert [at[minute * MINUTE] for minute in (20, 35, 60, 110)] == [(1, 1), (4, 1), (4, 4), (1, 4)]


def test_a_gap_is_said_and_makes_nothing_shrink(past: Past, tmp_path: Path) -> None:
    found = replayed(past, tmp_path, need="sum(need) and on() (max(engines_ready) > 3)")
    assert [(change["before"], change["after"]) for change in found["changes"]] == [(1, 4), (4, 1)]
    assert found["notes"][0].startswith("need: no answer at ")


def test_a_range_of_which_nothing_is_kept_is_an_error_that_names_trigger_and_range(
    past: Past, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "so.yaml"
    file.write_text(yaml.safe_dump(document(past.server.url)), encoding="utf-8")
    wanted = ["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-01T06:00:00Z", "--file", str(file)]
    assert main(["scale", "replay", *wanted]) == 2
    err = capsys.readouterr().err
    assert err.startswith("tidegate: error: need: ")
    assert "between 2020-01-01T00:00:00Z and 2020-01-01T06:00:00Z" in err


def test_a_range_of_more_points_than_prometheus_gives_at_once_is_whole(past: Past, tmp_path: Path) -> None:
    found = replayed(past, tmp_path, "--step", "0.5", "--replicas-query", READY)
    assert found["step_seconds"] == 0.5
    assert found["changes"][0]["seconds"] == 30 * MINUTE
    assert found["notes"] == []


def test_replicas_that_are_counted_by_the_ready_engines_for_want_of_better_are_said_to_be(
    past: Past, tmp_path: Path
) -> None:
    (note,) = replayed(past, tmp_path)["notes"]
    assert note.startswith("the replicas there were are counted by the trigger ready at 721 of 721 moments")


class Exporter:
    """A /metrics whose series are whatever `text` is now."""

    def __init__(self) -> None:
        self.text, self.port = "", free_port()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(outer.text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is written."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def engines(self, count: int, need: float) -> None:
        usages = [f'kv_usage{{pod="{pod}"}} 0.8' for pod in range(count)]
        self.text = "\n".join([f"need {need}", f"engines_ready {count}", *usages, ""])


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Exporter, Prometheus]]:
    exporter = Exporter()
    with PrometheusServer(tmp_path, targets=[exporter.port]) as server:
        yield exporter, Prometheus(server.url)
    exporter.server.shutdown()


def test_explain_tells_what_each_signal_asks_for_as_engines_come_and_go(live: tuple[Exporter, Prometheus]) -> None:
    exporter, prometheus = live
    of = scaled(document(prometheus.address))

    def said(count: int, need: float) -> list[str]:
        exporter.engines(count, need)
        pairs = ((READY, count), (NEED, need), (f"{KV} or vector(0)", 0.8 if count else 0))

        def holds() -> bool:
            return all([one.value for one in prometheus.instant(query)] == [value] for query, value in pairs)

        eventually(holds, 10, "the scrape")
        return list(explained(of, Prometheus, time.time()))

    assert said(0, 1.0)[:2] == [
        "qwen scales cell: 2 wanted, 2 there, 2 ready, of 1 to 9",
        "stays at 2, 1 wanted: more was wanted within the scale-down window",
    ]
    grown = said(3, 2.5)
    assert grown[1] == "2 -> 4"
    assert "    kv: 0.8" in grown
    assert "    need: 2.5" in grown
    assert grown[-1] == "  the HPA: AbleToScale True, it may"
    exporter.text = ""
    eventually(lambda: not prometheus.instant(NEED), 10, "the series to go")
    gone = list(explained(of, Prometheus, time.time()))
    assert "    need: no series, an error, 1 in a row" in gone
    assert gone[1].startswith("stays at 2: metrics could not be read")
