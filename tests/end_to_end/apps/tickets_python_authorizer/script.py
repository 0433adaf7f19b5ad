"""Who may come in, what they are told if not, and what a route that answers says."""

import hashlib
import hmac
import json
import re

SECRET = "not a secret"
ARGUMENTS = ["--parameter", f"TokenSecret={SECRET}"]
LOGGED = {
    "TicketsFunction | ann left: 1000, ['headers', 'isBase64Encoded', 'multiValueHeaders', 'requestContext']": 1,
}
FAILURES = []


def token(name, role, secret=SECRET):
    signature = hmac.new(secret.encode(), f"{name}.{role}".encode(), hashlib.sha256).hexdigest()
    return f"token={name}.{role}.{signature}"


def gateways_own(body, message):
    ids = r'"connectionId":"[\w-]{18}==", "requestId":"[\w-]{15}="'
    return re.fullmatch(rf'\{{"message": "{message}", {ids}\}}', body)


async def script(connect):
    await refusals(connect)
    query = token("ann", "agent") + "&desk=sales&desk=repairs"
    async with connect("live", query, subprotocols=["desk.v1", "desk.v2"]) as ann:
        assert ann.subprotocol == "desk.v2", ann.subprotocol
        await ann.says({"version": 2, "do": "who"})
        await ann.hears(WHO)
        await ann.says({"version": "2", "do": "quiet"})
        await ann.says({"version": 1, "do": "who"})
        await ann.hears('$default: no such thing as {"version": 1, "do": "who"}')
        await ann.says("hello")
        await ann.hears("$default: no such thing as hello")


async def refusals(connect):
    for query in ("", "desk=sales", "token="):
        status, headers, body = await connect.refused("live", query, subprotocols=["desk.v2"])
        assert status == 401 and gateways_own(body, "Unauthorized"), (status, body)
    status, _, body = await connect.refused("live", token("ann", "agent", "another secret"))
    assert status == 401 and gateways_own(body, "Unauthorized"), (status, body)
    status, _, body = await connect.refused("live", token("eve", "banned") + "&desk=sales")
    denied = "User is not authorized to access this resource with an explicit deny in an identity-based policy"
    assert status == 403 and gateways_own(body, denied), (status, body)
    status, _, body = await connect.refused("live", token("ann", "agent") + "&desk=sales")
    assert (status, body) == (400, "speak desk.v2"), (status, body)
    status, headers, body = await connect.refused("live", token("ann", "agent"), subprotocols=["desk.v2"])
    assert (status, json.loads(body)) == (422, {"error": "which desk?", "you": "ann"}), (status, body)
    assert headers["content-type"] == "application/json; charset=UTF-8", headers
    query = token("ann", "agent") + "&desk=sales&desk=closed"
    status, _, body = await connect.refused("live", query, subprotocols=["desk.v2"])
    assert (status, json.loads(body)) == (503, CLOSED), (status, body)


CLOSED = {
    "desks": ["sales", "closed"],
    "event": [
        "headers",
        "isBase64Encoded",
        "multiValueHeaders",
        "multiValueQueryStringParameters",
        "queryStringParameters",
        "requestContext",
    ],
}
WHO = {
    "event": ["body", "isBase64Encoded", "requestContext"],
    "requestContext": [
        "apiId",
        "authorizer",
        "connectedAt",
        "connectionId",
        "domainName",
        "eventType",
        "extendedRequestId",
        "identity",
        "messageDirection",
        "messageId",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "routeKey",
        "stage",
    ],
    "authorizer": {"principalId": "ann", "role": "agent", "desks": "sales,repairs", "level": "7", "staff": "true"},
    "minutes": 0,
    "connectedAt": "int",
    "queryless": True,
    "stage": "live",
    "direction": "IN",
}
