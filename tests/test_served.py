"""A template that is served inside this process."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.asyncio.client import connect

from trunkline.config import Settings
from trunkline.errors import ConfigurationError
from trunkline.functions.environment import CREDENTIALS
from trunkline.served import open_template

NODE_MODULES = Path(__file__).parents[1] / ".venv/node/node_modules"
ECHO = """
    def handler(event, context):
        print("asked for", event["body"])
        return {"statusCode": 200, "body": event["body"].upper()}
"""


def written(folder, code=ECHO, **more):
    """A template of one function that answers."""
    function = {"Runtime": "python3.11", "Handler": "index.handler", "InlineCode": "\n".join(code.split("\n    "))}
    integration = {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": {"Fn::Sub": "${Talk.Arn}"},
        "ApiId": {"Ref": "Api"},
    }
    select = {"ProtocolType": "WEBSOCKET", "Name": "chat", "RouteSelectionExpression": "$request.body.action"}
    default = {"ApiId": {"Ref": "Api"}, "RouteKey": "$default", "Target": {"Fn::Sub": "integrations/${Way}"}}
    resources = {
        "Talk": {"Type": "AWS::Serverless::Function", "Properties": function},
        "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": select},
        "Way": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": integration},
        "Default": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": default | {"RouteResponseSelectionExpression": "$default"},
        },
        "Back": {
            "Type": "AWS::ApiGatewayV2::RouteResponse",
            "Properties": {"ApiId": {"Ref": "Api"}, "RouteId": {"Ref": "Default"}, "RouteResponseKey": "$default"},
        },
        "Stage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "dev"}},
        **more,
    }
    template = folder / "template.json"
    template.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}))
    return template


async def said(address, text, stage="dev"):
    host, port = address
    async with connect(f"ws://{host}:{port}/{stage}") as client:
        await client.send(text)
        return await asyncio.wait_for(client.recv(), 20)


def test_a_template_is_served_for_as_long_as_the_block_lasts(tmp_path):
    heard = []

    async def run():
        settings = Settings(port=0, admin="off")
        async with open_template(written(tmp_path), settings, lambda *line: heard.append(line)) as served:
            assert list(served.paths) == ["dev"]
            assert await said(served.address, "hello") == "HELLO"
        return served.address

    host, port = asyncio.run(run())
    assert heard == [("Talk", "asked for hello")]
    with socket.socket() as again:
        assert again.connect_ex((host, port)) != 0


SLOW = """
    import time

    def handler(event, context):
        print("begun", flush=True)
        time.sleep(0.5)
        return {"statusCode": 200, "body": "done"}
"""


def test_it_knows_which_functions_are_at_work(tmp_path):
    async def run():
        begun = asyncio.Event()
        say = lambda function, line: line == "begun" and begun.set()  # noqa: E731
        async with open_template(written(tmp_path, SLOW), Settings(port=0, admin="off"), say) as served:
            assert served.running() == []
            asking = asyncio.ensure_future(said(served.address, "hello"))
            await asyncio.wait_for(begun.wait(), 20)
            assert served.running() == ["Talk"]
            assert await asking == "done"
            assert served.running() == []

    asyncio.run(run())


POSTING = """
    import boto3
    import os

    def handler(event, context):
        where = event["requestContext"]
        api = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
        api.post_to_connection(ConnectionId=where["connectionId"], Data=b"posted")
        return {"statusCode": 200, "body": os.environ["AWS_SECRET_ACCESS_KEY"]}
"""


def test_where_calls_must_be_signed_those_of_the_functions_are_taken_and_nobody_elses(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text("[]")
    keys.chmod(0o600)

    async def run():
        settings = Settings(port=0, admin="off", verify_signatures=True, keys=str(keys))
        async with open_template(written(tmp_path, POSTING), settings, lambda *line: None) as served:
            host, port = served.address
            async with connect(f"ws://{host}:{port}/dev") as client:
                await client.send("hello")
                heard = [await asyncio.wait_for(client.recv(), 20) for _ in range(2)]
            url = f"http://{host}:{port}/dev/@connections/abc"
            unsigned = await asyncio.to_thread(status, url)
            return heard, unsigned

    (posted, secret), unsigned = asyncio.run(run())
    assert posted == "posted"
    assert secret != CREDENTIALS["aws_secret_access_key"]
    assert unsigned == 403


TALLY = """
    import boto3
    import os

    def handler(event, context):
        found = boto3.client("dynamodb").list_tables()["TableNames"]
        return {"statusCode": 200, "body": ",".join(sorted(found)) or "none"}
