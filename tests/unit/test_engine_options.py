"""From settings to vLLM's arguments, environment and device, without vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving.engine import options
from serving.engine.environment import environment
from serving.engine.flags import Flag, known_flags
from serving.engine.models import ResolvedModel, resolve_model
from serving.engine.options import check_flags, server_arguments
from serving.errors import SettingsError
from serving.settings import EngineSettings

MODEL = ResolvedModel("org/model", "model", nonsense=False)
KNOWN = {
    "max_num_seqs": Flag("max_num_seqs", "int"),
    "swap_space": Flag("swap_space", "float"),
    "enforce_eager": Flag("enforce_eager", "bool"),
    "scheduling_policy": Flag("scheduling_policy", "choice", ("fcfs", "priority")),
    "chat_template": Flag("chat_template"),
    "port": Flag("port", "int"),
    "api_key": Flag("api_key"),
}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "known_flags", lambda: KNOWN)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max-num-sqs", 1, "did you mean max-num-seqs?"),
        ("max-num-seqs", "many", "must be a whole number"),
        ("max-num-seqs", True, "must be a whole number"),
        ("swap_space", "x", "must be a number"),
        ("enforce-eager", 1, "must be true or false"),
        ("scheduling-policy", "lifo", "must be one of fcfs, priority"),
        ("chat-template", True, "takes a value"),
        ("port", 1, "set engine.port instead"),
        ("shutdown-timeout", 1, "set engine.drain.stream_seconds instead"),
        ("api-key", "x", "the front tier holds the keys"),
    ],
)
def test_a_wrong_flag_is_named(name: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_flags({name: value})
    assert caught.value.key == f"engine.vllm_flags.{name}"
    assert said in str(caught.value)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "flags", [{"max_num_seqs": "2k"}, {"max-num-seqs": 8}, {"enforce-eager": False}, {"swap-space": 1}]
)
def test_right_flags_pass_under_both_spellings(flags: dict[str, Any]) -> None:
    check_flags(flags)


def test_no_flags_need_no_vllm() -> None:
    check_flags({})


def test_values_are_written_as_vllm_reads_them() -> None:
    flags = {"max_num_seqs": 8, "a-list": [1, 2], "a-dict": {"k": 1}, "off": False, "nothing": None}
    arguments = server_arguments(EngineSettings(vllm_flags=flags), MODEL, "cpu")
    text = " ".join(arguments)
    assert "--model=org/model --served-model-name=model" in text
    assert '--max-num-seqs=8 --a-list 1 2 --a-dict={"k": 1} --no-off' in text
    assert "nothing" not in text
    assert "--enforce-eager" in arguments
    assert "--enable-prompt-tokens-details" in arguments


def test_gpu_settings_do_not_reach_a_cpu() -> None:
    settings = EngineSettings(tensor_parallel_size=2)
    assert "--gpu-memory-utilization=0.9" in server_arguments(settings, MODEL, "cuda")
    assert "--distributed-executor-backend=mp" in server_arguments(settings, MODEL, "cuda")
    assert not any("gpu" in argument for argument in server_arguments(settings, MODEL, "cpu"))


def test_the_environment_keeps_ports_threads_and_drains_together() -> None:
    settings = EngineSettings(port=30010, replicas=2)
    chosen = environment(settings, MODEL, "cpu", "secret", {})
    assert chosen["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] == "30010"
    assert chosen["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] == "30012"
    assert chosen["OMP_NUM_THREADS"] == "1"
    assert chosen["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] == "140"
    assert chosen["RAY_AUTH_TOKEN"] == "secret"


def test_a_mounted_ray_token_stays() -> None:
    assert "RAY_AUTH_TOKEN" not in environment(EngineSettings(), MODEL, "cpu", "x", {"RAY_AUTH_TOKEN_PATH": "/token"})


def test_flags_are_read_from_sources(tmp_path: Path) -> None:
    for folder in ("config", "engine", "entrypoints/launchers"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "config/a.py").write_text('P = Literal["x", "y"]\nclass A:\n    n: int | None = 1\n    p: P = "x"\n')
    (tmp_path / "engine/arg_utils.py").write_text('g.add_argument("--n", "-n")\ng.add_argument("--p")\n')
    (tmp_path / "entrypoints/launchers/cli_args.py").write_text("class FrontendArgs:\n    on_off: bool = True\n")
    assert known_flags(tmp_path) == {
        "n": Flag("n", "int"),
        "p": Flag("p", "choice", ("x", "y")),
        "on_off": Flag("on_off", "bool"),
    }


def test_a_folder_is_named_by_its_last_part(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    model = resolve_model(EngineSettings(model=str(tmp_path / "mine")), "cpu", {}, print)
    assert (model.served_name, model.nonsense) == ("mine", False)
