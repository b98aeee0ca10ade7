"""Step 6, route: a model becomes the ordered engines to try; it counts what is in flight and does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from serving.errors import NoEngine, NotFound

_RETRY_AFTER_SECONDS = 5
_CONVINCING_ANSWERS = 2
# From the first request that a process loses to its port's refusal.
_DEATH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine. `id` is `host:port` and the path before `/v1`, if there is one.

    `models` maps served names to context lengths in tokens (0: not told). `is_vllm` engines get the fields that only
    vLLM knows. One that answers without listing its models `takes_any`: it has to judge the names itself. One that did
    not answer when it was last asked is not `is_up`.
    """

    id: str
    scheme: str
    host: str
    port: int
    path: str = ""
    models: dict[str, int] = field(default_factory=dict)
    is_vllm: bool = False
    takes_any: bool = False
    is_up: bool = True

    def serves(self, model: str) -> bool:
        return model in self.models or self.takes_any

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.id}"


class Load:
    """What this front knows of one engine's present state. One that `is_gone` took no request when last asked.

    One that `took` a request since it was last asked for its models is up, whatever that gave. One that lost a request
    that it had is dying for some seconds, or until it is seen gone or well.
    """

    __slots__ = ("_answers", "dying_until", "in_flight", "is_gone", "suspect_until", "took", "turn")

    def __init__(self) -> None:
        self.in_flight = 0
        self.is_gone = False
        self.dying_until = 0.0
        self.took = False
        self._answers = 0
        self.suspect_until = 0.0
        self.turn = 0

    def accepted(self, *, is_taken: bool) -> None:
        """A request was sent there: it was answered, or the engine took none."""
        self.is_gone, self.took = not is_taken, is_taken
        if not is_taken:
            self.dying_until = 0.0

    def answered(self, *, is_new: bool) -> None:
        """It listed its models. Twice since it took no request: the first time may have been before that."""
        self._answers = self._answers + 1 if self.is_gone else 0
        if is_new or self._answers >= _CONVINCING_ANSWERS:
            self.is_gone = False
            self._answers = 0


class Fleet:
    """Owns the snapshot of engines and the load of each. An engine that failed is asked last, never not at all.

    `expected` are models whose engines may yet have to come; so may those of a model that was here before.
    """

    def __init__(self, clock: Callable[[], float], cooldown_seconds: float, expected: Iterable[str] = ()) -> None:
        self._clock = clock
        self._cooldown = cooldown_seconds
        self._expected = dict.fromkeys(expected, 0)
        self._seen = set(self._expected)
        self._endpoints: tuple[Endpoint, ...] = ()
        self._loads: dict[str, Load] = {}
        self._turn = 0

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    def replace(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Take over a new snapshot; the loads of engines that are not in it go with their last request."""
        before = {endpoint.id: endpoint for endpoint in self._endpoints}
        self._endpoints = endpoints
        self._loads = {endpoint.id: self._loads.get(endpoint.id) or Load() for endpoint in endpoints}
        for endpoint in endpoints:
            earlier = before.get(endpoint.id)
            self._loads[endpoint.id].took = False
            if endpoint.is_up:
                came = not (earlier and earlier.is_up and (earlier.models or earlier.takes_any))
                self._loads[endpoint.id].answered(is_new=came)
            if endpoint.is_up and earlier:
                self._seen -= earlier.models.keys() - endpoint.models.keys()
        self._seen.update(*[endpoint.models for endpoint in endpoints], self._expected)

    def is_ready(self) -> bool:
        """Some engine has answered."""
        return any(endpoint.models or endpoint.takes_any for endpoint in self._endpoints)

    def ready(self, model: str) -> int:
        """Engines of a model that take requests, as far as is known."""
        return sum(endpoint.serves(model) and self._is_taking(endpoint) for endpoint in self._endpoints)

    def has_other(self, model: str, endpoint: Endpoint) -> bool:
        """Another vLLM than this one takes requests of the model, as far as is known."""
        serving = (each for each in self._endpoints if each.is_vllm and each.id != endpoint.id and each.serves(model))
        return any(self._is_taking(each) for each in serving)

    @property
    def known(self) -> Collection[str]:
        """Models that are expected, or were served here and not taken away from an engine that stays."""
        return self._seen

    def models(self) -> dict[str, int]:
        """Names that are expected or served, with their context lengths in tokens (0: not told)."""
        served: dict[str, int] = {}
        for endpoint in self._endpoints:
            for model, context_length in endpoint.models.items():
                served.setdefault(model, context_length)
        return {**self._expected, **served} if self._expected else served

    def context_length(self, model: str) -> int:
        """Tokens that the model's engines take, the fewest where they differ; 0 where none has told."""
        return min((told for endpoint in self._endpoints if (told := endpoint.models.get(model, 0))), default=0)

    def candidates(self, model: str) -> list[Endpoint]:
        """Engines of a model, the one to try first in front: healthy, then least in flight, then longest not used.

        Raises `NoEngine` for a known model without an engine, and for any while none is known; else `NotFound`.
        """
        found = [endpoint for endpoint in self._endpoints if model in endpoint.models or endpoint.takes_any]
        if not found:
            self._refuse(model)
        if len(found) > 1:
            now = self._clock()
            found.sort(key=lambda endpoint: self._rank(endpoint, now))
        self._turn += 1
        self._loads[found[0].id].turn = self._turn
        return found

    def load(self, endpoint: Endpoint) -> Load:
        """The count to keep for one more request; an engine that is gone by now gets one that nobody reads."""
        return self._loads.get(endpoint.id) or Load()

    def in_flight(self, endpoint: Endpoint) -> int:
        load = self._loads.get(endpoint.id)
        return load.in_flight if load else 0

    def failed(self, endpoint: Endpoint) -> None:
        """The engine broke a request: for a while it is asked last."""
        if load := self._loads.get(endpoint.id):
            load.suspect_until = self._clock() + self._cooldown

    def broke(self, endpoint: Endpoint) -> None:
        """The engine lost a request that it had."""
        self.failed(endpoint)
        if not self.is_dying(endpoint):
            self.load(endpoint).dying_until = self._clock() + _DEATH_SECONDS

    def is_dying(self, endpoint: Endpoint) -> bool:
        """It lost requests a moment ago: what it loses now says nothing of what it is asked."""
        load = self._loads.get(endpoint.id)
        return load is not None and load.dying_until > self._clock()

    def is_suspect(self, endpoint: Endpoint) -> bool:
        load = self._loads.get(endpoint.id)
        return load is not None and load.suspect_until > self._clock()

    def _is_taking(self, endpoint: Endpoint) -> bool:
        load = self._loads[endpoint.id]
        return (endpoint.is_up or load.took) and not load.is_gone

    def _rank(self, endpoint: Endpoint, now: float) -> tuple[bool, int, int]:
        load = self._loads[endpoint.id]
        return load.suspect_until > now, load.in_flight, load.turn

    def _refuse(self, model: str) -> None:
        if not self._seen or model in self._seen:
            raise NoEngine("No engine is ready yet. Try again shortly.", retry_after_seconds=_RETRY_AFTER_SECONDS)
        names = ", ".join(f"`{name}`" for name in list(self.models() or self._seen)[:10])
        raise NotFound(
            f"The model `{model}` does not exist here. Known: {names}.", param="model", code="model_not_found"
        )
