"""The warden against real processes: what a dead cell leaves behind is killed, also what lost its parent before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually

# A cell with a grandchild whose own parent ends at once; it writes the grandchild's id and then waits.
_CELL = """
import subprocess, sys, time
from serving.engine.warden import warden
with warden():
    child = subprocess.Popen([sys.executable, "-c", "import subprocess, sys, time\\n"
        "g = subprocess.Popen(['sleep', '60'], start_new_session=True)\\n"
        "open(sys.argv[1], 'w').write(str(g.pid))\\ntime.sleep(4)", sys.argv[1]])
    child.wait() if sys.argv[2] == "orphan" else time.sleep(0.2)
    open(sys.argv[1] + ".go", "w").close()
    time.sleep(60 if sys.argv[3] == "killed" else 0)
"""


@pytest.mark.parametrize(("kind", "end"), [("child", "killed"), ("orphan", "killed"), ("orphan", "ended")])
def test_nothing_survives_the_cell(tmp_path: Path, kind: str, end: str) -> None:
    note = tmp_path / "pid"
    cell = subprocess.Popen([sys.executable, "-c", _CELL, str(note), kind, end])
    eventually(lambda: note.with_suffix(".go").exists() and note.read_text(), 15, "the grandchild")
    grandchild = int(note.read_text())

    if end == "killed":
        assert _runs(grandchild)
        cell.kill()
    cell.wait(10)

    eventually(lambda: not _runs(grandchild), 3, "the grandchild's end")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
