"""Rows and conditions in DynamoDB's notation and back: a string is `{"S": …}`, a number `{"N": …}`; no I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

from serving.adapters.dynamodb.keys import Row, RowKey

Values = dict[str, Any]


class Condition(NamedTuple):
    """A condition expression and its values; no attribute in it is a reserved word."""

    text: str
    values: Values


def is_free(now: float) -> Condition:
    """There is no such row, or none that may still be seen."""
    return Condition("attribute_not_exists(session_id) OR expires_at <= :now", {":now": now})


def is_there(now: float, **equal: Any) -> Condition:
    """There is such a row, alive, with these attributes."""
    tests = "".join(f" AND {name} = :is_{name}" for name in equal)
    return Condition(f"expires_at > :now{tests}", {":now": now, **{f":is_{name}": equal[name] for name in equal}})


def conditions(condition: Condition, more: Values | None = None) -> dict[str, Any]:
    values = written({**condition.values, **(more or {})})
    return {"ConditionExpression": condition.text, **({"ExpressionAttributeValues": values} if values else {})}


def written_key(key: RowKey) -> dict[str, Any]:
    return {"session_id": {"S": key[0]}, "sort_key": {"S": key[1]}}


def written(row: Row) -> dict[str, Any]:
    """In DynamoDB's notation; attributes of value None are not there."""
    return {
        name: {"S": value} if isinstance(value, str) else {"N": repr(value)}
        for name, value in row.items()
        if value is not None
    }


def plain(item: dict[str, Any]) -> Row:
    return {name: value["S"] if "S" in value else _number(value["N"]) for name, value in item.items()}


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
