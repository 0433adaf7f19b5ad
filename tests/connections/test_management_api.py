"""API Gateway's management API, through the real boto3 and an endpoint of our own on loopback that answers as it is told.

What send, close, info and fan-out mean is in `contracts/test_connections.py`, over a real gateway.
"""

import asyncio
import http.server
import sys
import threading
import time

import pytest

from trunkline import clock
from trunkline.connections.base import FanOut
from trunkline.connections.management_api import ManagementApi
from trunkline.errors import (
    ConfigurationError,
    InvalidConnectionId,
    MessageTooLarge,
    PermissionDenied,
    Throttled,
    Unreachable,
)

ANSWERS = {
    "gone": (410, "GoneException", b""),
    "bad": (400, "BadRequestException", b'{"message":"Invalid connectionId: bad"}'),
    "large": (413, None, b""),
    "busy": (429, "LimitExceededException", b'{"message":"Too Many Requests"}'),
    "denied": (403, "AccessDeniedException", b'{"Message":"User: me is not authorized to perform: execute-api:ManageConnections"}'),
    "nowhere": (403, "ForbiddenException", b'{"message":"Forbidden"}'),
    "broken": (500, "InternalServerErrorException", b'{"message":"Internal server error"}'),
    "away": (503, "ServiceUnavailableException", b'{"message":"Service Unavailable"}'),
}  # fmt: skip


