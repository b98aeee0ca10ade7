"""docs/scaling.md and autoscale/README.md: what they show is what the commands say, what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serving.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
TREE = (ROOT / "autoscale" / "README.md").read_text(encoding="utf-8")


def test_the_linter_says_of_the_snippet_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snippet = PAGE.partition("```yaml\n")[2].partition("```")[0]
    shown = PAGE.partition("$ tidegate scale lint vllm.yaml\n")[2].partition("```")[0]
    (tmp_path / "vllm.yaml").write_text(snippet, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["scale", "lint", "vllm.yaml"]) == 1
    assert capsys.readouterr().out == shown


def test_every_command_and_option_of_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named = re.findall(r"tidegate scale ([a-z-]+)", PAGE)
    assert {"lint", "doctor", "explain", "profile", "simulate", "replay"} <= set(named)
    known = set()
    for kind in dict.fromkeys(named):
        with pytest.raises(SystemExit):
            main(["scale", kind, "--help"])
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"(?<![-|])--[a-z][a-z-]+", PAGE)) <= known


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_file_of_the_tree_exists_and_no_package_is_missing() -> None:
    lines = TREE.partition("```\n")[2].partition("```")[0].splitlines()
    folder, missing, packages = ROOT / "autoscale", [], set()
    for line in lines:
        indent = folder if line.startswith("  ") else ROOT / "autoscale"
        name = line.split()[0]
        if name.endswith("/") and not line.startswith("  "):
            folder = ROOT / "autoscale" / name
            packages.add(name.rstrip("/"))
        if not list(indent.glob(name.rstrip("/"))):
            missing.append(line)
    assert missing == []
    assert packages == {each.parent.name for each in (ROOT / "autoscale").glob("*/__init__.py")}
