"""Rates and `like aws` in a real process: clients of others, real sockets of two addresses, AWS's SDK, a kill."""

import contextlib
import json
import re
import signal
import time

import boto3
import pytest
from botocore.config import Config
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

PROGRAM = """
import asyncio

from trunkline import websocket

socket = websocket("socket")


@socket.on("connect")
async def connect(ctx):
    print("connect", ctx.req.connection_id, flush=True)


@socket.on("message")
async def message(ctx):
    return ctx.req.data


@socket.on("message", route="wait")
async def wait(ctx):
    await asyncio.sleep(ctx.req.json()["seconds"])
    return ctx.req.data


@socket.on("disconnect")
async def disconnect(ctx):
    print("disconnect", ctx.req.close_code, flush=True)
"""
THROTTLED = re.compile(r'\{"message": "Too Many Requests", "connectionId":"[\w-]{18}==", "requestId":"[\w-]{15}="\}')
SLOWLY = "0.001"  # a second: while a test runs, no token comes back


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def serve(run_trunkline, program):
    def serve(*arguments, **how):
        return run_trunkline("program.py", "--store", "memory:", *arguments, cwd=program, **how)

    return serve


def refused(url, **how):
    with pytest.raises(InvalidStatus) as caught:
        connect(url, **how)
    return caught.value.response


def echoed(client, count):
    """How many of so many messages sent at once come back; the others are told Too Many Requests."""
    for _ in range(count):
        client.send("hello")
    answers = [client.recv(timeout=20) for _ in range(count)]
    assert all(answer == "hello" or THROTTLED.fullmatch(answer) for answer in answers)
    return answers.count("hello")


# Rates.


def test_handshakes_beyond_the_rate_are_429_and_the_clients_before_them_are_served(serve):
    url = serve("--rate", f"connects={SLOWLY}/3").url("socket")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(url)) for _ in range(3)]
        for _ in range(20):
            response = refused(url)
            assert response.status_code == 429
            assert THROTTLED.fullmatch(response.body.decode())
            assert json.loads(response.body)["requestId"] == response.headers["x-amz-apigw-id"]
        assert [echoed(client, 5) for client in clients] == [5] * 3


def test_messages_beyond_the_rate_are_told_and_the_connection_stays_open(serve):
    with connect(serve("--rate", f"requests={SLOWLY}/101").url("socket")) as client:
        assert echoed(client, 1000) == 100
        assert echoed(client, 10) == 0
        assert client.ping().wait(10)


def test_a_flood_from_one_address_leaves_those_of_others_their_budget(serve):
    running = serve("--rate", f"address.messages={SLOWLY}/50", "--rate", f"address.connects={SLOWLY}/2")
    with connect(running.url("socket"), source_address=("127.0.0.66", 0)) as flooder:
        assert echoed(flooder, 5000) == 50
        with connect(running.url("socket"), source_address=("127.0.0.66", 0)) as again:
            assert echoed(again, 10) == 0
            assert refused(running.url("socket"), source_address=("127.0.0.66", 0)).status_code == 429
            for n in range(1, 6):
                with connect(running.url("socket"), source_address=(f"127.0.0.{n}", 0)) as client:
                    assert echoed(client, 60) == 50


def test_a_rate_lets_in_what_its_seconds_allow(serve):
    running = serve("--rate", "address.messages=50/10")
    with connect(running.url("socket")) as client:
        began, taken = time.monotonic(), 0
        while time.monotonic() - began < 2:
            taken += echoed(client, 20)
        seconds = time.monotonic() - began
        assert 20 <= taken <= 10 + 50 * seconds


def test_rates_come_from_the_environment_and_the_project_too(serve, program):
    (program / "pyproject.toml").write_text(
        f'[tool.trunkline.rate]\nsocket.socket.wait = "{SLOWLY}/1"\nconnects = 100\n'
    )
    running = serve(env={"TRUNKLINE_RATE": f"connects={SLOWLY}/1"})
    assert f"rates       socket.socket.wait={SLOWLY}/1, connects={SLOWLY}/1" in running.banner
    with connect(running.url("socket")) as client:
        assert refused(running.url("socket")).status_code == 429
        for _ in range(2):
            client.send('{"action": "wait", "seconds": 0}')
        assert json.loads(client.recv(timeout=10))["action"] == "wait"
        assert THROTTLED.fullmatch(client.recv(timeout=10))
        assert echoed(client, 100) == 100


