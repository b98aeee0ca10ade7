"""What the steps of a request work with: the owners of each step's state, and what the first three steps gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from serving.front.attempt import Attempts
from serving.front.auth import Auth, Caller
from serving.front.budget import Budget, Reservation
from serving.front.demand import Demand
from serving.front.hold import Hold
from serving.front.ledger import Ledger
from serving.front.route import Fleet
from serving.front.slo import Slo
from serving.front.state.kept import Keeping
from serving.front.wire import GenerationRequest
from serving.settings import LimitSettings


@dataclass(frozen=True, slots=True)
class Steps:
    """The owners of each step's state."""

    auth: Auth
    budget: Budget
    slo: Slo
    demand: Demand
    fleet: Fleet
    hold: Hold
    attempts: Attempts
    keeping: Keeping
    ledger: Ledger
    limits: LimitSettings
    clock: Callable[[], float]


class Admitted(NamedTuple):
    """What the first three steps gave."""

    caller: Caller
    request: GenerationRequest
    reservation: Reservation
