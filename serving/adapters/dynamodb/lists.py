"""Lists of sessions and documents through the DynamoDB table's two global indexes; what is listed is not known here.

An index follows the table by a moment: what was written just now may be missing, never what was deleted there, because
the rows themselves are read from the table. All of one tenant lie in one partition of it, which takes 1,000 writes per
second before DynamoDB splits it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from serving.adapters.dynamodb.calls import Calls
from serving.adapters.dynamodb.keys import Row, key_of
from serving.adapters.dynamodb.notation import Condition
from serving.adapters.dynamodb.table import OWNER, USER

# Keys that one BatchGetItem takes.
_PAGE = 100


class Listing(NamedTuple):
    """Of an owner, or of one user of it: what lies beyond `after`, in or against the order of the list."""

    owner: str
    user: str | None
    after: str | None
    forward: bool


async def listed(calls: Calls, listing: Listing, limit: int) -> AsyncIterator[Row]:
    """The rows, as they are now, expired ones too; read in pages of about `limit`."""
    name, value = ("owner_key", listing.owner) if listing.user is None else ("user_key", listing.user)
    condition = Condition(f"{name} = :list", {":list": value})
    if listing.after:
        sign = ">" if listing.forward else "<"
        condition = Condition(f"{condition.text} AND list_key {sign} :after", {":list": value, ":after": listing.after})
    index = OWNER if listing.user is None else USER
    start = None
    while True:
        page = await calls.query(
            condition,
            forward=listing.forward,
            limit=min(_PAGE, max(1, limit)),
            start=start,
            IndexName=index,
            ConsistentRead=False,
        )
        for row in await calls.read([key_of(row) for row in page.rows]):
            yield row
        start = page.next
        if start is None:
            return
