"""Actions of DynamoDB behind mappings and templates, against a real dynalite."""

import asyncio
import json
import secrets
import sys
from contextlib import asynccontextmanager

import boto3
import pytest

from trunkline import ConfigurationError, DeclarationError, testing
from trunkline.functions.environment import CREDENTIALS
from trunkline.integrations.base import Asked, IntegrationError
from trunkline.integrations.dynamodb import DynamoDbBackend
from trunkline.integrations.http import HttpClient
from trunkline.integrations.mapped import MappedIntegration
from trunkline.integrations.vtl import TemplateWorker
from trunkline.model.deployment import IntegrationDefinition, ResponseDefinition


@pytest.fixture(scope="module")
def table(dynamodb):
    """The name of a table with the key `id`."""
    name = f"table-{secrets.token_hex(6)}"
    client = boto3.client("dynamodb", endpoint_url=dynamodb, region_name="us-east-1", **CREDENTIALS)
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name)
    client.close()
    return name


@asynccontextmanager
async def acting(url):
    """Do an action: its name and what it is asked, as JSON."""
    client = HttpClient()

    async def act(action, asked):
        body = asked if isinstance(asked, str) else json.dumps(asked)
        return await backend(action, url, client).call(Asked(body))

    try:
        yield act
    finally:
        await client.close()


def backend(action, url, client):
    return DynamoDbBackend(action, url, region="us-east-1", credentials=CREDENTIALS, client=client)


async def test_an_item_that_is_put_is_got(dynamodb, table):
    item = {"id": {"S": "a"}, "who": {"S": "é\n"}, "n": {"N": "1.5"}}
    async with acting(dynamodb) as act:
        put = await act("dynamodb:PutItem", {"TableName": table, "Item": item})
        assert (put.status, json.loads(put.body)) == (200, {})
        got = await act("dynamodb:GetItem", {"TableName": table, "Key": {"id": {"S": "a"}}})
    assert (got.status, json.loads(got.body)) == (200, {"Item": item})
    assert got.headers["content-type"] == ["application/x-amz-json-1.0"]


async def test_what_dynamodb_refuses_is_an_answer_with_its_status(dynamodb, table):
    async with acting(dynamodb) as act:
        for action, body, kind in (
            ("dynamodb:GetItem", {"TableName": "none", "Key": {"id": {"S": "a"}}}, "ResourceNotFoundException"),
            ("dynamodb:GetItem", {"TableName": table, "Key": {}}, "ValidationException"),
            ("dynamodb:GetItem", "no json", "SerializationException"),
            ("dynamodb:DoNothing", {}, "UnknownOperationException"),
        ):
            answered = await act(action, body)
            assert (answered.status, answered.error) == (400, None)
            assert kind in answered.body


async def test_where_there_is_no_dynamodb_it_is_an_error(free_port):
    url = f"http://127.0.0.1:{free_port}"
    async with acting(url) as act:
        with pytest.raises(IntegrationError, match=f"^dynamodb:PutItem at {url} did not answer: ConnectError"):
            await act("dynamodb:PutItem", {})


async def test_a_request_is_signed_and_carries_nothing_of_the_clients():
    heads = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head.decode())
        await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    asked = Asked("{}", headers={"X-Amz-Target": ["DynamoDB_20120810.DeleteTable"]}, query={"a": ["b"]})
    await backend("dynamodb:Query", url, client).call(asked)
    await client.close()
    server.close()
    line, *headers = heads[0].removesuffix("\r\n\r\n").split("\r\n")
    found = dict(header.lower().split(": ", 1) for header in headers)
    assert line == "POST / HTTP/1.1"
    assert found["x-amz-target"] == "dynamodb_20120810.query"
    assert found["content-type"] == "application/x-amz-json-1.0"
    assert found["x-amz-security-token"] == CREDENTIALS["aws_session_token"]
    key = CREDENTIALS["aws_access_key_id"].lower()
    assert found["authorization"].startswith(f"aws4-hmac-sha256 credential={key}/")
    assert "/us-east-1/dynamodb/aws4_request" in found["authorization"]


async def test_a_message_becomes_an_item_and_the_answer_a_reply(dynamodb, table):
    put = (
        '{"TableName": "%s", "Item": {"id": {"S": "$context.connectionId"}, "text": {"S": $input.json("$.text")}}}'
        % table
    )
    definition = IntegrationDefinition(
        "AWS",
        action="dynamodb:PutItem",
        templates={"$default": put},
        responses=(
            ResponseDefinition("200", templates={"$default": "kept for $context.connectionId"}),
            ResponseDefinition("/4../", templates={"$default": 'not kept: $input.path("$.message")'}),
        ),
    )
    worker, client = TemplateWorker(), HttpClient()
    try:
        made = MappedIntegration(definition, backend("dynamodb:PutItem", dynamodb, client), worker)
        sent = testing.context('{"text": "a \\"quoted\\" word"}').req
        assert (await made.invoke(sent)).body == f"kept for {sent.connection_id}"
        key = json.dumps({"TableName": table, "Key": {"id": {"S": sent.connection_id}}})
        got = await backend("dynamodb:GetItem", dynamodb, client).call(Asked(key))
        assert json.loads(got.body)["Item"]["text"] == {"S": 'a "quoted" word'}
        assert (await made.invoke(testing.context('{"text": [1]}').req)).body.startswith("not kept")
    finally:
        await client.close()
        await worker.close()


@pytest.mark.parametrize(
    "action", ["", "PutItem", "dynamodb:", "s3:PutObject", "dynamodb:Put\r\nItem", "dynamodb:PutItem "]
)
def test_what_is_no_action_of_dynamodb_is_refused(action):
    with pytest.raises(DeclarationError, match="expected one such as dynamodb:PutItem"):
        backend(action, "http://127.0.0.1:1", None)


def test_without_botocore_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'trunkline\[aws\]'"):
        backend("dynamodb:PutItem", "http://127.0.0.1:1", None)
