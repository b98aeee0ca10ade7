"""Whether series and labels of a query exist: by what vLLM retired, and by a live exposition where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from autoscale.lint.documents import Scaled
from autoscale.lint.finding import Context, Finding
from autoscale.lint.promql_nodes import Selector
from autoscale.lint.shapes import is_engine_series, selectors
from serving.metrics import VllmSeries

_LINE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{([^}]*)\})?\s")
_LABEL = re.compile(r'([A-Za-z_]\w*)="')
# Labels that Prometheus and its operator add to what a target exposes.
_ADDED = ("job", "instance", "namespace", "pod", "container", "service", "endpoint", "node", "cluster", "prometheus")
# What vLLM called it before, without its prefix, and what measures it now.
_RETIRED = {
    "gpu_cache_usage_perc": VllmSeries.KV_USAGE,
    "cpu_cache_usage_perc": VllmSeries.KV_USAGE,
    "gpu_prefix_cache_hit_rate": "rates of the prefix cache's hits and queries",
    "cpu_prefix_cache_hit_rate": "rates of the prefix cache's hits and queries",
    "num_requests_swapped": VllmSeries.WAITING,
    "avg_prompt_throughput_toks_per_s": f"rate({VllmSeries.PROMPT_TOKENS}[1m])",
    "avg_generation_throughput_toks_per_s": f"rate({VllmSeries.OUTPUT_TOKENS}[1m])",
}


def live(scaled: Scaled, context: Context) -> Iterator[Finding]:
    exposed = None if context.exposition is None else expose(context.exposition)
    for trigger in scaled.prometheus:
        if trigger.node is None:
            continue
        where = f"{scaled.where} {trigger.path}"
        for selector in dict.fromkeys(selectors(trigger.node)):
            yield from _retired(selector, where)
            if exposed is None:
                yield from _known_label(selector, where)
            else:
                yield from _absent(selector, exposed, where)


def expose(exposition: str) -> dict[str, set[str]]:
    """Names of series and the labels that each has."""
    found: dict[str, set[str]] = {}
    for line in exposition.splitlines():
        if match := _LINE.match(line):
            found.setdefault(match[1], set()).update(_LABEL.findall(match[2] or ""))
    return found


def _retired(selector: Selector, where: str) -> Iterator[Finding]:
    name = selector.metric.partition(":")[2]
    if is_engine_series(selector.metric) and name in _RETIRED:
        text = f"vLLM has no {selector.metric} any more, so the query matches nothing: use {_RETIRED[name]}."
        yield Finding("series-retired", "error", where, text)


def _known_label(selector: Selector, where: str) -> Iterator[Finding]:
    if is_engine_series(selector.metric) and "model" in selector.labels:
        text = f"vLLM's series have no label model, so {selector.metric} matches nothing: use model_name."
        yield Finding("label-absent", "error", where, text)


def _absent(selector: Selector, exposed: Mapping[str, set[str]], where: str) -> Iterator[Finding]:
    """Of a family that the exposition has nothing of at all it says nothing: another target may."""
    family = re.split(r"[:_]", selector.metric)[0]
    if not any(re.split(r"[:_]", name)[0] == family for name in exposed):
        return
    if selector.metric not in exposed:
        text = f"{selector.metric} is not in the live exposition, so the query matches nothing: correct the name."
        yield Finding("series-absent", "error", where, text)
        return
    has = exposed[selector.metric]
    for label in selector.labels:
        if label not in has and label not in _ADDED:
            text = (
                f"{selector.metric} has no label {label} in the live exposition, so the query matches nothing; "
                f"it has {', '.join(sorted(has)) or 'none'}."
            )
            yield Finding("label-absent", "error", where, text)
