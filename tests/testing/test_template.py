"""A template in tests: served in this process, in real time."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

import trunkline
from trunkline import ConfigurationError, testing

TEMPLATE = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Parameters": {"Word": {"Type": "String", "Default": "first"}},
    "Resources": {
        "Talk": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Environment": {"Variables": {"WORD": {"Ref": "Word"}}},
                "InlineCode": "import os\ndef handler(event, context):\n    print('asked')\n"
                "    return {'statusCode': 200, 'body': os.environ['WORD']}\n",
            },
        },
        "Api": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {"ProtocolType": "WEBSOCKET", "Name": "chat", "RouteSelectionExpression": "$request.body.a"},
        },
        "Way": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Fn::GetAtt": ["Talk", "Arn"]},
            },
        },
        "Default": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "RouteKey": "$default",
                "RouteResponseSelectionExpression": "$default",
                "Target": {"Fn::Sub": "integrations/${Way}"},
            },
        },
        "Back": {
            "Type": "AWS::ApiGatewayV2::RouteResponse",
            "Properties": {"ApiId": {"Ref": "Api"}, "RouteId": {"Ref": "Default"}, "RouteResponseKey": "$default"},
        },
        "Stage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "dev"}},
    },
}


@pytest.fixture
def file(tmp_path):
    template = tmp_path / "template.json"
    template.write_text(json.dumps(TEMPLATE))
    return template


@pytest.mark.parametrize(("parameters", "word"), [(None, "first"), ({"Word": "second"}, "second")])
def test_a_template_is_spoken_to_at_its_url_and_its_output_is_kept(file, parameters, word):
    async def talk():
        async with testing.template(file, parameters=parameters) as served:
            assert served.url() == served.url("dev")
            async with connect(served.url()) as client:
                await client.send("hello")
                return await asyncio.wait_for(client.recv(), 20), served.output

    assert asyncio.run(talk()) == (word, ["Talk | asked"])


def test_a_stage_that_is_not_there_is_told_with_those_that_are(file):
    async def ask():
        async with testing.template(file) as served:
            served.url("prod")

    with pytest.raises(ConfigurationError, match="has no stage 'prod'; there are dev$"):
        asyncio.run(ask())


async def test_in_virtual_time_it_says_what_to_do_instead(file):
    with pytest.raises(
        ConfigurationError, match=r"need real time; expected a plain `def` test that calls asyncio\.run"
    ):
        async with testing.template(file):
            pass


async def test_who_opens_a_template_as_a_program_is_told_of_this(file):
    with pytest.raises(
        ConfigurationError, match=r"template\.json is a template of AWS; .* trunkline\.testing\.template"
    ):
        async with trunkline.open(file):
            pass
