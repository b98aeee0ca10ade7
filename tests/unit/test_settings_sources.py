"""Where a setting's value comes from, and what a wrong one is told."""

from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.settings_sources import fields, load, variable


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "tidegate.yaml"


def test_command_line_beats_environment_beats_file_beats_default(config: Path) -> None:
    config.write_text("front: {port: 1, admin_port: 2, drain_seconds: 3}")
    environ = {"TIDEGATE_FRONT__PORT": "11", "TIDEGATE_FRONT__ADMIN_PORT": "12"}

    front = load({"front.port": 21}, environ, str(config)).front

    assert (front.port, front.admin_port, front.drain_seconds, front.heartbeat_seconds) == (21, 12, 3, 10)


def test_a_flag_that_was_not_given_overrides_nothing() -> None:
    assert load({"front.port": None}, {"TIDEGATE_FRONT__PORT": "11"}).front.port == 11


def test_the_file_can_be_named_by_the_environment(config: Path) -> None:
    config.write_text("front: {port: 1}")

    assert load({}, {"TIDEGATE_CONFIG": str(config)}).front.port == 1


@pytest.mark.parametrize("key", [key for key, *_ in fields()])
def test_every_setting_has_a_variable_of_its_own_and_a_description(key: str) -> None:
    described = {name: text for name, _, _, text in fields()}

    assert variable(key) == "TIDEGATE_" + key.upper().replace(".", "__")
    assert described[key].endswith(".")


def test_lists_are_written_with_commas_or_as_yaml() -> None:
    for text in ("http://a,http://b", " http://a , http://b ", "[http://a, http://b]"):
        assert load({}, {"TIDEGATE_FRONT__ENGINES": text}).front.engines == ("http://a", "http://b")


def test_mappings_are_written_as_yaml() -> None:
    environ = {"TIDEGATE_ENGINE__VLLM_FLAGS": "{max-num-seqs: 4}"}

    assert load({}, environ).engine.vllm_flags == {"max-num-seqs": 4}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"TIDEGATE_FRONT__PORT": "many"}, "front.port"),
        ({"TIDEGATE_FRONT__PORT": "70000"}, "front.port"),
        ({"TIDEGATE_ENGINE__DEVICE": "tpu"}, "engine.device"),
        ({"TIDEGATE_ENGINE__GPU_MEMORY_UTILIZATION": "1.5"}, "engine.gpu_memory_utilization"),
        ({"TIDEGATE_FRONT__LIMITS__BODY_BYTES": "0"}, "front.limits.body_bytes"),
        ({"TIDEGATE_ENGINE__DRAIN__STREAM_SECONDS": "131"}, "engine.drain"),
        ({"TIDEGATE_ENGINE__VLLM_FLAGS": "{a"}, "engine.vllm_flags"),
    ],
)
def test_a_wrong_value_names_its_key(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, environ)

    assert caught.value.key == named
    assert str(caught.value).startswith(f"{named}: ")


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean TIDEGATE_FRONT__PORT"):
        load({}, {"TIDEGATE_FRONT__PROT": "1"})


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_name(config: Path) -> None:
    config.write_text("front: {prot: 1}")

    with pytest.raises(SettingsError, match=r"front\.prot: no such setting; did you mean front\.port"):
        load({}, {}, str(config))


def test_variables_that_kubernetes_sets_for_a_service_are_not_settings() -> None:
    environ = {"TIDEGATE_FRONT_SERVICE_HOST": "10.0.0.1", "TIDEGATE_FRONT_PORT_8000_TCP_ADDR": "10.0.0.1"}

    assert load({}, environ) == load({}, {})


@pytest.mark.parametrize(("content", "said"), [("- a", "mapping"), ("a: [", "not a YAML file"), ("front: 1", "front")])
def test_a_file_of_another_shape_is_refused(config: Path, content: str, said: str) -> None:
    config.write_text(content)

    with pytest.raises(SettingsError, match=said):
        load({}, {}, str(config))


def test_a_missing_file_is_named(config: Path) -> None:
    with pytest.raises(SettingsError, match=f"cannot read {config}"):
        load({}, {}, str(config))


def test_a_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"front.api_keys": "hunter2"}, {})

    assert "hunter2" not in str(caught.value)