"""


def table(name, key="id"):
    properties = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    return {"Type": "AWS::DynamoDB::Table", "Properties": properties}


def serving(work, template, heard, **settings):
    """Serve a template in real time, and run this with it."""

    async def run():
        settings_ = Settings(port=0, admin="off", **({"node_modules": str(NODE_MODULES)} | settings))
        async with open_template(template, settings_, lambda *line: heard.append(line)) as served:
            return await work(served)

    return asyncio.run(run())


def test_tables_that_a_changed_template_adds_are_there_at_once(tmp_path):
    heard = []

    async def work(served):
        before = await said(served.address, "which")
        written(tmp_path, TALLY, Rooms=table("rooms"), Users=table("users"))
        await served.redeploy()
        after = await said(served.address, "which")
        written(tmp_path, TALLY, Users=table("users"))
        await served.redeploy()
        return before, after

    assert serving(work, written(tmp_path, TALLY, Rooms=table("rooms")), heard) == ("rooms", "rooms,users")
    assert heard == [("dynamodb", "table rooms is no longer in the template; it stays until the end of the run")]


def test_the_first_table_of_a_changed_template_starts_a_dynamodb_that_the_functions_know(tmp_path):
    async def work(served):
        assert served.dynamodb is None
        written(tmp_path, TALLY, Rooms=table("rooms"))
        await served.redeploy()
        return await said(served.address, "which")

    assert serving(work, written(tmp_path, TALLY), []) == "rooms"


def test_a_changed_key_of_a_table_is_an_error_that_leaves_what_was_served(tmp_path):
    async def work(served):
        written(tmp_path, ECHO, Rooms=table("rooms", "room"))
        with pytest.raises(ConfigurationError, match=r"table rooms: .* expected HASH room \(S\); start the run anew"):
            await served.redeploy()
        return await said(served.address, "which")

    assert serving(work, written(tmp_path, TALLY, Rooms=table("rooms")), []) == "rooms"


def test_where_no_dynamodb_can_be_had_that_is_said_and_the_rest_is_served(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("trunkline.functions.dynamodb_server.find_spec", lambda name: None)
    heard = []

    async def work(served):
        return served.dynamodb, await said(served.address, "hello")

    answered = serving(work, written(tmp_path, Rooms=table("rooms")), heard, node_modules=str(tmp_path))
    assert answered == ("http://127.0.0.1:1/no-dynamodb-was-started", "HELLO")
    (who, told), _ = heard
    assert who == "dynamodb"
    assert told.startswith(
        "the tables need a DynamoDB, and there is no dynalite; install it with `npm install --prefix "
    )
    assert told.endswith("Until then functions find no table")


def test_a_function_that_misses_the_sdk_is_told_once_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    function = {"Runtime": "nodejs20.x", "Handler": "index.handler", "InlineCode": 'require("@aws-sdk/client-nothing")'}
    heard = []

    async def work(served):
        return [await said(served.address, "hello") for _ in range(2)]

    template = written(tmp_path, Talk={"Type": "AWS::Serverless::Function", "Properties": function})
    assert all("Internal server error" in answer for answer in serving(work, template, heard))
    told = [line for who, line in heard if line.startswith("Lambda has @aws-sdk/client-nothing for nodejs20.x; ")]
    assert len(told) == 1


def status(url):
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code


FAREWELL = """
    import boto3

    def handler(event, context):
        where = event["requestContext"]
        api = boto3.client(
            "apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}"
        )
        try:
            api.post_to_connection(ConnectionId=where["connectionId"], Data=b"bye")
        except api.exceptions.GoneException:
            print("it is gone")
        return {"statusCode": 200}