class Gateway(http.server.BaseHTTPRequestHandler):
    """Answers as the id says: "there", a name of ANSWERS, "slow", "third" (the third time only), or "hangs up"."""

    protocol_version = "HTTP/1.1"
    seen = []  # (verb, path, body), in order
    peers = set()
    at_once = [0, 0]  # now, and at most
    counting = threading.Lock()
    slow = threading.Event()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, body))
        self.peers.add(self.client_address)
        type(self).signed = self.headers["Authorization"]
        name = self.path.split("/")[-1].replace("%20", " ").rstrip("0123456789")
        if name == "slow":
            self.slow.wait(10)
        if name == "at once":
            self._together()
        if name == "hangs up":
            self.close_connection = True
            return
        if name == "third":
            name = "busy" if len(self.seen) < 3 else "there"
        self._answer(*ANSWERS.get(name, (200, None, b"")))

    do_DELETE = do_GET = do_POST

    def _together(self):
        with self.counting:
            self.at_once[0] += 1
            self.at_once[1] = max(self.at_once)
        time.sleep(0.02)
        with self.counting:
            self.at_once[0] -= 1

    def _answer(self, status, kind, body):
        self.send_response(status)
        if kind is not None:
            self.send_header("x-amzn-ErrorType", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    Gateway.seen.clear()
    Gateway.peers.clear()
    Gateway.at_once[:] = [0, 0]
    Gateway.slow.clear()
    with Server(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/socket"
        Gateway.slow.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def api(endpoint):
    api = ManagementApi({"socket": endpoint}, region="eu-west-1", message_bytes={"socket": 1000})
    yield api
    api.shut()


async def test_send_is_a_post_close_a_delete_and_info_a_get_and_each_is_signed(api):
    assert await api.send("socket", "there", "hé") is True
    assert await api.close("socket", "there", 4000, "enough") is True
    assert Gateway.seen == [
        ("POST", "/socket/@connections/there", "hé".encode()),
        ("DELETE", "/socket/@connections/there", b""),
    ]
    assert "/eu-west-1/execute-api/aws4_request" in Gateway.signed
    assert await api.info("socket", "gone") is None
    assert Gateway.seen[-1] == ("GET", "/socket/@connections/gone", b"")


async def test_who_is_gone_is_an_answer(api):
    assert await api.send("socket", "gone", "x") is False
    assert await api.close("socket", "gone", 1000, "") is False
    assert await api.fan_out("socket", ["gone", "there"], "x") == FanOut(1, ["gone"], {})


@pytest.mark.parametrize(
    ("id", "error", "why"),
    [
        ("bad", InvalidConnectionId, "Invalid connectionId: bad"),
        ("large", MessageTooLarge, "API Gateway takes 131,072 bytes, and the message has more"),
        (
            "denied",
            PermissionDenied,
            r"AWS does not let websocket\('socket'\).send: User: me is not authorized to perf",
        ),
        ("nowhere", PermissionDenied, r"AWS does not let websocket\('socket'\).send: Forbidden"),
        ("broken", Unreachable, "API Gateway answered 500: Internal server error"),
        ("away", Unreachable, "API Gateway answered 503: Service Unavailable"),
        ("hangs up", Unreachable, "API Gateway was not reached: Connection was closed before"),
    ],
)
async def test_what_was_not_taken_is_an_error_and_is_not_sent_again(api, id, error, why):
    with pytest.raises(error, match=why):
        await api.send("socket", id, "x")
    assert len(Gateway.seen) == 1, "a second try could be a second message"
    done = await api.fan_out("socket", [id, "there"], "x")
    assert (done.sent, done.gone, type(done.failed[id])) == (1, [], error)


@pytest.mark.parametrize(("operation", "name"), [("close", "close"), ("info", "info")])
async def test_what_aws_does_not_allow_names_the_operation(api, operation, name):
    arguments = (1000, "") if operation == "close" else ()
    with pytest.raises(PermissionDenied, match=rf"\.{name}: "):
        await getattr(api, operation)("socket", "denied", *arguments)


async def test_who_is_throttled_is_tried_again_with_pauses(api):
    began = asyncio.get_running_loop().time()
    assert await api.send("socket", "third", "x") is True
    assert [body for _, _, body in Gateway.seen] == [b"x"] * 3
    assert 0.05 < asyncio.get_running_loop().time() - began < 0.3


async def test_who_is_throttled_for_long_is_told_so(api):
    with pytest.raises(Throttled, match="Too Many Requests"):
        await api.send("socket", "busy", "x")
    assert len(Gateway.seen) == 5
    with pytest.raises(Throttled):
        await api.close("socket", "busy", 1000, "")
    with pytest.raises(Throttled):
        await api.info("socket", "busy")


async def test_a_fan_out_leaves_the_pauses_to_the_broadcast(api):
    done = await api.fan_out("socket", ["busy", "there"], "x")
    assert (done.sent, type(done.failed["busy"])) == (1, Throttled)
    assert len(Gateway.seen) == 2


def test_an_answer_that_takes_more_than_two_seconds_is_none(api):
    async def slow():
        assert await api.send("socket", "there", "x")  # the client is made
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer within 2 s"):
            await api.send("socket", "slow", "x")
        return time.monotonic() - began

    assert 1.9 < asyncio.run(slow()) < 2.5


def test_nobody_there_is_unreachable_at_once(api, free_port):
    nobody = ManagementApi({"socket": f"http://127.0.0.1:{free_port}/socket"}, region="eu-west-1")
    began = time.monotonic()
    with pytest.raises(Unreachable, match="API Gateway was not reached: Could not connect"):
        asyncio.run(nobody.send("socket", "there", "x"))
    assert time.monotonic() - began < 2
    nobody.shut()


def test_no_more_than_32_calls_run_at_a_time_and_all_are_made(api):
    ids = [f"at once{n}" for n in range(200)]
    assert asyncio.run(api.fan_out("socket", ids, "x")) == FanOut(200, [], {})
    assert 8 < Gateway.at_once[1] <= 32
    assert len(Gateway.seen) == 200


async def test_a_message_over_the_sockets_limit_is_not_even_sent(api):
    assert await api.send("socket", "there", "é" * 500) is True
    with pytest.raises(MessageTooLarge, match="the message has 1,002 bytes; the limit message_bytes is 1,000"):
        await api.send("socket", "there", "é" * 501)
    assert len(Gateway.seen) == 1


async def test_no_socket_takes_more_than_api_gateway(endpoint):
    api = ManagementApi({"socket": endpoint}, region="eu-west-1", message_bytes={"socket": 10**9})
    with pytest.raises(MessageTooLarge, match="the limit message_bytes is 131,072"):
        await api.send("socket", "there", "x" * 131_073)
    api.shut()


@pytest.mark.parametrize("id", ["", "x" * 129, None, 5])
async def test_what_cannot_be_an_id_is_asked_of_nobody(api, id):
    with pytest.raises(InvalidConnectionId):
        await api.send("socket", id, "x")
    assert Gateway.seen == []


async def test_connections_that_were_not_used_for_long_are_not_used_again(api):
    """A function that waits for its next event is frozen, and its connections die without a word."""
    for _ in range(2):
        await api.send("socket", "there", "x")
        await asyncio.sleep(15)
    assert len(Gateway.peers) == 1
    previous = clock.set_source(lambda: time.time() + 10**6)
    try:
        await api.send("socket", "there", "x")
    finally:
        clock.set_source(previous)
    assert len(Gateway.peers) == 2


async def test_the_region_is_the_endpoints(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    here = {"socket": endpoint, "far": "https://abc.execute-api.eu-central-1.amazonaws.com/far"}
    api = ManagementApi(here)
    regions = {name: api._made(name).meta.region_name for name in here}
    assert regions == {"socket": "us-west-2", "far": "eu-central-1"}
    api.shut()


async def test_without_a_region_credentials_or_boto3_it_is_said_what_is_missing(endpoint, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    api = ManagementApi({"socket": endpoint}, region="eu-west-1")
    with pytest.raises(ConfigurationError, match="API Gateway cannot be called: Unable to locate credentials"):
        await api.send("socket", "there", "x")
    api.shut()
    api = ManagementApi({"socket": endpoint})
    with pytest.raises(ConfigurationError, match="API Gateway cannot be called: You must specify a region"):
        await api.send("socket", "there", "x")
    api.shut()
    monkeypatch.setitem(sys.modules, "boto3", None)
    api = ManagementApi({"socket": endpoint}, region="eu-west-1")
    with pytest.raises(
        ConfigurationError, match=r"connections of API Gateway need boto3: pip install 'trunkline\[aws\]"
    ):
        await api.send("socket", "there", "x")
    api.shut()


async def test_an_error_that_is_not_awss_is_not_taken_for_one(api, monkeypatch):
    class Broken:
        def post_to_connection(self, **_):
            raise ZeroDivisionError

    monkeypatch.setattr(api, "_made", lambda _: Broken())
    with pytest.raises(ZeroDivisionError):
        await api.send("socket", "there", "x")


def test_aws_is_not_imported_before_the_first_call():
    import subprocess

    code = (
        "import sys, trunkline.connections.management_api as m; m.ManagementApi({'a': 'https://b/a'});"
        "print([name for name in ('boto3', 'botocore') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
