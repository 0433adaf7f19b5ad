"""The tables of a template: in a DynamoDB that is started for the run, or in one that somebody named."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest

from trunkline import ConfigurationError
from trunkline.functions import dynamodb_server
from trunkline.functions.dynamodb import tables_for
from trunkline.functions.dynamodb_server import DynamoServer
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
    async with tables_for(definitions, node_modules=NODE_MODULES, say=said) as url:
        database = client(url)
        try:
            yield database, url, said
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


async def test_what_is_not_run_here_is_left_out_and_said():
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    tags = [{"Key": "team", "Value": "blue"}]
    async with running(table(StreamSpecification=stream, Tags=tags, ttl="ends")) as (database, _, said):
        assert database.list_tables()["TableNames"] == ["Connections"]
        assert said == [
            "table Connections: items do not end by ends: this DynamoDB has no time to live",
            "table Connections: made without StreamSpecification, Tags, which is not run here",
        ]


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


# One that somebody named.


async def test_a_table_that_is_there_is_kept_with_its_items():
    async with running(table()) as (database, url, _):
        database.put_item(TableName="Connections", Item={"id": {"S": "a"}})
        said = Said()
        async with tables_for([table(), table("Messages")], url=url, say=said) as named:
            assert named == url
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
            async with tables_for([other], url=url, say=Said()):
                pass
    assert str(refused.value) == (
        f"{HERE}: table Connections: the one at {url} has the key {told}; delete it, or name another DynamoDB with "
        "--dynamodb"
    )


async def test_an_index_that_a_table_lacks_is_said():
    async with running(table()) as (_, url, _said):
        said = Said()
        async with tables_for([by_room()], url=url, say=said):
            assert said == [f"table Connections: the one at {url} is kept; it has no index rooms"]


async def test_a_url_where_nothing_answers_is_named():
    async with running() as (_, url, _said):
        pass
    with pytest.raises(ConfigurationError, match=f"^DynamoDB at {url}: .*; expected one that answers at this URL$"):
        async with tables_for([table()], url=url, say=Said()):
            pass


async def test_what_is_no_url_is_named():
    with pytest.raises(ConfigurationError, match="--dynamodb 'here': expected a URL such as"):
        async with tables_for([table()], url="here", say=Said()):
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
        async with tables_for([table()], url=url, region=found["AWS_REGION"], say=Said()):
            server.shutdown()
    (asked,) = server.asked
    assert f" Credential={found['AWS_ACCESS_KEY_ID']}/" in asked
    assert "/eu-west-1/dynamodb/aws4_request" in asked


# The process.


def is_gone(pid):
    """Whether a process has ended, within ten seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


async def test_it_listens_on_this_machine_alone_and_ends_with_the_block(monkeypatch):
    started = []

    class Watched(DynamoServer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self._process.pid)

    monkeypatch.setattr("trunkline.functions.dynamodb.DynamoServer", Watched)
    async with running() as (_, url, _said):
        (pid,) = started
        assert url.startswith("http://127.0.0.1:")
        assert os.getpgid(pid) == pid != os.getpgid(0)
    assert is_gone(pid)


RUN = """
import asyncio, sys
from pathlib import Path
from trunkline.functions import dynamodb
async def main():
    class Told(dynamodb.DynamoServer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            print(self._process.pid, flush=True)
    dynamodb.DynamoServer = Told
    async with dynamodb.tables_for([], node_modules=Path(sys.argv[1]), say=print):
        print("ready", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def test_it_dies_with_us_even_when_we_are_killed():
    with subprocess.Popen([sys.executable, "-c", RUN, NODE_MODULES], stdout=subprocess.PIPE, text=True) as ours:
        pid = int(ours.stdout.readline())
        assert ours.stdout.readline() == "ready\n"
        assert not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        ours.send_signal(signal.SIGKILL)
    assert is_gone(pid)


def test_a_server_that_does_not_start_says_why():
    server = DynamoServer("dynalite", [sys.executable, "-c", "raise SystemExit('no such luck')"])
    try:
        with pytest.raises(ConfigurationError, match="^dynalite did not start: no such luck$"):
            server.url()
    finally:
        server.close()


def test_a_server_that_says_nothing_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr(dynamodb_server, "_START_SECONDS", 0.2)
    server = DynamoServer("dynalite", [sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with pytest.raises(ConfigurationError, match="^dynalite did not start: it said nothing$"):
            server.url()
    finally:
        server.close()


# What there is.


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Nothing is installed: no Node, no moto, nothing in the cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in ("dynamodb_server", "npm"):
        monkeypatch.setattr(f"trunkline.functions.{module}.find_spec", lambda name: None)
    return monkeypatch


async def refusal(**how):
    with pytest.raises(ConfigurationError) as refused:
        async with tables_for([table()], say=Said(), **how):
            pass
    return str(refused.value)


async def test_without_node_and_moto_the_ways_out_are_told(bare):
    told = await refusal(node_modules=NODE_MODULES)
    assert told.startswith("the tables need a DynamoDB, and there is no Node; expected one of: ")
    for way in ("`npm install dynalite`", "`--dynamodb URL`", "`pip install 'moto[server]'`"):
        assert way in told


async def test_without_dynalite_the_cache_that_it_would_be_in_is_told(bare, tmp_path):
    told = await refusal(node=tmp_path / "node", node_modules=tmp_path)
    assert "there is no dynalite" in told
    assert str(tmp_path / "cache" / "trunkline" / "node") in told


async def test_dynalite_in_the_cache_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "trunkline" / "node"
    cache.mkdir(parents=True)
    (cache / "node_modules").symlink_to(NODE_MODULES)
    async with tables_for([table()], say=Said()) as url:
        database = client(url)
        assert database.list_tables()["TableNames"] == ["Connections"]
        database.close()


MOTO = """
from http.server import HTTPServer, BaseHTTPRequestHandler
from threading import Thread
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"moto")
class ThreadedMotoServer:
    def __init__(self, ip_address, port):
        self.server = HTTPServer((ip_address, port), Handler)
    def start(self):
        print("as moto says something before it has a port")
        Thread(target=self.server.serve_forever).start()
    def get_host_and_port(self):
        return self.server.server_address
"""


async def test_motos_server_is_what_remains_and_is_said_to_be_slow(bare, tmp_path):
    # moto is no dependency: what stands in for it has the face that we use.
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto/__init__.py").touch()
    (tmp_path / "moto/server.py").write_text(MOTO)
    bare.setenv("PYTHONPATH", str(tmp_path))
    bare.setattr("trunkline.functions.dynamodb_server.find_spec", lambda name: name in {"moto", "flask"} or None)
    said = Said()
    async with tables_for([], say=said) as url:
        with urlopen(url, timeout=10) as answer:
            assert answer.read() == b"moto"
    assert said == ["moto's server holds the tables: it is slow on large ones; `npm install dynalite` is quick"]
    with pytest.raises(URLError):
        urlopen(url, timeout=10)
