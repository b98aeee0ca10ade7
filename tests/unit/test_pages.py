"""Pages of lists that are there whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidRequest
from serving.front.cold import pages
from serving.front.cold.pages import Asked
from serving.front.state.stores import Order

ORDERS: list[Order] = ["asc", "desc"]


def entries(count: int) -> list[dict[str, Any]]:
    return [{"id": f"e{index}"} for index in range(count)]


@given(count=st.integers(0, 50), limit=st.integers(1, 20), order=st.sampled_from(ORDERS))
def test_following_last_id_gives_every_entry_once_in_order(count: int, limit: int, order: Order) -> None:
    whole, seen, after = entries(count), [], None
    while True:
        page = pages.part(whole, Asked(limit, order, after))
        assert len(page["data"]) <= limit
        seen += page["data"]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert seen == (whole if order == "asc" else whole[::-1])


def test_a_query_without_parameters_asks_for_twenty_in_the_routes_own_order() -> None:
    assert pages.asked({}, "desc") == Asked(20, "desc", None)
    assert pages.asked({"limit": "007", "order": "asc", "after": "e1"}, "desc") == Asked(7, "asc", "e1")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1e2", " 5", "\u0665", "", "9" * 5000])
def test_a_limit_out_of_range_is_named(limit: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        pages.asked({"limit": limit}, "asc")
    assert refused.value.param == "limit"


def test_a_cursor_of_another_list_is_named_without_repeating_what_is_no_id() -> None:
    for after in ("e9", "\n" * 300):
        with pytest.raises(InvalidRequest) as refused:
            pages.part(entries(3), pages.asked({"after": after}, "asc"))
        assert refused.value.param == "after"
        assert "\n" not in refused.value.message
        assert len(refused.value.message) < 200
