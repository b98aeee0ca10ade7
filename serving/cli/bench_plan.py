"""From the flags of `tidegate bench` to a checked plan; what it asks the network is only which models there are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.errors import SettingsError

_TEMPLATE_TOKENS = 64
"""What a chat template may take of a context besides."""
_USABLE = 0.95
"""Of the rest: the length of made-up text is right within some per cent, and the server refuses what is too long."""


def planned(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """The plan as JSON, keys included. Raises `SettingsError` naming the field that is wrong."""
    from pydantic import ValidationError

    from loadtest.plan import Plan
    from loadtest.traffic.presets import WORKLOADS, fitted

    if args.preset not in WORKLOADS:
        raise SettingsError("--preset", f"{args.preset!r} is none of {', '.join(WORKLOADS)}")
    tree: dict[str, Any] = {"workload": WORKLOADS[args.preset].model_dump(mode="json")}
    tree |= _file(args.plan)
    tree |= _flags(args)
    tree["targets"], context_tokens = _targets(args, environ, tree.get("targets"))
    for assignment in args.assignments:
        _assign(tree, assignment)
    try:
        plan = Plan.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(".".join(map(str, first["loc"])) or "plan", first["msg"]) from None
    _check_trace(plan.arrivals.trace)
    if context_tokens:
        usable = max(1, int((context_tokens - _TEMPLATE_TOKENS) * _USABLE))
        limit = min(plan.workload.max_context_tokens or usable, usable)
        plan = plan.model_copy(update={"workload": fitted(plan.workload, limit)})
    return json.dumps(_with_keys(plan))


def _check_trace(path: Path | None) -> None:
    """Read it once here, where its mistakes can be told in one line."""
    from loadtest.traffic.traces import read

    if path is None:
        return
    try:
        trace = read(path)
    except (OSError, ValueError) as error:
        raise SettingsError("trace", str(error)) from None
    if trace.skipped:
        print(f"tidegate: {trace.skipped} lines of {path} are no generations and are left out", file=sys.stderr)


def _with_keys(plan: Any) -> dict[str, Any]:
    tree: dict[str, Any] = plan.model_dump(mode="json")
    for entry, target in zip(tree["targets"], plan.targets, strict=True):
        entry["api_key"] = target.api_key.get_secret_value()
    return tree


def _file(path: Any) -> dict[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError("--plan", str(error)) from None
    if not isinstance(tree, dict):
        raise SettingsError("--plan", f"{path} holds no mapping")
    return tree


def _flags(args: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {
        "kind": args.kind,
        "probe_seconds": args.seconds,
        "warmup_seconds": None if args.seconds is None else min(5.0, args.seconds / 6),
        "seed": args.seed,
        "out": str(args.out.resolve()) if args.out else None,
        "as_json": args.json or None,
        "rates": _rates(getattr(args, "rates", None)),
    }
    gate = {"min_goodput": args.min_goodput, "min_attainment": args.min_attainment}
    gate["baseline"] = str(args.baseline.resolve()) if args.baseline else None
    given["gate"] = {name: value for name, value in gate.items() if value is not None} or None
    if args.kind == "replay":
        given["arrivals"] = {"kind": "trace", "trace": str(args.trace.resolve()), "speed": args.speed or 1.0}
    return {name: value for name, value in given.items() if value is not None}


def _rates(text: str | None) -> list[float] | None:
    try:
        return [float(part) for part in text.split(",")] if text else None
    except ValueError:
        raise SettingsError("--rates", f"{text!r} is no list of numbers such as 1,2,4") from None


def _targets(args: argparse.Namespace, environ: Mapping[str, str], in_file: Any) -> tuple[list[dict[str, Any]], int]:
    """The servers, with a model each, and the smallest context of those that tell theirs (0: none does)."""
    first = {**(in_file[0] if in_file else {}), **_first(args, environ, bool(in_file))}
    found = [first, *(in_file or [])[1:2]]
    if args.kind == "ab" and args.against:
        second: dict[str, Any] = {"name": "B", "base_url": args.against.rstrip("/")}
        second["api_key"] = args.against_api_key or first.get("api_key", "")
        second["model"] = args.against_model or ""
        second["engine_urls"] = args.against_engine_url
        found = [{"name": "A", **first}, second]
    contexts = [_complete(target) for target in found]
    return found, min((context for context in contexts if context), default=0)


def _first(args: argparse.Namespace, environ: Mapping[str, str], in_file: bool) -> dict[str, Any]:
    from serving.cli.state import running

    given = args.base_url or (None if in_file else environ.get("OPENAI_BASE_URL"))
    here = None if given or in_file else running(environ)
    if not (given or here or in_file):
        raise SettingsError("--base-url", "no `tidegate up` runs on this machine: start one, or name a server")
    target: dict[str, Any] = {
        "base_url": (given or (here.base_url if here else "")).rstrip("/"),
        "api_key": args.api_key or (here.api_key if here else None) or environ.get("OPENAI_API_KEY"),
        "model": args.model,
        "front_admin_url": args.admin_url or (here.admin_url if here else None),
        "engine_urls": args.engine_url,
    }
    return {name: value for name, value in target.items() if value}


def _complete(target: dict[str, Any]) -> int:
    """Fill in the model; the context that the server tells, or 0."""
    from serving.cli.probe import models

    listed = models(str(target["base_url"]), target.get("api_key") or None)
    if not target.get("model"):
        if not listed:
            raise SettingsError(
                "--model", f"{target['base_url']} lists no models; is it the base URL, and is the key right?"
            )
        target["model"] = str(listed[0]["id"])
    card: dict[str, Any] = next((card for card in listed if card.get("id") == target["model"]), {})
    return int(card.get("max_model_len") or 0)


def _assign(tree: dict[str, Any], assignment: str) -> None:
    """Set one field by its dotted name; a number is a place in a list."""
    import yaml

    key, equals, text = assignment.partition("=")
    if not equals:
        raise SettingsError(key, "--set wants KEY=VALUE")
    *way, last = key.split(".")
    place: Any = tree
    try:
        for name in way:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        place[int(last) if isinstance(place, list) else last] = yaml.safe_load(text)
    except (IndexError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        raise SettingsError(key, "is no field of the plan, or its value is not YAML") from None
