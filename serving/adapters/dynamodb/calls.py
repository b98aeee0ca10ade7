"""Speaks DynamoDB: plain rows in and out of one table, batches until all is in; what a row means is not known here.

Reads of the table are strongly consistent. Nothing here ends by itself while the table throttles: callers bound it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from serving.adapters.dynamodb.keys import Row, RowKey
from serving.adapters.dynamodb.notation import Condition, conditions, plain, written, written_key
from serving.errors import StoreDown

# What DynamoDB takes in one batch, and how many batches of one call are under way at once.
_WRITES, _READS, _AT_ONCE = 25, 100, 8
# The request itself is wrong: a bug of ours, which no later try mends.
_BUGS = {"ValidationException", "SerializationException"}


class Refused(Exception):
    """The condition of a write did not hold."""


class Rows(NamedTuple):
    """A page of a query; `next` goes on behind it, None: there is no more."""

    rows: list[Row]
    next: Any


class Calls:
    def __init__(self, client: Any, table: str) -> None:
        self.client = client
        self.table = table

    async def get(self, key: RowKey) -> Row | None:
        answer = await self.call("get_item", Key=written_key(key), ConsistentRead=True)
        return plain(answer["Item"]) if "Item" in answer else None

    async def put(self, row: Row, condition: Condition) -> Row | None:
        """The row that was there before. Raises `Refused`."""
        answer = await self.call("put_item", Item=written(row), ReturnValues="ALL_OLD", **conditions(condition))
        return plain(answer["Attributes"]) if answer.get("Attributes") else None

    async def update(self, key: RowKey, changes: Row, condition: Condition) -> Row:
        """The row as it is now; attributes of value None go. Raises `Refused`."""
        sets = [f"#{name} = :{name}" for name, value in changes.items() if value is not None]
        removes = [f"#{name}" for name, value in changes.items() if value is None]
        text = " ".join([f"SET {', '.join(sets)}"] * bool(sets) + [f"REMOVE {', '.join(removes)}"] * bool(removes))
        answer = await self.call(
            "update_item",
            Key=written_key(key),
            UpdateExpression=text,
            ExpressionAttributeNames={f"#{name}": name for name in changes},
            ReturnValues="ALL_NEW",
            **conditions(condition, {f":{name}": value for name, value in changes.items() if value is not None}),
        )
        return plain(answer["Attributes"])

    async def delete(self, key: RowKey, condition: Condition | None = None) -> Row | None:
        """The row that was there. Raises `Refused`."""
        more = conditions(condition) if condition else {}
        answer = await self.call("delete_item", Key=written_key(key), ReturnValues="ALL_OLD", **more)
        return plain(answer["Attributes"]) if answer.get("Attributes") else None

    async def query(
        self, condition: Condition, *, forward: bool, limit: int = 0, start: Any = None, **more: Any
    ) -> Rows:
        """The next page of the rows for which a key condition holds, in the order of their sort keys."""
        more |= {"Limit": limit} if limit else {}
        more |= {"ExclusiveStartKey": start} if start else {}
        answer = await self.call(
            "query",
            KeyConditionExpression=condition.text,
            ExpressionAttributeValues=written(condition.values),
            ScanIndexForward=forward,
            **{"ConsistentRead": True, **more},
        )
        return Rows([plain(item) for item in answer["Items"]], answer.get("LastEvaluatedKey"))

    async def every(self, condition: Condition, **more: Any) -> list[Row]:
        """All pages of a query."""
        rows, start = [], None
        while True:
            page = await self.query(condition, start=start, **more)
            rows += page.rows
            start = page.next
            if start is None:
                return rows

    async def read(self, keys: Sequence[RowKey]) -> list[Row]:
        """The rows of these keys that are there, in the order of the keys."""
        found: dict[RowKey, Row] = {}
        wait = _Backoff()
        asked = [written_key(key) for key in keys]
        while asked:
            now, asked = asked[:_READS], asked[_READS:]
            answer = await self.call(
                "batch_get_item", True, RequestItems={self.table: {"Keys": now, "ConsistentRead": True}}
            )
            for row in map(plain, answer["Responses"].get(self.table, [])):
                found[row["session_id"], row["sort_key"]] = row
            left = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            asked += left
            await wait.after(bool(left))
        return [found[key] for key in keys if key in found]

    async def write(self, puts: Iterable[Row] = (), deletes: Iterable[RowKey] = ()) -> None:
        """Put and delete rows, without conditions and in no order."""
        requests = [{"PutRequest": {"Item": written(row)}} for row in puts]
        requests += [{"DeleteRequest": {"Key": written_key(key)}} for key in deletes]
        batches = [requests[start : start + _WRITES] for start in range(0, len(requests), _WRITES)]
        for start in range(0, len(batches), _AT_ONCE):
            await together(*(self._write_batch(batch) for batch in batches[start : start + _AT_ONCE]))

    async def _write_batch(self, requests: list[Any]) -> None:
        wait = _Backoff()
        while requests:
            answer = await self.call("batch_write_item", True, RequestItems={self.table: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.table, [])
            await wait.after(bool(requests))

    async def call(self, operation: str, names_table: bool = False, **arguments: Any) -> dict[str, Any]:
        """One operation, tried again as botocore does. Raises `Refused`, `StoreDown`."""
        if not names_table:
            arguments["TableName"] = self.table
        try:
            answer: dict[str, Any] = await getattr(self.client, operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "ConditionalCheckFailedException":
                raise Refused from None
            if code in _BUGS:
                raise
            raise StoreDown(f"DynamoDB: {operation}: {code}") from error
        except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
            raise StoreDown(f"DynamoDB: {operation}: {type(error).__name__}") from error
        return answer


async def together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """What these give, all at once; the first that fails ends the others and is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


class _Backoff:
    """Waits longer each time that a batch came back in part."""

    def __init__(self) -> None:
        self._seconds = 0.02

    async def after(self, throttled: bool) -> None:
        if throttled:
            await asyncio.sleep(self._seconds * random.uniform(0.5, 1.5))
            self._seconds = min(1, self._seconds * 2)
