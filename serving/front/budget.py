"""Step 3, budget: a `Caller` and an estimate become a `Reservation`; it counts in this process's memory only."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType

from serving.errors import RateLimited
from serving.front.auth import Caller

_MINUTE = 60.0


class Bucket:
    """A token bucket that refills `limit` per minute and holds as much."""

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._level = float(limit)
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Take `amount` and return 0, or take nothing and return the seconds until it would fit (inf: never)."""
        self._refill(now)
        if amount <= self._level:
            self._level -= amount
            return 0.0
        return math.inf if amount > self.limit else (amount - self._level) * _MINUTE / self.limit

    def correct(self, amount: float) -> None:
        """Give back (positive) or take further (negative), below zero if it must be."""
        self._level = min(self._level + amount, float(self.limit))

    def headers(self, kind: bytes, now: float) -> bytes:
        self._refill(now)
        full_in = (self.limit - self._level) * _MINUTE / self.limit
        return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %.3fs\r\n" % (
            kind,
            self.limit,
            kind,
            max(int(self._level), 0),
            kind,
            full_in,
        )

    def _refill(self, now: float) -> None:
        self._level = min(self._level + (now - self._at) * self.limit / _MINUTE, float(self.limit))
        self._at = now


class Account:
    """The buckets of one key."""

    def __init__(self, caller: Caller, now: float) -> None:
        self.requests = Bucket(caller.requests_per_minute, now) if caller.requests_per_minute else None
        self.tokens = Bucket(caller.tokens_per_minute, now) if caller.tokens_per_minute else None

    def headers(self, now: float) -> bytes:
        """The `x-ratelimit-…` header lines; empty for a key without limits."""
        lines = self.requests.headers(b"requests", now) if self.requests else b""
        return lines + (self.tokens.headers(b"tokens", now) if self.tokens else b"")


class Reservation:
    """Tokens set aside for one request; leaving the block without `settle` gives them back."""

    def __init__(self, account: Account | None, tokens: int, headers: bytes) -> None:
        self.headers = headers
        self._account = account
        self._tokens = tokens

    def settle(self, used_tokens: int) -> None:
        """Replace the estimate by what was used. Idempotent."""
        if self._account is not None and self._account.tokens is not None:
            self._account.tokens.correct(self._tokens - used_tokens)
            self._tokens = used_tokens
        self._account = None

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._account is not None:
            self.settle(0)


_UNLIMITED = Reservation(None, 0, b"")


class Budget:
    """Owns the accounts of all keys that have limits. Check and count are one call, `reserve`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    def reserve(self, caller: Caller, tokens: int) -> Reservation:
        """Count one request and set `tokens` aside. Raises `RateLimited` saying which limit and when to return."""
        if caller.requests_per_minute is None and caller.tokens_per_minute is None:
            return _UNLIMITED
        now = self._clock()
        account = self._accounts.get(caller.key_id)
        if account is None:
            account = self._accounts[caller.key_id] = Account(caller, now)
        if account.requests is not None and (wait := account.requests.take(1, now)):
            raise _limited("requests per minute", account.requests.limit, 1, wait, account.headers(now))
        if account.tokens is not None and (wait := account.tokens.take(tokens, now)):
            if account.requests is not None:
                account.requests.correct(1)
            raise _limited("tokens per minute", account.tokens.limit, tokens, wait, account.headers(now))
        return Reservation(account, tokens, account.headers(now))


def _limited(which: str, limit: int, asked: int, wait: float, headers: bytes) -> RateLimited:
    if wait == math.inf:
        error = RateLimited(
            f"Request too large for this key: {asked} {which} asked, limit {limit}. Lower max_tokens or the prompt.",
            retry_after_seconds=60,
        )
        error.should_retry = False
    else:
        error = RateLimited(
            f"Rate limit reached for {which}: limit {limit}. Try again in {wait:.1f} s.",
            retry_after_seconds=max(math.ceil(wait), 1),
        )
    error.headers = headers
    return error
