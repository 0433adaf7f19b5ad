"""Tables that are made when a store of a URL is opened."""

import asyncio
import logging

import boto3
import pytest

from trunkline.errors import ConfigurationError, StoreUnavailable
from trunkline.stores import dynamodb_tables, open_store
from trunkline.stores.dynamodb_items import TABLE

ACTIVE = (200, {"Table": {**TABLE, "TableStatus": "ACTIVE"}})
CREATING = (200, {"Table": {**TABLE, "TableStatus": "CREATING"}})
MADE = (200, {"TableDescription": {}})


def error(code):
    return 400, {"__type": f"x#{code}", "message": "no"}


MISSING = error("ResourceNotFoundException")


@pytest.fixture
def client(dynamodb):
    client = boto3.client(
        "dynamodb", endpoint_url=dynamodb, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    yield client
    client.close()


async def opened(answers):
    """Open a store of one table that is to be made: what was asked."""
    store = answers.store(make=True)
    try:
        await store.open()
    finally:
        await store.close()
    return [operation for operation, _ in answers.asked]


async def test_a_table_has_a_key_of_two_parts_is_paid_by_use_and_lets_end_what_has_expired(
    dynamodb_store, tmp_path, client, caplog
):
    caplog.set_level(logging.INFO, "trunkline.stores")
    store = open_store(dynamodb_store, tmp_path, ["people"])
    await store.open()
    await store.close()
    name = store._tables["people"]
    table = client.describe_table(TableName=name)["Table"]
    assert {key: table[key] for key in ("KeySchema", "AttributeDefinitions")} == {
        key: TABLE[key] for key in ("KeySchema", "AttributeDefinitions")
    }
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    assert caplog.messages == [f"made table {name}, {store.place}"]


async def test_a_table_that_is_there_is_left_as_it_is(dynamodb_says):
    attributes = [{"AttributeName": "mine", "AttributeType": "N"}, *TABLE["AttributeDefinitions"]]
    dynamodb_says((200, {"Table": {**TABLE, "AttributeDefinitions": attributes, "TableStatus": "ACTIVE"}}))
    assert set(await opened(dynamodb_says)) == {"DescribeTable"}


async def test_two_nodes_that_start_at_the_same_time_have_the_same_tables(dynamodb_store, tmp_path):
    names = [f"t{number}" for number in range(5)]
    stores = [open_store(dynamodb_store, tmp_path, names) for _ in range(2)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].put(("t3",), "1", "said")
    assert (await stores[1].get(("t3",), "1")).value == "said"
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_table_that_another_process_makes_right_now_is_waited_for(dynamodb_says):
    dynamodb_says(MISSING, error("ResourceInUseException"), CREATING, ACTIVE)
    assert await opened(dynamodb_says) == ["DescribeTable", "CreateTable", "DescribeTable", "DescribeTable"]


async def test_a_table_that_nobody_sees_yet_is_waited_for(dynamodb_says):
    dynamodb_says(MISSING, MADE, MISSING, CREATING, ACTIVE, (200, {}), ACTIVE)
    assert await opened(dynamodb_says) == [
        "DescribeTable", "CreateTable", "DescribeTable", "DescribeTable", "DescribeTable", "UpdateTimeToLive",
        "DescribeTable",
    ]  # fmt: skip


async def test_a_table_that_never_comes_is_given_up(dynamodb_says, monkeypatch):
    monkeypatch.setattr(dynamodb_tables, "_ACTIVE_SECONDS", 0.1)
    dynamodb_says(CREATING)
    with pytest.raises(StoreUnavailable, match="has not made table table-x within 0 seconds"):
        await opened(dynamodb_says)


async def test_a_table_with_other_keys_is_refused_and_named(client, dynamodb_store, tmp_path):
    prefix = dynamodb_store.split("/")[3].partition("?")[0]
    client.create_table(
        TableName=f"{prefix}people",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    store = open_store(dynamodb_store, tmp_path, ["people"])
    with pytest.raises(ConfigurationError, match=f"table {prefix}people is there with other keys than a collection's"):
        await store.open()
    await store.close()


async def test_what_is_no_dynamodb_is_not_taken_for_one(dynamodb_says):
    dynamodb_says((200, b"<html>Welcome</html>"))
    with pytest.raises(StoreUnavailable, match="^DynamoDB at http://.* answers, but not as a DynamoDB does$"):
        await opened(dynamodb_says)


async def test_a_dynamodb_without_time_to_live_keeps_what_has_expired_and_the_log_says_so(dynamodb_says, caplog):
    caplog.set_level(logging.INFO, "trunkline.stores")
    dynamodb_says(MISSING, MADE, ACTIVE, error("UnknownOperationException"), ACTIVE)
    await opened(dynamodb_says)
    assert caplog.messages[1:] == ["table table-x keeps what has expired: this DynamoDB has no time to live"]


@pytest.mark.parametrize("before", [[], [MISSING], [MISSING, MADE, ACTIVE]])
async def test_who_may_not_make_a_table_is_told_what_is_missing(dynamodb_says, before):
    dynamodb_says(*before, error("AccessDeniedException"))
    operation = ["DescribeTable", "CreateTable", None, "UpdateTimeToLive"][len(before)]
    with pytest.raises(StoreUnavailable, match=f"table table-x: dynamodb:{operation} on it is not allowed"):
        await opened(dynamodb_says)
