"""Pages that are generated, and promises in prose that a machine can check."""

import re
import subprocess
from pathlib import Path

import pytest

from serving.cli import main
from serving.cli.settings_command import markdown

ROOT = Path(__file__).parents[2]


def test_the_settings_page_is_current() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == markdown(), "run `make docs`"


def test_the_settings_page_is_the_same_whatever_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_FRONT__PORT", "1234")

    assert main(["settings", "--markdown"]) == 0
    assert capsys.readouterr().out == markdown()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_files_and_targets_that_prose_names_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (ROOT / page).parent.joinpath(link).exists()]
    targets = [name for name in re.findall(r"`make ([a-z-]+)", text) if not re.search(rf"^{name}:", makefile, re.M)]

    assert (links, targets) == ([], [])


def test_the_help_of_make_lists_every_target_it_documents() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in ("help", "up", "down", "test", "check", "fix", "bench", "bench-front", "bench-engine", "docs"):
        assert re.search(rf"^  make {target} ", listed, re.M), target
