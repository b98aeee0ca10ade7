"""`tidegate scale` as a whole: its kinds, their help, what they need, how moments are written."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from autoscale import deletion_cost
from serving.cli import main, scale_deletion_cost
from serving.cli.extras import installed
from serving.cli.moments import moment

KINDS = ("lint", "doctor", "explain", "profile", "simulate", "replay", "deletion-cost")
NOW = 1_795_700_000.0


def test_the_help_lists_every_kind_and_each_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["scale", "--help"])
    listed = capsys.readouterr().out
    assert left.value.code == 0
    for kind in KINDS:
        assert f"    {kind}" in listed
        with pytest.raises(SystemExit) as left:
            main(["scale", kind, "--help"])
        assert left.value.code == 0
        assert f"usage: tidegate scale {kind}" in capsys.readouterr().out


def test_without_a_kind_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["scale"])
    assert left.value.code == 2
    assert "KIND" in capsys.readouterr().err


def test_the_help_loads_no_package_of_the_extra() -> None:
    script = (
        "import sys; from serving.cli import main\n"
        "try: main(['scale', 'replay', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'numba', 'kubernetes', 'yaml'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_missing_package_is_named_with_the_extra_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert not installed("scale", "json", "no_such_package")
    said = capsys.readouterr().err
    assert "no_such_package not installed" in said
    assert "tidegate[scale]" in said
    assert "json" not in said


def test_the_deletion_cost_updater_takes_here_what_it_takes_in_its_pod() -> None:
    own, here = argparse.ArgumentParser(), argparse.ArgumentParser()
    deletion_cost.add_options(own)
    scale_deletion_cost.add(here.add_subparsers())
    given = ["--namespace", "chat", "--selector", "app=cell", "--port", "1", "--port", "2", "--interval", "3", "--once"]
    for arguments in (given, given[:4]):
        taken = vars(here.parse_args(["deletion-cost", *arguments]))
        taken.pop("run")
        assert taken == vars(own.parse_args(arguments))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", NOW),
        ("6h", NOW - 6 * 3600),
        ("90s", NOW - 90),
        ("1.5d", NOW - 1.5 * 86400),
        ("1795000000", 1_795_000_000.0),
        ("2026-11-26T18:00:00Z", 1_795_716_000.0),
        ("2026-11-26T19:00:00+01:00", 1_795_716_000.0),
        ("2026-11-26T18:00:00", 1_795_716_000.0),
    ],
)
def test_a_moment_is_relative_unix_or_a_date(text: str, seconds: float) -> None:
    assert moment(text, NOW) == seconds


def test_a_moment_that_is_none_says_what_it_may_be() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"yesterday.*6h"):
        moment("yesterday", NOW)
