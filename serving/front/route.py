"""Step 6, route: a model becomes the ordered engines to try; it counts what is in flight and does no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from serving.errors import NoEngine, NotFound

_RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine. `id` is `host:port` and the path before `/v1`, if there is one.

    `models` maps served names to context lengths in tokens (0: not told). `is_vllm` engines get the fields that only
    vLLM knows. One that answers without listing its models `takes_any`: it has to judge the names itself.
    """

    id: str
    scheme: str
    host: str
    port: int
    path: str = ""
    models: dict[str, int] = field(default_factory=dict)
    is_vllm: bool = False
    takes_any: bool = False

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.id}"


class Load:
    """What this front knows of one engine's present state."""

    __slots__ = ("in_flight", "suspect_until", "turn")

    def __init__(self) -> None:
        self.in_flight = 0
        self.suspect_until = 0.0
        self.turn = 0


class Fleet:
    """Owns the snapshot of engines and the load of each. An engine that failed is asked last, never not at all."""

    def __init__(self, clock: Callable[[], float], cooldown_seconds: float) -> None:
        self._clock = clock
        self._cooldown = cooldown_seconds
        self._endpoints: tuple[Endpoint, ...] = ()
        self._loads: dict[str, Load] = {}
        self._turn = 0

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    def replace(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Take over a new snapshot; the loads of engines that are gone go with their last request."""
        self._endpoints = endpoints
        self._loads = {endpoint.id: self._loads.get(endpoint.id) or Load() for endpoint in endpoints}

    def is_ready(self) -> bool:
        """Some engine has answered."""
        return any(endpoint.models or endpoint.takes_any for endpoint in self._endpoints)

    def models(self) -> dict[str, Endpoint]:
        """Served names in order, each with an engine that serves it."""
        served: dict[str, Endpoint] = {}
        for endpoint in self._endpoints:
            for model in endpoint.models:
                served.setdefault(model, endpoint)
        return served

    def context_length(self, model: str) -> int:
        """Tokens that the model's engines take, the fewest where they differ; 0 where none has told."""
        return min((told for endpoint in self._endpoints if (told := endpoint.models.get(model, 0))), default=0)

    def candidates(self, model: str) -> list[Endpoint]:
        """Engines of a model, the one to try first in front: healthy, then least in flight, then longest not used.

        Raises `NotFound` for an unknown model and `NoEngine` while no engine has told its models yet.
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

    def is_suspect(self, endpoint: Endpoint) -> bool:
        load = self._loads.get(endpoint.id)
        return load is not None and load.suspect_until > self._clock()

    def _rank(self, endpoint: Endpoint, now: float) -> tuple[bool, int, int]:
        load = self._loads[endpoint.id]
        return load.suspect_until > now, load.in_flight, load.turn

    def _refuse(self, model: str) -> None:
        known = self.models()
        if not known:
            raise NoEngine("No engine is ready yet. Try again shortly.", retry_after_seconds=_RETRY_AFTER_SECONDS)
        names = ", ".join(f"`{name}`" for name in list(known)[:10])
        raise NotFound(
            f"The model `{model}` does not exist here. Known: {names}.", param="model", code="model_not_found"
        )
