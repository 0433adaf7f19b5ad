"""Lambda's Runtime API, as a worker sees it on the wire."""

import asyncio
import json

from trunkline.functions.runtime_api import RuntimeConnection

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n"


def post(path, body=b"{}"):
    head = f"POST /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Listener:
    def __init__(self):
        self.told = []

    def asked(self, connection):
        self.told.append("asked")

    def answered(self, request_id, payload, *, failed):
        self.told.append((request_id, payload, failed))

    def failed_to_start(self, payload):
        self.told.append(payload)

    def hung_up(self, connection):
        self.told.append("hung up")


class Wire(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def connected():
    listener, wire = Listener(), Wire()
    connection = RuntimeConnection(listener)
    connection.connection_made(wire)
    return connection, listener, wire


def test_a_worker_asks_and_is_given_an_event_with_its_headers():
    connection, listener, wire = connected()
    connection.data_received(NEXT[:20])
    connection.data_received(NEXT[20:])
    assert (listener.told, wire.written) == (["asked"], b"")
    connection.give({"Lambda-Runtime-Aws-Request-Id": "1"}, b'{"a":1}')
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert body == b'{"a":1}'
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK", b"Content-Type: application/json", b"Lambda-Runtime-Aws-Request-Id: 1", b"Content-Length: 7",
    ]  # fmt: skip


def test_answers_errors_and_failed_starts_are_told_and_accepted():
    connection, listener, wire = connected()
    for path in ("invocation/1/response", "invocation/2/error", "init/error"):
        connection.data_received(post(path))
    assert listener.told == [("1", b"{}", False), ("2", b"{}", True), b"{}"]
    assert wire.written.count(b"HTTP/1.1 202 Accepted\r\n") == 3


def test_what_is_not_there_is_404_and_told_to_nobody():
    connection, listener, wire = connected()
    for path in ("invocation/1/other", "nothing", "restore/next"):
        connection.data_received(post(path))
    assert (listener.told, wire.written.count(b"404 Not Found")) == ([], 3)


def test_an_answer_over_lambdas_limit_is_an_error_and_its_worker_goes_on():
    connection, listener, wire = connected()
    connection.data_received(post("invocation/1/response", b"x" * 6_291_557))
    ((request_id, payload, failed),) = listener.told
    assert json.loads(payload)["errorType"] == "Function.ResponseSizeTooLarge"
    assert (request_id, failed) == ("1", True)
    assert wire.written.startswith(b"HTTP/1.1 202 ")


def test_an_answer_at_lambdas_limit_is_taken():
    connection, listener, wire = connected()
    connection.data_received(post("invocation/1/response", b"x" * 6_291_556))
    ((_, payload, failed),) = listener.told
    assert (len(payload), failed) == (6_291_556, False)


def test_what_is_no_http_ends_the_connection():
    connection, listener, wire = connected()
    connection.data_received(b"rubbish\r\n\r\n")
    assert wire.closed
    connection.connection_lost(None)
    assert listener.told == ["hung up"]
    assert not connection.is_alive
