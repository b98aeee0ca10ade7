"""`tidegate scale lint`: a line per finding that names file and object, an exit status that a pipeline can go by."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.cli import main

EXPOSITION = Path(__file__).parents[1] / "data" / "expositions" / "engine_busy.txt"


def scaled(name: str = "qwen", workload: str = "cell", **changed: Any) -> dict[str, Any]:
    """One that has nothing wrong."""
    metadata = {
        "serverAddress": "http://prometheus:9090",
        "query": 'sum(vllm:num_requests_waiting{model_name="tiny"})',
        "threshold": "4",
        "ignoreNullValues": "false",
        **changed,
    }
    spec = {
        "scaleTargetRef": {"name": workload},
        "minReplicaCount": 1,
        "maxReplicaCount": 8,
        "fallback": {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"},
        "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": metadata}],
    }
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": spec}


def written(folder: Path, name: str, *documents: dict[str, Any]) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return path


def test_what_has_nothing_wrong_ends_with_0_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "lint", str(written(tmp_path, "good.yaml", scaled()))]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 ScaledObject, 0 findings, 0 errors" in err


def test_an_error_is_a_line_with_file_name_rule_and_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "bad.yaml", scaled(query="avg(vllm:kv_cache_usage_perc)", threshold="0.75"))
    assert main(["scale", "lint", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{path}:qwen spec.triggers[0]: error ratio-average-value: ") for line in lines)


def test_a_warning_alone_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "so.yaml", scaled(ignoreNullValues="true"))
    assert main(["scale", "lint", str(path)]) == 0
    assert ": warning null-is-zero: " in capsys.readouterr().out


def test_standard_input_is_a_file_named_minus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(scaled(query="avg(vllm:kv_cache_usage_perc)"))))
    assert main(["scale", "lint", "-", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"-"} == {one["file"] for one in found}
    assert {"file", "rule", "severity", "where", "text"} == set(found[0])


def test_two_files_of_a_folder_that_scale_one_workload_are_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = written(tmp_path, "a.yaml", scaled("one"))
    (tmp_path / "more").mkdir()
    written(tmp_path / "more", "b.yml", scaled("two"))
    assert main(["scale", "lint", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{first}:one: error two-scalers: ")


def test_a_name_or_label_that_the_exposition_lacks_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "so.yaml", scaled(query='sum(vllm:num_requests_queued{model_name="tiny"})'))
    assert main(["scale", "lint", str(path)]) == 0
    assert main(["scale", "lint", str(path), "--exposition", str(EXPOSITION)]) == 1
    assert "error series-absent: vllm:num_requests_queued" in capsys.readouterr().out


def test_a_threshold_at_the_slo_is_said_once_the_slo_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latency = "histogram_quantile(0.9, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[1m])))"
    document = scaled(query=latency, threshold="0.5")
    document["spec"]["triggers"][0]["metricType"] = "Value"
    path = written(tmp_path, "so.yaml", document)
    main(["scale", "lint", str(path)])
    before = capsys.readouterr().out
    main(["scale", "lint", str(path), "--slo-ttft", "0.5"])
    after = capsys.readouterr().out
    assert set(before.splitlines()) < set(after.splitlines())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["lint"], "--cluster"),
        (["lint", "/nowhere.yaml"], "/nowhere.yaml: No such file"),
        (["lint", "TEMPLATE"], "helm template"),
        (["lint", "FOLDER"], "no .yaml file"),
        (["lint", "GOOD", "--exposition", "/nowhere.txt"], "--exposition /nowhere.txt"),
        (["lint", "GOOD", "--exposition", "http://127.0.0.1:9/metrics"], "--exposition http://127.0.0.1:9/metrics"),
    ],
)
def test_what_cannot_be_read_ends_with_2_and_is_named(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = written(tmp_path, "good.yaml", scaled())
    (tmp_path / "template.yaml").write_text("{{- range .Values.targets }}\nkind: ScaledObject\n{{- end }}\n")
    (tmp_path / "empty").mkdir()
    places = {"GOOD": good, "TEMPLATE": tmp_path / "template.yaml", "FOLDER": tmp_path / "empty"}
    assert main(["scale", *(str(places.get(word, word)) for word in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["lint", "--cluster"], 2, "the cluster does not answer"),
        (["lint", "--cluster", "--context", "other"], 2, "no context other"),
        (["explain", "qwen", "-n", "chat"], 2, "the cluster does not answer"),
        (["replay", "--from", "1h"], 2, "the cluster does not answer"),
    ],
)
def test_a_cluster_that_cannot_be_read_is_one_line(
    arguments: list[str], status: int, named: str, tmp_path: Path
) -> None:
    # A process of its own: the client reads KUBECONFIG once, when it is imported.
    environ = {**os.environ, "KUBECONFIG": str(unanswered(tmp_path))}
    command = [sys.executable, "-m", "serving.cli", "scale", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tidegate: error: {named}")


@pytest.mark.parametrize("text", [None, "", "{{ not: yaml", "[1, 2]", "clusters: 3\ncurrent-context: a\ncontexts: 3"])
def test_a_kubeconfig_that_is_none_is_named(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    environ = {**os.environ, "KUBECONFIG": str(path), "KUBERNETES_SERVICE_HOST": ""}
    command = [sys.executable, "-m", "serving.cli", "scale", "lint", "--cluster"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tidegate: error: no cluster: {path}")
    assert "set kubeconfig to" in line.lower()
    assert line.endswith("; or give files")


def unanswered(folder: Path) -> Path:
    """A KUBECONFIG of a port that nobody listens on."""
    named = {"name": "a"}
    config = {
        **{"apiVersion": "v1", "kind": "Config", "current-context": "a"},
        "clusters": [{**named, "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{**named, "user": {}}],
        "contexts": [{**named, "context": {"cluster": "a", "user": "a"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
