"""Lists as OpenAI pages them: `limit`, `order` and `after` of a query, and the list object; it knows no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from serving.errors import InvalidRequest
from serving.front.cold.edge import is_id, shown
from serving.front.state.stores import Order

_LIMIT, _MOST = 20, 100


class Asked(NamedTuple):
    """`limit` entries in this order beyond the one whose id is `after`."""

    limit: int
    order: Order
    after: str | None


def asked(query: Mapping[str, str], order: Order) -> Asked:
    """What a query asks for; `order` where it names none. Raises `InvalidRequest` naming the parameter."""
    return Asked(_limit(query.get("limit")), _order(query.get("order"), order), _after(query.get("after")))


def part(entries: Sequence[dict[str, Any]], page: Asked) -> dict[str, Any]:
    """The page of a list that is here whole, oldest entry first."""
    ordered = list(entries) if page.order == "asc" else list(reversed(entries))
    if page.after is not None:
        ordered = beyond(ordered, page.after)
    return listing(ordered, page.limit)


def beyond(entries: Sequence[dict[str, Any]], after: str) -> list[dict[str, Any]]:
    """The entries that follow the one with this id. Raises `InvalidRequest` naming `after`."""
    for index, entry in enumerate(entries):
        if entry["id"] == after:
            return list(entries[index + 1 :])
    raise no_such_cursor(after)


def listing(entries: Sequence[dict[str, Any]], limit: int | None = None) -> dict[str, Any]:
    """The list object of the first `limit` entries; what is there beyond them shows in `has_more`."""
    data = list(entries[:limit])
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(data) < len(entries),
    }


def no_such_cursor(after: str) -> InvalidRequest:
    """The same for an entry of another list, of another tenant, and for one that never was."""
    return InvalidRequest(f"`after` names no entry of this list: {shown(after)}.", param="after", code="invalid_cursor")


def _limit(given: str | None) -> int:
    if given is None:
        return _LIMIT
    # Longer ones are out of range, and Python refuses to parse very long ones.
    limit = int(given) if given.isascii() and given.isdigit() and len(given) < 8 else 0
    if not 1 <= limit <= _MOST:
        raise InvalidRequest(f"`limit` must be an integer from 1 to {_MOST}.", param="limit", code="invalid_value")
    return limit


def _order(given: str | None, default: Order) -> Order:
    if given is None:
        return default
    if given == "asc":
        return "asc"
    if given == "desc":
        return "desc"
    raise InvalidRequest("`order` must be asc or desc.", param="order", code="invalid_value")


def _after(given: str | None) -> str | None:
    if given is not None and not is_id(given):
        raise no_such_cursor(given)
    return given
