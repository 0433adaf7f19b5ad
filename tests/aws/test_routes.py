"""The routes of a socket on AWS."""

import pytest

from trunkline import websocket
from trunkline.aws.lambda_node import LambdaNode
from trunkline.aws.lambda_program import LambdaProgram
from trunkline.aws.program import Authorizer, Route, Socket
from trunkline.aws.routes import routes_of, words
from trunkline.resources.application import Application
from trunkline.resources.permissions import Declared
from trunkline.resources.websocket import SocketOptions

HERE = Declared("live.py", 1)
BID = Route("bid", "Live", HERE)
CONNECT = {
    "headers": {"Host": "abcdefghij.execute-api.us-east-1.amazonaws.com"},
    "multiValueHeaders": {"Host": ["abcdefghij.execute-api.us-east-1.amazonaws.com"]},
    "requestContext": {
        "routeKey": "$connect", "authorizer": {"principalId": "ann"}, "eventType": "CONNECT",
        "extendedRequestId": "EOoVYH6YIAMEn6g=", "requestTime": "25/Sep/2026:00:04:24 +0000", "messageDirection": "IN",
        "stage": "live", "connectedAt": 1790294664392, "requestTimeEpoch": 1790294664393,
        "identity": {"sourceIp": "203.0.113.50"}, "requestId": "EOoVYH6YIAMEn6g=",
        "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com", "connectionId": "gbgB6m7sSQAYKEiKEA==",
        "apiId": "abcdefghij",
    },
    "isBase64Encoded": False,
}  # fmt: skip


def socket(*routes, authorizer=None):
    return Socket("live", "Live", SocketOptions(), routes, authorizer, HERE)


def test_they_are_those_of_its_handlers():
    assert routes_of(socket(BID)) == (BID,)


def test_one_with_an_authorizer_has_a_connect_route_for_it():
    connect = Route("$connect", "Live", HERE)
    authorizer = Authorizer("Gate", (), Declared("gate.py", 3))
    assert routes_of(socket(connect, BID, authorizer=authorizer)) == (connect, BID)
    assert routes_of(socket(BID, authorizer=authorizer)) == (Route("$connect", "Gate", Declared("gate.py", 3)), BID)


async def test_that_connect_route_lets_in_whom_the_authorizer_let_in():
    live = websocket("live")

    @live.authorizer()
    async def decide(ctx):
        pytest.fail("it has decided already")

    program = LambdaProgram(Application.of([live]), LambdaNode({}, {}))
    assert await program.answer(CONNECT, 29) == {"statusCode": 200}


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("$connect", "Connect"),
        ("bid", "Bid"),
        ("placeBid", "PlaceBid"),
        ("lot/bid", "LotBid"),
        ("é", "Other"),
        ("a" * 200, "A" + "a" * 63),
    ],
)
def test_a_key_is_read_in_its_logical_id(key, written):
    assert words(key) == written