def test_awss_sdk_is_told_of_a_call_beyond_the_rate_with_its_own_exception(serve):
    running = serve("--rate", f"requests={SLOWLY}/3")
    with connect(running.url("socket")) as client:
        client.send("hello")
        assert client.recv(timeout=10) == "hello"
        connection = next(line.split()[1] for line in running._lines() if line.startswith("connect "))
        management = boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=f"http://127.0.0.1:{running.port}/socket",
            region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        management.post_to_connection(ConnectionId=connection, Data=b"taken")
        assert client.recv(timeout=10) == "taken"
        for _ in range(3):
            with pytest.raises(management.exceptions.LimitExceededException) as caught:
                management.post_to_connection(ConnectionId=connection, Data=b"refused")
            assert caught.value.response["Error"] == {"Code": "LimitExceededException", "Message": "Too Many Requests"}
        management.close()


def test_the_quotas_of_aws_are_in_the_banner_and_in_force(serve):
    running = serve("--quotas", "aws")
    assert "rates       connects=500/500, requests=10000/5000" in running.banner
    with connect(running.url("socket")) as client:
        assert echoed(client, 1000) == 1000


# Like AWS.


def test_like_aws_is_said_and_messages_are_handled_side_by_side(serve):
    running = serve("--like", "aws")
    assert running.banner[-4:-2] == [
        "like        AWS: handlers run side by side, disconnect is best effort, limits cannot be raised",
        "rates       connects=500/500, requests=10000/5000",
    ]
    with connect(running.url("socket")) as client:
        client.send('{"action": "wait", "seconds": 1}')
        client.send("hello")
        assert client.recv(timeout=10) == "hello"
        assert json.loads(client.recv(timeout=10))["seconds"] == 1


def test_like_aws_a_kill_leaves_nobody_to_be_told(run_trunkline, program):
    told = {}
    for like in ("aws", "none"):
        running = run_trunkline("program.py", "--like", like, cwd=program, clean=False)
        with connect(running.url("socket")) as client:
            assert echoed(client, 1) == 1
            running.process.send_signal(signal.SIGKILL)
            running.ended()
        again = run_trunkline("program.py", cwd=program, clean=False)
        _, out, _ = again.stop()
        told[like] = "disconnect 1006" in [*again.banner, *out.splitlines()]
    assert told == {"aws": False, "none": True}


def test_like_aws_does_not_end_what_a_run_before_it_still_owes(run_trunkline, program):
    running = run_trunkline("program.py", cwd=program, clean=False)
    with connect(running.url("socket")) as client:
        assert echoed(client, 1) == 1
        running.process.send_signal(signal.SIGKILL)
        running.ended()
    said = []
    for like in ("aws", "none"):
        again = run_trunkline("program.py", "--like", like, cwd=program, clean=False)
        _, out, _ = again.stop()
        said.append("disconnect 1006" in [*again.banner, *out.splitlines()])
    assert said == [False, True]


def test_like_aws_keeps_others_off_its_folder(run_trunkline, trunkline, program):
    run_trunkline("program.py", "--like", "aws", cwd=program)
    code, out, err = trunkline("run", "program.py", "--like", "aws", "--port", "0", cwd=program)
    assert (code, out) == (2, "")
    assert "another trunkline run uses" in err


@pytest.mark.parametrize(
    ("declared", "arguments", "told"),
    [
        ("binary=True", [], "program.py:5: websocket('socket') has binary=True; API Gateway takes texts only, and closes with 1003"),
        (
            "limits=Limits(frame_bytes=65_536)",
            [],
            "program.py:5: websocket('socket') raises limit frame_bytes to 65,536; API Gateway's is 32,768, and cannot be raised",
        ),
        (
            "ordered=True",
            ["--limit", "handler_seconds=60"],
            "the setting limit raises handler_seconds to 60; API Gateway's is 29, and cannot be raised",
        ),
    ],
)  # fmt: skip
def test_like_aws_what_aws_would_not_take_is_refused_with_file_and_line(trunkline, program, declared, arguments, told):
    text = PROGRAM.lstrip().replace('websocket("socket")', f'websocket("socket", {declared})')
    (program / "program.py").write_text(text.replace("import websocket", "import Limits, websocket"))
    code, out, err = trunkline("run", "program.py", "--like", "aws", *arguments, cwd=program)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.replace(f"{program}/", "") == f"trunkline: {told}\n"
    assert not (program / ".trunkline").exists()
