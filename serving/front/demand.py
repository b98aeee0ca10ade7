"""What is asked of the engines: offered and queued tokens by model, refused requests included; it serves nobody.

A request is counted when it arrives, by an estimate: its prompt by the share that engines of its model had to compute
so far, its answer by the share of `max_tokens` that answers took. What the engine counted in the end corrects what is
counted next, so that the sums are the engine's and no counter falls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from serving.errors import RequestError
from serving.front.dialect import COUNT_TOKENS
from serving.front.events import Usage
from serving.front.wire import GenerationRequest
from serving.metric_families import Count
from serving.metrics import FrontMetrics, Need

# About the last hundred requests count.
_KEPT = 0.99
_ANSWER_TOKENS = 256.0
_ANSWER_SHARE = 0.5
_PRIOR_TOKENS = 100.0
# Of an estimate, counted whatever was counted too much before: a wrong guess must not hide what arrives now.
_LEAST_SHARE = 0.5
_CLIENT_ERROR, _SERVER_ERROR, _CLIENT_LEFT = 400, 500, 499


class Ratio:
    """A learned quotient, `now`: of sums, so that what is estimated by it is right in sum."""

    __slots__ = ("_part", "_whole", "now")

    def __init__(self, first: float, weight: float) -> None:
        self._part, self._whole, self.now = first * weight, weight, first

    def learn(self, part: float, whole: float) -> None:
        self._part = part = self._part * _KEPT + part
        self._whole = whole = self._whole * _KEPT + whole
        self.now = part / whole


class Offered:
    """One counter of tokens. What is `owed` is counted with the next request; a negative part is counted already."""

    __slots__ = ("_count", "owed")

    def __init__(self, count: Count) -> None:
        self._count = count
        self.owed = 0.0

    def add(self, tokens: float, least: float) -> None:
        """Count one request's tokens and what is owed, and `least` whatever was counted too much before."""
        due = self.owed + tokens
        step = due if due > least else least
        self.owed = due - step
        self._count.value += step


class Model:
    """The demand for one model, and what is expected of its next request."""

    __slots__ = ("answer", "decode", "prefill", "share", "uncached", "waiting")

    def __init__(self, prefill: Count, decode: Count) -> None:
        self.prefill = Offered(prefill)
        self.decode = Offered(decode)
        self.uncached = Ratio(1.0, _PRIOR_TOKENS)
        self.share = Ratio(_ANSWER_SHARE, _PRIOR_TOKENS)
        self.answer = Ratio(_ANSWER_TOKENS, 1.0)
        self.waiting: set[Offer] = set()

    def decode_of(self, request: GenerationRequest) -> float:
        if not request.route.streams:
            return 0.0
        if most := request.output_tokens:
            return most * self.share.now if self.share.now < 1 else most
        return request.choices * self.answer.now

    def learn(self, offer: Offer, computed: int, answered: int) -> None:
        """The engine computed so many tokens of the prompt and answered with so many."""
        request = offer.request
        self.prefill.owed += computed - offer.prefill
        self.decode.owed += answered - offer.decode
        if offer.whole_prompt:
            self.uncached.learn(computed, offer.whole_prompt)
        if not request.route.streams:
            return
        if request.output_tokens:
            self.share.learn(answered, request.output_tokens)
        self.answer.learn(answered, request.choices)


class Offer:
    """One request's share of the demand; `prefill` and `decode` are tokens. It waits until its first token."""

    __slots__ = ("at", "decode", "is_held", "model", "prefill", "request", "whole_prompt")

    def __init__(self, model: Model, request: GenerationRequest, at: float, history_tokens: int) -> None:
        self.model = model
        self.request = request
        self.at = at
        self.is_held = False
        self.whole_prompt = 0 if request.route is COUNT_TOKENS else request.prompt_tokens + history_tokens
        self.prefill = self.whole_prompt * model.uncached.now
        self.decode = model.decode_of(request)
        if request.stream:
            model.waiting.add(self)

    def held(self) -> None:
        """No engine has it."""
        self.is_held = True
        self.model.waiting.add(self)

    def sent(self) -> None:
        """An engine has it, as far as the front knows; of one that does not stream, no first token will be seen."""
        self.is_held = False
        if not self.request.stream:
            self.model.waiting.discard(self)

    def begun(self) -> None:
        """Its first token is here."""
        self.model.waiting.discard(self)


class Demand:
    """Owns the estimates and who waits. Models are those that the front knows: a client's invention is no series."""

    def __init__(self, metrics: FrontMetrics, classes: Collection[str], clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._classes = classes
        self._clock = clock
        self.models: dict[str, Model] = {}

    def know(self, models: Iterable[str]) -> None:
        """From now on these have series, zero where nothing happened."""
        for name in models:
            if name not in self.models:
                self._metrics.know(name, self._classes)
                offered = self._metrics.offered
                self.models[name] = Model(offered[name, "prefill"], offered[name, "decode"])

    def offer(self, request: GenerationRequest, at: float, history_tokens: int = 0) -> Offer:
        """Count one request that arrived then, monotonic seconds, with these tokens of history before it."""
        model = self.models.get(request.model) or Model(Count(), Count())
        offer = Offer(model, request, at, history_tokens)
        # At least one token, as an engine computes at least one: a series that stands still says that nobody asks.
        model.prefill.add(offer.prefill, max(offer.prefill * _LEAST_SHARE, 1.0))
        model.decode.add(offer.decode, offer.decode * _LEAST_SHARE)
        return offer

    def settle(self, offer: Offer, usage: Usage | None, error: RequestError | None) -> None:
        """The request is over: correct the estimate by the engine's count. A client's own error was no demand."""
        model = offer.model
        model.waiting.discard(offer)
        if usage is not None:
            model.learn(offer, max(usage.prompt_tokens - usage.cached_tokens, 1), usage.output_tokens)
        elif error is not None and _CLIENT_ERROR <= error.status < _SERVER_ERROR and error.status != _CLIENT_LEFT:
            model.prefill.owed -= offer.prefill
            model.decode.owed -= offer.decode

    def needs(self) -> Iterator[Need]:
        """What waits for each model now."""
        now = self._clock()
        for name, model in self.models.items():
            waiting = model.waiting
            yield Need(
                model=name,
                prefill_tokens=sum(offer.prefill for offer in waiting),
                decode_tokens=sum(offer.decode for offer in waiting if offer.is_held),
                requests=len(waiting),
                oldest_seconds=max((now - offer.at for offer in waiting), default=0.0),
            )