"""


def test_a_function_that_hears_of_the_end_of_a_connection_at_the_end_of_the_run_still_calls_back(tmp_path):
    heard = []
    route = {"ApiId": {"Ref": "Api"}, "RouteKey": "$disconnect", "Target": {"Fn::Sub": "integrations/${Way}"}}
    template = written(tmp_path, FAREWELL, Bye={"Type": "AWS::ApiGatewayV2::Route", "Properties": route})

    async def run():
        async with open_template(template, Settings(port=0, admin="off"), lambda *line: heard.append(line)) as served:
            host, port = served.address
            client = await connect(f"ws://{host}:{port}/dev")
        await client.wait_closed()

    asyncio.run(run())
    assert heard == [("Talk", "it is gone")]


LAYERED = """
    import words

    def handler(event, context):
        return {"statusCode": 200, "body": words.word}
"""


def test_functions_run_anew_when_a_file_of_a_layer_of_theirs_changes(tmp_path):
    words = tmp_path / "layer" / "python" / "words.py"
    words.parent.mkdir(parents=True)
    words.write_text("word = 'first'\n")
    layer = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "layer"}}
    template = written(tmp_path, LAYERED, Words=layer)
    resources = json.loads(template.read_text())
    resources["Resources"]["Talk"]["Properties"]["Layers"] = [{"Ref": "Words"}]
    template.write_text(json.dumps(resources))

    async def run():
        async with open_template(template, Settings(port=0, admin="off"), lambda *_: None) as served:
            assert await said(served.address, "hello") == "first"
            words.write_text("word = 'another'\n")
            assert served.changed(template) == []
            assert served.changed(words) == ["Talk"]
            assert await said(served.address, "hello") == "another"

    asyncio.run(run())


def mock(reply, host="127.0.0.1:1"):
    """A template without a function: a mock, and a server that a stage variable names."""

    def integration(kind, **more):
        return {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {"ApiId": {"Ref": "Api"}, "IntegrationType": kind} | more,
        }

    def route(key, way):
        given = {"ApiId": {"Ref": "Api"}, "RouteKey": key, "RouteResponseSelectionExpression": "$default"}
        return {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": given | {"Target": {"Fn::Join": ["/", ["integrations", {"Ref": way}]]}},
        }

    return {
        "Mock": integration("MOCK", RequestTemplates={"$default": '{"statusCode": 200}'}),
        "Answer": {
            "Type": "AWS::ApiGatewayV2::IntegrationResponse",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "IntegrationId": {"Ref": "Mock"},
                "IntegrationResponseKey": "$default",
                "ResponseTemplates": {"$default": reply},
            },
        },
        "Ping": route("ping", "Mock"),
        "Server": integration("HTTP_PROXY", IntegrationUri="http://${stageVariables.host}/x", IntegrationMethod="POST"),
        "Serve": route("serve", "Server"),
        "Stage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "dev", "StageVariables": {"host": host}},
        },
    }


@contextlib.asynccontextmanager
async def answering(text):
    """A server that answers every request with a text."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield "127.0.0.1:{}".format(server.sockets[0].getsockname()[1])


def test_templates_and_servers_are_asked_and_a_changed_template_asks_others_under_open_connections(tmp_path):
    async def work(served):
        async with answering("one") as one, answering("two") as two:
            written(tmp_path, **mock("first $context.routeKey", one))
            await served.redeploy()
            host, port = served.address
            async with connect(f"ws://{host}:{port}/dev") as client:

                async def answers():
                    heard = []
                    for action in ("ping", "serve"):
                        await client.send(json.dumps({"action": action}))
                        heard.append(await asyncio.wait_for(client.recv(), 20))
                    return heard

                before = await answers()
                written(tmp_path, **mock("second $context.routeKey", two))
                await served.redeploy()
                return before, await answers()

    assert serving(work, written(tmp_path), []) == (["first ping", "one"], ["second ping", "two"])


def test_nothing_of_integrations_is_left_after_a_run_and_nothing_is_made_for_a_run_without(tmp_path):
    async def work(served):
        await said(served.address, '{"action": "ping"}')
        return served.backends

    backends = serving(work, written(tmp_path, **mock("pong")), [])
    assert backends.worker is None
    without = serving(work, written(tmp_path), [])
    assert without.worker is None
