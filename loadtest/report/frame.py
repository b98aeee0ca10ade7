"""What stands around the sections of any report: head, policy, header, data and scripts; it knows no report."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any, NamedTuple

from loadtest.report.markup import Markup, element, joined, script_json


class Frame(NamedTuple):
    """`scripts` and `style` are texts, `style` comes after what every report has; `data` is what the scripts draw."""

    generator: str
    kicker: str
    title: str
    subject: str
    facts: Sequence[str]
    data: Any
    scripts: Sequence[str]
    style: str = ""


def framed(frame: Frame, sections: str) -> str:
    """The whole page, around sections that are HTML already."""
    style = asset("page.css") + frame.style
    script = '"use strict";\n' + "".join(frame.scripts)
    return Template(asset("frame.html")).substitute(
        csp=policy(style, script),
        generator=frame.generator,
        title=element("title", frame.title),
        style=style,
        kicker=frame.kicker,
        heading=_heading(frame.subject, frame.facts),
        sections=sections,
        data=script_json(frame.data),
        script=script,
    )


def _heading(subject: str, facts: Sequence[str]) -> Markup:
    """What the page is about, and a line of facts."""
    return joined([element("h1", subject), element("p", " \N{MIDDLE DOT} ".join(facts), class_="facts")])


def asset(name: str, package: str = "loadtest.report") -> str:
    """A text of a report's folder `assets`."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")


def policy(style: str, script: str = "") -> str:
    """Nothing is loaded and nothing runs but these two; without a script, nothing runs."""
    runs = f"script-src '{_hash(script)}'; " if script else ""
    return f"default-src 'none'; {runs}style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    """As a content security policy names the one inline text that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
