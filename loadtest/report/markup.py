"""HTML of which every text and every attribute is escaped; it knows tags, not reports."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias


class Markup(str):
    """Text that is HTML already. Made here only."""

    __slots__ = ()


Child: TypeAlias = str | Markup
"""A plain str is text and gets escaped."""


def element(tag: str, *children: Child, **attributes: str) -> Markup:
    """`class_` is class, other underscores are hyphens."""
    pairs = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in pairs)
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: Iterable[Child]) -> Markup:
    """One after the other."""
    return Markup("".join(child if isinstance(child, Markup) else html.escape(child) for child in children))


def table(headers: Sequence[Child], rows: Sequence[Sequence[Child]], caption: str, texts: int = 1) -> Markup:
    """The first `texts` columns hold text, the rest figures. It scrolls sideways where it is too wide."""
    head = element("tr", *(element("th", header, scope="col") for header in headers))
    body = [
        element(
            "tr", *(element("td", cell, **({"class_": "text"} if at < texts else {})) for at, cell in enumerate(row))
        )
        for row in rows
    ]
    whole = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), data_texts=str(texts)
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def script_json(value: Any) -> Markup:
    """Compact JSON that cannot end the script element that it stands in. No NaN: the caller gives None."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)
