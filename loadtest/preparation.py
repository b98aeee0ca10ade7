"""What is measured before the first probe, on an idle server: tokens per word, the feasibility floor, a first rate.

It makes its requests one at a time, through the same client as the load; it judges none of them.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from loadtest.client.answer import Answer
from loadtest.client.calibrate import measure_scale
from loadtest.client.client import Client
from loadtest.client.conversation import Conversation
from loadtest.client.faults import ClientError
from loadtest.client.prompts import Prompts, TokenScale
from loadtest.plan import Plan, Target
from loadtest.results import Floor
from loadtest.slo import Fault
from loadtest.traffic.schedule import schedule
from loadtest.traffic.session import Session, Turn
from loadtest.verdict.floor import fit, infeasible_share

_LENGTH_QUANTILES = (0.05, 0.5, 0.95)
_REPEATS = 3
_SAMPLE_RATE = 10.0
_SAMPLE_SECONDS = 200.0
_MAX_TOKENS = 16
_LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Prepared:
    """What the probes of a run build on. `start_rate` in requests per second."""

    run: str
    """Its own in every run, so that no server's cache knows its prompts."""
    scale: TokenScale
    floors: tuple[Floor, ...]
    start_rate: float


def prepare(plan: Plan, clock: Callable[[], float], say: Callable[[str], None]) -> Prepared:
    """Measure every target. Raises `ClientError` when an idle server does not answer a plain request."""
    sample = schedule(plan.workload, plan.arrivals, _SAMPLE_RATE, _SAMPLE_SECONDS, plan.seed)
    run = secrets.token_hex(4)
    scale: TokenScale | None = None
    floors = []
    for number, target in enumerate(plan.targets):
        client = Client(target.base_url, target.api_key.get_secret_value(), target.model)
        try:
            scale = scale or measure_scale(client, clock)
            say(f"{target.name}: idle latency by prompt length")
            floors.append(_floor(plan, number, sample, _Idle(client, Prompts(f"{run}/floor", scale), clock, target)))
        finally:
            client.close()
    assert scale is not None
    return Prepared(run, scale, tuple(floors), plan.search.start_rate or _start_rate(sample, floors))


@dataclass(frozen=True)
class _Idle:
    """One server, asked one thing at a time."""

    client: Client
    prompts: Prompts
    clock: Callable[[], float]
    target: Target

    def ask(self, plan: Plan, tokens: int, number: int) -> Answer:
        session = Session(number, 0.0, 0, -1, 0, (Turn(tokens, _MAX_TOKENS),))
        ask = Conversation(session, self.prompts, "client", "").ask(0, stream=True, body=plan.workload.body)
        limit = self.clock() + _LIMIT_SECONDS
        answer = self.client.ask(replace(ask, first_by=limit, end_by=limit), self.clock)
        if answer.fault != Fault.NONE:
            raise ClientError(
                f"{self.target.base_url} answered a request of {tokens} tokens, alone and idle, with "
                f"{answer.detail or answer.fault.name.lower()}"
            )
        return answer


def _floor(plan: Plan, target: int, sample: Sequence[Session], idle: _Idle) -> Floor:
    prompts = _prompt_tokens(sample)
    lengths = sorted({int(np.quantile(prompts, quantile)) for quantile in _LENGTH_QUANTILES})
    idle.ask(plan, lengths[0], 0)  # the first request of all pays for what an engine has never run
    number, points, tpots = 1, [], []
    for length in lengths:
        answers = [idle.ask(plan, length, number + repeat) for repeat in range(_REPEATS)]
        number += _REPEATS
        best = min(answers, key=lambda answer: answer.first - answer.sent)
        points.append((best.prompt_tokens if best.prompt_tokens > 0 else length, best.first - best.sent))
        tpots += [_tpot(answer) for answer in answers]
    base, per_token = fit(points)
    tpot = float(np.nanmedian(tpots)) if not np.all(np.isnan(tpots)) else math.nan
    shares = {
        entry.limits().name: infeasible_share(_prompt_tokens(sample, place), entry.limits(), base, per_token, tpot)
        for place, entry in enumerate(plan.workload.classes)
    }
    return Floor(target, tuple(points), base, per_token, tpot, shares)


def _prompt_tokens(sample: Sequence[Session], traffic_class: int | None = None) -> npt.NDArray[np.int64]:
    """Of every request of the sample (of a class), history included."""
    found = []
    for session in sample:
        if traffic_class in (None, session.traffic_class):
            length = session.prefix_tokens
            for turn in session.turns:
                length += turn.input_tokens
                found.append(length)
                length += turn.output_tokens
    return np.array(found or [1], dtype=np.int64)


def _tpot(answer: Answer) -> float:
    later = answer.output_tokens - answer.first_tokens
    return (answer.last - answer.first) / later if later > 0 else math.nan


def _start_rate(sample: Sequence[Session], floors: Sequence[Floor]) -> float:
    """Twice what one request at a time would reach, in two digits: a rate that most servers pass at once."""
    outputs = np.mean([turn.output_tokens for session in sample for turn in session.turns])
    prompt = float(np.mean(_prompt_tokens(sample)))
    seconds = max(
        floor.base_seconds + floor.per_token_seconds * prompt + np.nan_to_num(floor.tpot_seconds) * outputs
        for floor in floors
    )
    rate = 2 / max(seconds, 1e-3)
    digits = 1 - math.floor(math.log10(rate))
    return float(round(rate, digits))
