"""From a profile to the law's parameters: knees, rates, and what no number of replicas could hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoscale import signals
from autoscale.engine_profile import ASSUMED_H100_8B, EngineProfile
from autoscale.profile.parameters import carried, counted, rates, values
from loadtest.slo import PRESETS, Slo
from serving.cli import main

CHAT = PRESETS["chat"]
SLOW = ASSUMED_H100_8B.model_copy(update={"prefill_seconds": 2e-3})
RELAXED = Slo("chat", 2.0, 0.2)


def test_both_workloads_fill_one_replica_at_their_knees() -> None:
    found = [carried(ASSUMED_H100_8B, name, RELAXED) for name in ("chat", "code-relaxed")]
    of = rates(found)

    assert of is not None
    assert [counted(each, of) for each in found] == pytest.approx([1.0, 1.0])
    assert min(of) > 0


def test_an_slo_that_a_single_request_misses_is_infeasible() -> None:
    found = carried(SLOW, "chat", CHAT)

    assert found.knee == 0.0
    assert found.alone < 0.5
    assert "no number of replicas holds the SLO" in found.why_none
    assert "miss the TTFT of 0.5 s" in found.why_none
    assert "TPOT" not in found.why_none
    assert rates([found]) is None


def test_attention_makes_long_prompts_miss_what_short_ones_hold() -> None:
    slower = ASSUMED_H100_8B.model_copy(update={"attention_seconds": 1e-6})

    assert carried(slower, "code-relaxed", CHAT).alone < carried(ASSUMED_H100_8B, "code-relaxed", CHAT).alone == 1.0


def test_a_short_context_shortens_what_is_asked() -> None:
    short = ASSUMED_H100_8B.model_copy(update={"max_model_len": 1024})

    assert carried(short, "chat", CHAT).tokens.sum() < 512


def test_the_yaml_is_a_models_entry_that_the_law_knows() -> None:
    found = [carried(ASSUMED_H100_8B, "chat", RELAXED)]
    of = rates(found)
    assert of is not None

    given = yaml.safe_load(values(of, RELAXED))["scaling"]["parameters"]

    told = signals.load().values({"model": "m", **given})
    assert told["prefill_tokens_per_second"] == pytest.approx(2 * found[0].knee * found[0].tokens[0], abs=1)
    assert told["ttft_seconds"] == RELAXED.ttft_seconds


@pytest.mark.parametrize(
    ("workload", "slo", "says"),
    [
        ("agentic", CHAT, "--workload agentic: must be one of chat"),
        ("chat", PRESETS["batch"], "--slo batch: has no limits"),
    ],
)
def test_what_has_no_knee_is_refused(workload: str, slo: Slo, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        carried(ASSUMED_H100_8B, workload, slo)


def told(capsys: pytest.CaptureFixture[str], profile: Path, *more: str) -> tuple[int, str, str]:
    status = main(["scale", "profile", "--profile", str(profile), *more])
    said = capsys.readouterr()
    return status, said.out, said.err


def saved(folder: Path, profile: EngineProfile) -> Path:
    profile.save(folder / "p.json")
    return folder / "p.json"


def test_the_command_prints_knees_and_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capsys, saved(tmp_path, ASSUMED_H100_8B))

    assert status == 0
    assert out.count("knee of one replica") == 2
    parameters = yaml.safe_load(out[out.index("scaling:") :])["scaling"]["parameters"]
    assert parameters["prefill_tokens_per_second"] > parameters["decode_tokens_per_second"] > 0


def test_the_command_says_that_an_engine_is_too_slow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = told(capsys, saved(tmp_path, SLOW))

    assert status == 1
    assert out.count("no number of replicas holds the SLO") == 2
    assert "carries none of it within TTFT 0.5 s, TPOT 0.05 s" in err


def test_rates_that_are_wrong_for_a_workload_are_not_passed_on_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quadratic = ASSUMED_H100_8B.model_copy(update={"attention_seconds": 1e-8})

    _, out, _ = told(capsys, saved(tmp_path, quadratic), "--ttft", "1")

    assert "these rates are not code-relaxed's" in out


def test_a_file_that_is_no_profile_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.json").write_text('{"base_seconds": -1}')

    status, _, err = told(capsys, tmp_path / "p.json")

    assert status == 2
    assert "p.json is no profile: base_seconds: Input should be greater than or equal to 0" in err


@pytest.mark.parametrize(
    ("url", "says"),
    [("127.0.0.1:1", "--url: '127.0.0.1:1' must begin with http"), ("http://127.0.0.1:1", "does not answer")],
)
def test_an_address_without_an_engine_is_named(url: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "profile", "--url", url]) == 2
    assert says in capsys.readouterr().err
