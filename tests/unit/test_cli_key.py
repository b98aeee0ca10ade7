"""`tidegate key`."""

import hashlib
import json

import pytest
import yaml

from serving.cli import main
from serving.front.keys import is_mistyped


def test_the_printed_entry_is_a_keys_file_that_holds_the_hash_and_not_the_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["key", "--team", "search", "--name", "search-ci"]) == 0
    key, _, entry = capsys.readouterr().out.partition("\n")

    expected = {"name": "search-ci", "team": "search", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    assert yaml.safe_load(entry) == {"keys": [expected]}
    assert key.startswith("tg_")
    assert not is_mistyped(key)
    assert key not in entry


def test_json_gives_the_same_in_one_line_and_never_the_same_key_twice(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["key", "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())

    assert first["key"] != second["key"]
    assert first["entry"]["sha256"] == hashlib.sha256(first["key"].encode()).hexdigest()


def test_a_name_with_yaml_in_it_stays_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "--name", "a: {b", "--team", 'x"y']) == 0

    entry = yaml.safe_load(capsys.readouterr().out.partition("\n")[2])["keys"][0]
    assert (entry["name"], entry["team"]) == ("a: {b", 'x"y')
