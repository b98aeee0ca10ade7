"""Whether a failed attempt may be followed by another one: a budget over all requests; it knows no request."""

from __future__ import annotations

from serving.errors import TidegateError, Unreachable

_BURST = 10.0


class RetryBudget:
    """Each request earns `ratio` of a retry; unused ones are kept up to a small burst."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._allowance = _BURST if ratio else 0.0

    def earn(self) -> None:
        self._allowance = min(self._allowance + self._ratio, _BURST)

    def allows(self, failure: TidegateError | int | None) -> bool:
        """True when one retry after this failure is allowed; it is then counted.

        Free after an engine that never took the request: it did no work, so that asking elsewhere adds no load.
        """
        if isinstance(failure, Unreachable):
            return True
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
