"""What operations reach in a function: its tables and its sockets, by the names of its environment."""

import json

import pytest

from trunkline import Limits, collection, websocket
from trunkline.aws.lambda_node import LambdaNode
from trunkline.errors import ConfigurationError
from trunkline.resources.application import Application

ENDPOINT = "https://abc.execute-api.eu-central-1.amazonaws.com/socket"


def node(*declared, **environment):
    variables = {f"TRUNKLINE_{name.upper()}": json.dumps(value) for name, value in environment.items()}
    return LambdaNode.of(variables, Application.of(declared))


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [(ENDPOINT, ENDPOINT.replace("https", "wss")), ("http://127.0.0.1:1/socket", "ws://127.0.0.1:1/socket")],
)
def test_clients_connect_where_the_sockets_calls_go(endpoint, url):
    assert node(sockets={"socket": endpoint}).url("socket") == url


def test_a_socket_without_an_address_has_none():
    with pytest.raises(
        ConfigurationError, match="the address of 'socket' is not known here: TRUNKLINE_SOCKETS does not"
    ):
        node().url("socket")


async def test_without_a_table_there_is_no_store_and_nothing_is_imported_for_it():
    here = node()
    await here.open()
    with pytest.raises(ConfigurationError, match="this function has no table: TRUNKLINE_TABLES names none"):
        _ = here.store


async def test_the_store_is_dynamodbs_and_made_once():
    here = node(collection("notes"), tables={"notes": "Stack-Notes-1"})
    await here.open()
    store = here.store
    assert type(store).__name__ == "DynamoStore"
    await here.open()
    assert here.store is store
    await store.close()


async def test_messages_have_the_limits_of_their_sockets():
    here = node(websocket("socket", limits=Limits(message_bytes=7)), sockets={"socket": ENDPOINT})
    with pytest.raises(Exception, match="the limit message_bytes is 7"):
        await here.connections.send("socket", "id", "x" * 8)


@pytest.mark.parametrize("value", [[], 7, {"a": None}, {"a": {}}])
def test_what_is_no_object_of_texts_is_said_to_be_none(value):
    with pytest.raises(ConfigurationError, match="TRUNKLINE_TABLES is no JSON object of texts: Expected "):
        node(tables=value)
