"""An authorizer in a real process: clients of others, the bytes on a socket, the log, a crash."""

import json
import re
import signal
import socket as sockets
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

PROGRAM = """
import time

from trunkline import Allow, Context, websocket

socket = websocket("socket")
USERS = {"ann-token": "ann", "ben-token": "ben"}


@socket.authorizer(identity=["route.request.querystring.token"])
async def authorize(ctx: Context) -> Allow | None:
    token = ctx.req.query["token"]
    if token == "broken":
        raise RuntimeError("no connection to the users")
    if token == "short":
        return Allow("guest", expires_at=time.time() + 1)
    return Allow(USERS[token], {"level": 7}) if token in USERS else None


@socket.on("connect")
async def connect(ctx: Context) -> None:
    print("connect", ctx.req.authorizer["principalId"], flush=True)


@socket.on("message")
async def message(ctx: Context) -> dict[str, str]:
    return dict(ctx.req.authorizer)


@socket.on("disconnect")
async def disconnect(ctx: Context) -> None:
    print("disconnect", ctx.req.authorizer["principalId"], ctx.req.close_code, flush=True)
"""
DENIED = "User is not authorized to access this resource with an explicit deny in an identity-based policy"


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def url(run_trunkline, program):
    return run_trunkline("program.py", "--store", "memory:", cwd=program).url("socket")


def refusal(url):
    """Status, message, whether the ids are those of its headers."""
    with pytest.raises(InvalidStatus) as caught:
        connect(url)
    response = caught.value.response
    body = json.loads(response.body)
    assert list(body) == ["message", "connectionId", "requestId"]
    assert body["requestId"] == response.headers["x-amz-apigw-id"]
    return response.status_code, body["message"]


def test_who_has_a_token_is_known_by_it(url):
    with connect(f"{url}?token=ann-token") as ann, connect(f"{url}?token=ben-token") as ben:
        for client, name in ((ann, "ann"), (ben, "ben"), (ann, "ann")):
            client.send("who am I?")
            assert json.loads(client.recv(timeout=10)) == {"level": "7", "principalId": name}


def test_who_has_none_or_a_wrong_one_is_told(url):
    assert refusal(url) == (401, "Unauthorized")
    assert refusal(f"{url}?token=") == (401, "Unauthorized")
    assert refusal(f"{url}?token=wrong") == (403, DENIED)


def test_an_error_of_the_authorizer_is_in_the_log_and_the_token_is_not(run_trunkline, program):
    running = run_trunkline("program.py", "--store", "memory:", cwd=program, clean=False)
    url = running.url("socket")
    assert refusal(f"{url}?token=broken") == (500, "Internal server error")
    assert refusal(f"{url}?token=secret-token") == (403, DENIED)
    code, out, err = running.stop()
    assert (code, out) == (0, "")
    assert re.search(r"the handler of authorizer at \S*program\.py:10 raised; connection \S+, request \S+", err)
    assert "RuntimeError: no connection to the users" in err
    assert "secret-token" not in err
    assert err.count("raised") == 1


def test_a_token_that_ends_closes_the_connection_within_five_seconds(run_trunkline, program):
    running = run_trunkline("program.py", "--store", "memory:", cwd=program)
    with connect(f"{running.url('socket')}?token=short") as client:
        began = time.monotonic()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Token expired")
        assert 0.5 <= time.monotonic() - began <= 6
    running.says("disconnect guest 1008")


def test_after_a_kill_the_disconnect_handler_still_knows_who_it_was(run_trunkline, program):
    running = run_trunkline("program.py", cwd=program, clean=False)
    with connect(f"{running.url('socket')}?token=ann-token") as ann:
        ann.send("who am I?")
        assert json.loads(ann.recv(timeout=10))["principalId"] == "ann"
        running.process.send_signal(signal.SIGKILL)
        running.ended()
    again = run_trunkline("program.py", cwd=program, clean=False)
    code, out, err = again.stop()
    told = "\n".join([*again.banner, out])
    assert (code, "disconnect ann 1006" in told) == (0, True)
    assert "ann" not in err


def test_two_authorization_headers_are_a_page_on_the_socket(run_trunkline, program):
    running = run_trunkline("program.py", "--store", "memory:", cwd=program)
    request = (
        "GET /socket?token=ann-token HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n"
    )
    with sockets.create_connection(("127.0.0.1", running.port), timeout=10) as client:
        client.sendall(request.encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\ncontent-type: text/html\r\n" in head
    assert page.startswith(b"<html>\r\n<head><title>400 Bad Request</title></head>\r\n")
