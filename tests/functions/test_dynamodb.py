"""The tables of a template: in a DynamoDB that is started for the run, or in one that somebody named."""

import json
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest

from trunkline import ConfigurationError
from trunkline.functions.dynamodb import tables_for
from trunkline.functions.environment import Surroundings, worker_environment
from trunkline.model.functions import FunctionDefinition
from trunkline.model.tables import TableDefinition

NODE_MODULES = Path(__file__).parents[2] / ".venv/node/node_modules"
HERE = "template.yaml:7"


def table(name="Connections", *, keys=("id",), kind="S", ttl=None, **more):
    create = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key in keys],
        "KeySchema": [
            {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    return TableDefinition(name, name, create | more, ttl, HERE)


def by_room():
    """A table whose items are found by their room, too."""
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "room")]
    rooms = {
        "IndexName": "rooms",
        "KeySchema": [{"AttributeName": "room", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    return table(AttributeDefinitions=attributes, GlobalSecondaryIndexes=[rooms])


def client(url):
    return boto3.client(
        "dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )


class Said(list):
    def __call__(self, who, line):
        assert who == "dynamodb"
        self.append(line)


@asynccontextmanager
async def running(*definitions):
    """A client of a DynamoDB with these tables, its URL, and what was said."""
    said = Said()
    async with tables_for(definitions, folders=[NODE_MODULES], say=said) as tables:
        database = client(tables.url)
        try:
            yield database, tables.url, said
        finally:
            database.close()


async def test_an_item_that_is_put_is_found_by_its_key_and_on_an_index():
    async with running(by_room()) as (database, _, said):
        item = {"id": {"S": "a"}, "room": {"S": "blue"}}
        database.put_item(TableName="Connections", Item=item)
        assert database.get_item(TableName="Connections", Key={"id": {"S": "a"}})["Item"] == item
        found = database.query(
            TableName="Connections",
            IndexName="rooms",
            KeyConditionExpression="room = :room",
            ExpressionAttributeValues={":room": {"S": "blue"}},
        )
        assert found["Items"] == [item]
        assert said == []


async def test_every_table_is_active_when_the_block_begins():
    async with running(table(), table("Messages", keys=("room", "at"))) as (database, _, _said):
        states = [
            database.describe_table(TableName=name)["Table"]["TableStatus"] for name in ("Connections", "Messages")
        ]
        assert states == ["ACTIVE", "ACTIVE"]


async def test_what_is_not_run_here_is_left_out():
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    tags = [{"Key": "team", "Value": "blue"}]
    async with running(table(StreamSpecification=stream, Tags=tags, ttl="ends")) as (database, _, said):
        assert database.list_tables()["TableNames"] == ["Connections"]
        assert "StreamSpecification" not in database.describe_table(TableName="Connections")["Table"]
        assert said == []


async def test_a_table_that_cannot_be_says_where_it_is_declared():
    with pytest.raises(
        ConfigurationError, match=f"{HERE}: table Connections: http.* refused it: .*AttributeDefinitions"
    ):
        async with running(table(KeySchema=[{"AttributeName": "other", "KeyType": "HASH"}])):
            pass


async def test_a_value_of_another_type_says_where_it_is_declared():
    with pytest.raises(ConfigurationError, match=f"{HERE}: table Connections: .*KeySchema"):
        async with running(table(KeySchema="id")):
            pass


class WithoutTimeToLive(BaseHTTPRequestHandler):
    """A DynamoDB that makes any table, and knows nothing else."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        asked = self.headers["x-amz-target"].partition(".")[2]
        self.server.asked.append(asked)
        status, answer = {
            "DescribeTable": (200, {"Table": {"TableStatus": "ACTIVE"}}),
            "CreateTable": (200, {}),
        }.get(asked, (400, {"__type": "x#UnknownOperationException"}))
        if self.server.asked == ["DescribeTable"]:
            status, answer = 400, {"__type": "x#ResourceNotFoundException"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def test_a_dynamodb_without_time_to_live_is_told_of():
    said = Said()
    with ThreadingHTTPServer(("127.0.0.1", 0), WithoutTimeToLive) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever).start()
        async with tables_for([table(ttl="ends")], dynamodb=f"http://127.0.0.1:{server.server_port}", say=said):
            server.shutdown()
    assert server.asked[-1] == "UpdateTimeToLive"
    assert said == ["table Connections: items do not end by ends: this DynamoDB has no time to live"]


# One that somebody named.


async def test_a_table_that_is_there_is_kept_with_its_items():
    async with running(table()) as (database, url, _):
        database.put_item(TableName="Connections", Item={"id": {"S": "a"}})
        said = Said()
        async with tables_for([table(), table("Messages")], dynamodb=url, say=said) as named:
            assert named.url == url
            assert database.scan(TableName="Connections")["Count"] == 1
            assert database.list_tables()["TableNames"] == ["Connections", "Messages"]
        assert said == []
        assert database.scan(TableName="Connections")["Count"] == 1  # and it is not ended


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (table(keys=("room",)), "HASH id (S), expected HASH room (S)"),
        (table(kind="N"), "HASH id (S), expected HASH id (N)"),
        (table(keys=("id", "at")), "HASH id (S), expected HASH id (S), RANGE at (S)"),
    ],
    ids=["name", "type", "range"],
)
async def test_a_table_with_another_key_is_an_error_with_both(other, told):
    async with running(table()) as (_, url, _said):
        with pytest.raises(ConfigurationError) as refused:
            async with tables_for([other], dynamodb=url, say=Said()):
                pass
    assert str(refused.value) == (
        f"{HERE}: table Connections: the one at {url} has the key {told}; delete it, or name another DynamoDB with "
        "--dynamodb"
    )


async def test_a_table_of_the_run_whose_key_changes_needs_another_run():
    async with tables_for([table()], folders=[NODE_MODULES], say=Said()) as tables:
        with pytest.raises(ConfigurationError, match="expected HASH room \\(S\\); start the run anew$"):
            await tables.make([table(keys=("room",))])


async def test_more_tables_are_made_during_the_run():
    async with tables_for([table()], folders=[NODE_MODULES], say=Said()) as tables:
        await tables.make([table(), table("Messages")])
        database = client(tables.url)
        assert database.list_tables()["TableNames"] == ["Connections", "Messages"]
        database.close()


async def test_an_index_that_a_table_lacks_is_said():
    async with running(table()) as (_, url, _said):
        said = Said()
        async with tables_for([by_room()], dynamodb=url, say=said):
            assert said == [f"table Connections: the one at {url} is kept; it has no index rooms"]


async def test_a_url_where_nothing_answers_is_named():
    async with running() as (_, url, _said):
        pass
    with pytest.raises(ConfigurationError, match=f"^DynamoDB at {url}: .*; expected one that answers at this URL$"):
        async with tables_for([table()], dynamodb=url, say=Said()):
            pass


async def test_what_is_no_url_is_named():
    with pytest.raises(ConfigurationError, match="--dynamodb 'here': expected a URL such as"):
        async with tables_for([table()], dynamodb="here", say=Said()):
            pass


class Describing(BaseHTTPRequestHandler):
    """A DynamoDB that has the table already, and keeps who asked."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(self.headers["authorization"])
        body = json.dumps({"Table": dict(table().create)}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def test_it_is_asked_with_the_key_of_the_functions_and_in_their_region(tmp_path):
    # Some have other tables for each of them.
    function = FunctionDefinition("f", "F", "python3.12", "app.handler")
    surroundings = Surroundings("eu-west-1", "123456789012", tmp_path, print)
    found = worker_environment(function, surroundings, task_root=tmp_path, layers=None, own=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Describing) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        async with tables_for([table()], dynamodb=url, region=found["AWS_REGION"], say=Said()):
            server.shutdown()
    (asked,) = server.asked
    assert f" Credential={found['AWS_ACCESS_KEY_ID']}/" in asked
    assert "/eu-west-1/dynamodb/aws4_request" in asked
