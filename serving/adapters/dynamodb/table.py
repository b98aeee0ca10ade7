"""The DynamoDB table's shape, how it is made, and whether a table has it; rows are not known here.

`session_id` and `sort_key` are its key; `by_lookup` finds items and turns of a session by their ids, `by_owner` and
`by_user` list the sessions and documents of a tenant or a user. Amazon's permissions needed: DescribeTable to start,
GetItem, PutItem, UpdateItem, DeleteItem, Query, BatchGetItem, BatchWriteItem on the table and its indexes to run,
CreateTable, DescribeTimeToLive and UpdateTimeToLive besides for `tidegate db init`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from serving.errors import SettingsError, StoreDown

LOOKUP, OWNER, USER = "by_lookup", "by_owner", "by_user"
_TTL = {"Enabled": True, "AttributeName": "expires_at"}
_POLL_SECONDS, _WAIT_SECONDS = 0.25, 120
_DENIED = {
    "AccessDeniedException": "permission is denied",
    "UnrecognizedClientException": "the credentials are not known",
    "InvalidSignatureException": "the secret key is wrong",
    "MissingAuthenticationTokenException": "there are no credentials",
    "ExpiredTokenException": "the credentials are expired",
}
_WRONG_HERE = {
    "NoCredentialsError": "found no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the "
    "machine or the service account a role",
    "PartialCredentialsError": "found half of the AWS credentials: the secret key is missing",
    "CredentialRetrievalError": "could not get AWS credentials from where the environment says they are",
    "ProfileNotFound": "AWS_PROFILE names a profile that is not there",
}


async def make_table(client: Any, table: str) -> bool:
    """Make what is missing and wait until it can be used; False when all of it was there. Raises `SettingsError`."""
    try:
        made = await _create(client, table)
        await _until_active(client, table)
        return await _enable_ttl(client, table) or made
    except (ClientError, BotoCoreError) as error:
        raise wrong(table, error) from error


async def check_table(client: Any, table: str) -> None:
    """Raises `SettingsError` when there is no such table, or one of another shape; `StoreDown`."""
    try:
        found = (await client.describe_table(TableName=table))["Table"]
    except (ClientError, BotoCoreError) as error:
        raise wrong(table, error) from error
    keys = [key["AttributeName"] for key in sorted(found["KeySchema"], key=lambda key: str(key["KeyType"]))]
    indexes = {
        index["IndexName"]
        for index in [*found.get("LocalSecondaryIndexes", []), *found.get("GlobalSecondaryIndexes", [])]
    }
    if keys != ["session_id", "sort_key"] or not {LOOKUP, OWNER, USER} <= indexes:
        raise SettingsError(
            "front.store",
            f"the DynamoDB table {table} was not made by `tidegate db init`: its key or its indexes are others",
        )


def wrong(table: str, error: ClientError | BotoCoreError) -> Exception:
    """What an error of the first call means: a setting, or a store that is down."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ResourceNotFoundException":
            return SettingsError("front.store", f"there is no DynamoDB table {table}: run tidegate db init")
        if code in _DENIED:
            return SettingsError("front.store", f"DynamoDB: {_DENIED[code]} ({code})")
        if code == "ValidationException":
            return SettingsError("front.store", f"DynamoDB refuses the table {table}: {error}")
        return StoreDown(f"DynamoDB: {code}")
    name = type(error).__name__
    if name in _WRONG_HERE:
        return SettingsError("front.store", _WRONG_HERE[name])
    return StoreDown(f"DynamoDB: {name}")


async def _create(client: Any, table: str) -> bool:
    try:
        await client.create_table(**shape(table))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceInUseException":
            raise
        await check_table(client, table)
        return False
    return True


async def _until_active(client: Any, table: str) -> None:
    for _ in range(int(_WAIT_SECONDS / _POLL_SECONDS)):
        found = (await client.describe_table(TableName=table))["Table"]
        indexes = found.get("GlobalSecondaryIndexes", [])
        if {found["TableStatus"], *(index.get("IndexStatus", "ACTIVE") for index in indexes)} == {"ACTIVE"}:
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise SettingsError("front.store", f"the DynamoDB table {table} did not become active in {_WAIT_SECONDS} s")


async def _enable_ttl(client: Any, table: str) -> bool:
    """False when it was on, or the server has no such thing: reads honour `expires_at` in any case."""
    try:
        found = await client.describe_time_to_live(TableName=table)
        if found["TimeToLiveDescription"]["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
            return False
        await client.update_time_to_live(TableName=table, TimeToLiveSpecification=_TTL)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "UnknownOperationException":
            raise
        return False
    return True


def shape(table: str) -> dict[str, Any]:
    """The arguments of CreateTable."""
    names = ("session_id", "sort_key", "lookup_key", "owner_key", "user_key", "list_key")
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
        "KeySchema": _keys("session_id", "sort_key"),
        "LocalSecondaryIndexes": [_index(LOOKUP, "session_id", "lookup_key")],
        "GlobalSecondaryIndexes": [_index(OWNER, "owner_key", "list_key"), _index(USER, "user_key", "list_key")],
    }


def _index(name: str, partition: str, sort: str) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": _keys(partition, sort), "Projection": {"ProjectionType": "KEYS_ONLY"}}


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
