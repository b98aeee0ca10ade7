"""The chart's values as pages: README's table and the schema's descriptions from the comments in values.yaml.

`python -m tests.chart.values_page` writes both; it knows no template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.helm import ROOT

CHART = ROOT / "charts" / "tidegate"
_KEY = re.compile(r"^( *)([A-Za-z]\w*):")
_BEGIN, _END = "<!-- values: written from values.yaml by `make docs` -->\n", "<!-- end of values -->\n"


def comments(text: str) -> dict[str, str]:
    """Dotted path of a key to the `# -- …` comment above it."""
    found: dict[str, str] = {}
    path: list[str] = []
    said: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("# -- "):
            said = [bare.removeprefix("# -- ")]
        elif bare.startswith("#") and said:
            said.append(bare.lstrip("# "))
        elif key := _KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if said:
                found[".".join(path)] = " ".join(said)
            said = []
    return found


def leaves(values: dict[str, Any], described: dict[str, str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each key that a user sets, and its default: a map that has a comment of its own is one value."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and path not in described:
            yield from leaves(value, described, f"{path}.")
        else:
            yield path, value


def table(text: str) -> str:
    """Markdown: one row per key."""
    described = comments(text)
    rows = [
        f"| `{path}` | `{json.dumps(default, ensure_ascii=False)}` | {described[path].replace('|', chr(92) + '|')} |"
        for path, default in leaves(yaml.safe_load(text), described)
    ]
    return "\n".join(["| key | default | what it is |", "|---|---|---|", *rows, ""])


def readme(current: str, text: str) -> str:
    """README.md with the table that belongs into it."""
    before, _, rest = current.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table(text)}\n{_END}{after}"


def described_schema(schema: dict[str, Any], described: dict[str, str], prefix: str = "") -> dict[str, Any]:
    """The schema with each key's comment as its description; `modelDefaults` describes the entries of `models` too."""
    properties = {}
    for key, part in schema.get("properties", {}).items():
        path = f"{prefix}{key}"
        inner = described_schema(part, described, f"{path}.")
        if path == "models":
            inner["items"] = described_schema(part["items"], described, "modelDefaults.")
        said = described.get(path, part.get("description"))
        properties[key] = {"description": said, **inner} if said else inner
    return {
        **{name: part for name, part in schema.items() if name != "description"},
        **({"properties": properties} if properties else {}),
    }


def pages() -> dict[Path, str]:
    """Both files as they should be."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    readme_path, schema_path = CHART / "README.md", CHART / "values.schema.json"
    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    return {
        readme_path: readme(readme_path.read_text(encoding="utf-8"), text),
        schema_path: json.dumps(described_schema(schema, comments(text)), indent=2, ensure_ascii=False) + "\n",
    }


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
