"""An aiobotocore client for one DynamoDB endpoint: pool, time-outs, retries; credentials come from botocore's chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError

from serving.adapters.dynamodb.table import wrong
from serving.errors import SettingsError

# As many calls at once as one front process makes; an append makes up to twelve.
_CONNECTIONS = 128
_ATTEMPTS = 4


@asynccontextmanager
async def dynamodb(table: str, endpoint: str | None, region: str | None, timeout_seconds: float) -> AsyncIterator[Any]:
    """A client, closed at the end. A time-out leaves room for a second attempt. Raises `SettingsError`."""
    config = AioConfig(
        connect_timeout=timeout_seconds / 4,
        read_timeout=timeout_seconds / 2,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        tcp_keepalive=True,
        # Every call here is covered by the contract tests; the check would cost a third of a call's time.
        parameter_validation=False,
    )
    try:
        opening = get_session().create_client("dynamodb", region_name=region, endpoint_url=endpoint, config=config)
        client = await opening.__aenter__()
    except BotoCoreError as error:
        raise wrong(table, error) from error
    except ValueError as error:
        raise SettingsError("front.store", f"DynamoDB: {error}") from error
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)
