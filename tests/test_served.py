"""A template that is served inside this process."""

import asyncio
import json
import socket
from urllib.error import HTTPError
from urllib.request import urlopen

from websockets.asyncio.client import connect

from trunkline.config import Settings
from trunkline.functions.environment import CREDENTIALS
from trunkline.served import open_template

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


def status(url):
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code
