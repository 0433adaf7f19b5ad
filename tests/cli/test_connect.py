"""`trunkline connect` as a person and as a script use it: real processes, real sockets, a terminal in memory."""

import contextlib
import os
import re
import select
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pyte
import pytest
from websockets.sync.client import connect

from trunkline.cli.client.address import parse_header, parse_subprotocol, parse_url
from trunkline.cli.client.messages import for_line, for_terminal
from trunkline.errors import ConfigurationError
from trunkline.wire.frames import encode_close, encode_message
from trunkline.wire.handshake import accept_response

COMMAND = Path(sys.executable).with_name("trunkline")
ROOT = Path(__file__).parents[2]
PROGRAM = """
import json
from trunkline import collection, websocket

there = collection("there").allow("reading", "writing", "deleting")
talk = websocket("talk").allow("closing")
guarded = websocket("guarded")
blobs = websocket("blobs", binary=True)
strict = websocket("strict")
seen = []

@talk.on("connect")
async def come(ctx):
    await there.doc(ctx.req.connection_id).set({})
    seen.append("come")

@talk.on("disconnect")
async def go(ctx):
    await there.doc(ctx.req.connection_id).delete()
    seen.append(ctx.req.close_code)

@talk.on("message", route="all")
async def tell_all(ctx):
    await talk.broadcast(ctx.req.json()["text"], to=there.query().stream())

@talk.on("message", route="seen")
async def tell_seen(ctx):
    return seen

@talk.on("message", route="bye")
async def bye(ctx):
    wanted = ctx.req.json()
    await talk.close(ctx.req.connection_id, wanted.get("code", 1000), wanted.get("reason", "enough"))

@talk.on("message")
async def echo(ctx):
    return ctx.req.data

@guarded.on("connect")
async def check(ctx):
    if ctx.req.headers.get("authorization") != "secret":
        ctx.res.reject(401, '{"message": "no key fits"}')
    ctx.res.subprotocol = "chat.v2"
    heard.append({name: ctx.req.headers.getlist(name) for name in ("host", "user-agent", "x-colour")})

heard = []

@guarded.on("message")
async def tell_headers(ctx):
    return heard[-1]

@blobs.on("message")
async def blob(ctx):
    return ctx.req.data

@strict.on("message", route="only")
async def only(ctx):
    return "only this"
"""
BYE = '{"action": "bye"}'


def environment(**more):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "NO_COLOR", "TERM"))
    }
    return kept | more


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Where one node serves the program to all these tests; the path is still to come."""
    file = tmp_path_factory.mktemp("served") / "program.py"
    file.write_text(PROGRAM)
    command = [COMMAND, "run", file, "--port", "0", "--store", "memory:", "--admin", "off"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as node:
        listening = next(line for line in node.stdout if line.startswith("listening"))
        yield f"ws://127.0.0.1:{re.search(r':([0-9]+);', listening)[1]}"
        node.terminate()
        assert (node.wait(20), node.stderr.read()) == (0, "")


def piped(url, *options, given=b"", **more):
    """Exit code, output and errors of the client in a pipe; without an end, it is the server that has to end it."""
    given = given.encode() if isinstance(given, str) else given
    done = subprocess.run(
        [COMMAND, "connect", url, "--wait", "30", *options], input=given, capture_output=True, timeout=50,
        env=environment(**more), check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.decode()


def connected(url, then):
    """What stands on standard error of a connection that ended so."""
    return f"connected to {url}\n{then}\n"


# A pipe: lines in, messages out.


def test_each_line_is_sent_and_each_reply_is_a_line(url):
    url = f"{url}/talk"
    assert piped(url, given=f"hello\nübung ☕\n{BYE}\n") == (
        0, "hello\nübung ☕\n".encode(), connected(url, "closed 1000 enough"),
    )  # fmt: skip


def test_line_ends_are_no_part_of_a_message_and_an_empty_line_is_one(url):
    code, out, _ = piped(f"{url}/talk", given=f"one\r\n\n  two\t\n{BYE}")
    assert (code, out) == (0, b"one\n\n  two\t\n")


def test_20_000_lines_come_back_whole_and_in_order(url):
    lines = "".join(f"line {number} {'x' * (number % 50)}\n" for number in range(20_000))
    code, out, _ = piped(f"{url}/talk", given=lines + BYE)
    assert (code, out.decode()) == (0, lines)


def test_a_file_can_be_sent(url, tmp_path):
    (tmp_path / "lines").write_text(f"one\ntwo\n{BYE}\n")
    with (tmp_path / "lines").open() as lines:
        done = subprocess.run([COMMAND, "connect", f"{url}/talk"], stdin=lines, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, b"one\ntwo\n")


def test_what_the_server_says_of_an_error_is_a_message_like_any_other(url):
    code, out, _ = piped(f"{url}/strict", "--wait", "1", given='anything\n{"action": "only"}\n')
    assert code == 0
    assert re.fullmatch(
        rb'\{"message": *"Forbidden", *"connectionId": *"\S+", *"requestId": *"\S+"\}\nonly this\n', out
    )


def test_a_line_that_is_no_utf_8_is_a_mistake_and_closes_the_connection(url):
    code, out, err = piped(f"{url}/talk", given=b"good\nb\xff\n")
    assert (code, out) == (2, b"good\n")
    assert err == connected(
        f"{url}/talk", "trunkline: line 2 of standard input is not UTF-8; --binary sends lines as they are"
    )


def test_binary_lines_go_out_as_they_are_and_bytes_are_written_as_hex(url):
    code, out, _ = piped(f"{url}/blobs", "--binary", "--wait", "1", given=b"\x00\xffab\nz\n")
    assert (code, out) == (0, b"00ff6162\n7a\n")


def test_colours_are_for_terminals_only(url):
    _, out, err = piped(f"{url}/talk", given='{"a": 1}\n' + BYE, TERM="xterm-256color")
    assert out == b'{"a": 1}\n'
    assert "\x1b" not in err


def test_the_subprotocol_that_was_chosen_is_shown(url):
    url = f"{url}/guarded"
    _, _, err = piped(url, "--header", "Authorization:secret", "--subprotocol", "chat.v1", "--subprotocol", "chat.v2",
                      "--wait", "0")  # fmt: skip
    assert err == connected(f"{url}, subprotocol chat.v2", "closed 1000")


def test_headers_are_sent_and_the_host_can_be_chosen(url):
    code, out, _ = piped(
        f"{url}/guarded", "--header", "authorization: secret ", "--header", "X-Colour:red", "--header", "x-colour:b:lue",
        "--header", "Host:abc.execute-api.example.com", "--subprotocol", "chat.v2", "--wait", "1", given="headers?\n",
    )  # fmt: skip
    assert (code, out) == (
        0,
        b'{"host":["abc.execute-api.example.com"],"user-agent":["trunkline"],"x-colour":["red","b:lue"]}\n',
    )


def test_a_reader_that_has_had_enough_ends_it_quietly(url):
    process = subprocess.Popen(
        [COMMAND, "connect", f"{url}/talk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            if line == b"one\n":
                assert process.stdout.readline() == line
                process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read().decode() == connected(f"{url}/talk", "closed 1000")


@pytest.mark.parametrize(
    ("redirection", "code", "out", "err"),
    [
        ("<&-", 0, "", "closed 1000\n"),
        (">&-", 0, "", "closed 1000\n"),
        ("2>&-", 0, "hello\n", ""),
        (">/dev/full", 3, "", "trunkline: what came cannot be written: No space left on device\n"),
    ],
)
def test_a_stream_that_is_closed_or_full_does_no_other_harm(url, redirection, code, out, err):
    client = f"echo hello | {shlex.quote(str(COMMAND))} connect {url}/talk --wait 1 {redirection}"
    done = subprocess.run(["sh", "-c", client], capture_output=True, text=True, timeout=30, env=environment())
    assert (done.returncode, done.stdout) == (code, out)
    assert done.stderr == (err and f"connected to {url}/talk\n{err}")


def test_who_reads_no_notes_gets_the_messages_all_the_same(url):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        done = subprocess.run(
            [COMMAND, "connect", f"{url}/talk", "--wait", "1"], input=b"hello\n", stdout=subprocess.PIPE, stderr=nobody,
            timeout=30,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"hello\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_with_1000_and_is_no_failure(url, number):
    process = subprocess.Popen(
        [COMMAND, "connect", f"{url}/talk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stderr.readline().startswith(b"connected")
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == b"closed 1000\n"
    with connect(f"{url}/talk") as other:
        other.send('{"action": "seen"}')
        assert "1000" in other.recv(timeout=5)


# How long it listens.


def test_a_silent_server_is_left_when_the_time_is_up(raw):
    began = time.monotonic()
    code, out, err = piped(raw.url(hears_a_close), "--wait", "0.5")
    assert (code, out, err) == (0, b"", connected(raw.where, "closed 1000"))
    assert time.monotonic() - began > 0.5


def test_without_a_number_it_listens_for_two_seconds(raw):
    began = time.monotonic()
    done = subprocess.run([COMMAND, "connect", raw.url(hears_a_close)], stdin=subprocess.DEVNULL, timeout=30)
    assert done.returncode == 0
    assert 2 < time.monotonic() - began < 10


def test_each_message_that_comes_makes_it_listen_anew(raw):
    def slowly(client):
        for number in range(5):
            time.sleep(0.5)
            client.sendall(encode_message(f"message {number}"))
        hears_a_close(client)

    code, out, _ = piped(raw.url(slowly), "--wait", "2")
    assert (code, out.decode().count("\n")) == (0, 5)


def test_it_can_listen_until_the_server_ends_it(raw):
    def later(client):
        time.sleep(1)
        client.sendall(encode_message("late") + encode_close(1001, "Going away"))

    assert piped(raw.url(later), "--wait", "inf") == (0, b"late\n", connected(raw.where, "closed 1001 Going away"))


def test_it_sends_no_pings_so_that_a_silent_client_is_closed_as_a_browser_is(run_trunkline, write):
    url = f"ws://127.0.0.1:{run_trunkline(write(), '--limit', 'idle_seconds=1').port}/socket"
    assert piped(url, "--wait", "inf") == (0, b"", connected(url, "closed 1001 Going away"))


# How it ends: a server that does what no good one would.


class Raw:
    """A server for one client: it answers the handshake, and then does what it is told to."""

    def __init__(self, stack):
        self._stack = stack
        self.where = ""

    def url(self, then=None, answer=None, scheme="ws"):
        server = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(20)
        self.where = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/raw"
        thread = threading.Thread(target=self._serve, args=(server, then, answer))
        thread.start()
        self._stack.callback(thread.join, 20)
        return self.where

    def _serve(self, server, then, answer):
        client, _ = server.accept()
        with client, contextlib.suppress(ConnectionError):
            client.settimeout(20)
            request = b""
            while b"\r\n\r\n" not in request:
                received = client.recv(65536)
                if not received:
                    return
                request += received
            key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)[1].decode()
            client.sendall(accept_response(key, None, "") if answer is None else answer)
            if then is not None:
                then(client)


@pytest.fixture
def raw():
    with contextlib.ExitStack() as stack:
        yield Raw(stack)


def hears_a_close(client):
    """Wait for the client's close frame, and answer it."""
    while client.recv(65536)[:1] != b"\x88":
        pass
    client.sendall(encode_close(1000))


def sends(*frames):
    def send(client):
        client.sendall(b"".join(frames))
        client.recv(65536)

    return send


@pytest.mark.parametrize(
    ("code", "reason", "expected", "said"),
    [
        (1000, "", 0, "closed 1000 (normal closure)"),
        (1000, "done", 0, "closed 1000 done"),
        (1001, "Going away", 0, "closed 1001 Going away"),
        (1005, "", 3, "closed without a code"),
        (1008, "", 3, "closed 1008 (policy violation)"),
        (1011, "it broke", 3, "closed 1011 it broke"),
        (1012, "", 3, "closed 1012 (service restart)"),
        (4001, "", 3, "closed 4001"),
        (4001, "two\nlines \x1b[31m", 3, "closed 4001 two\\nlines \\x1b[31m"),
    ],
)
def test_the_servers_close_code_decides_the_exit_code(raw, code, reason, expected, said):
    url = raw.url(sends(encode_message("last words"), encode_close(code, reason)))
    assert piped(url) == (expected, b"last words\n", connected(url, said))


def test_a_connection_that_is_cut_is_lost(raw):
    url = raw.url(lambda client: client.sendall(encode_message("last words")))
    assert piped(url) == (3, b"last words\n", connected(url, "lost: the connection ended without a close frame"))


def test_a_connection_that_is_reset_is_lost(raw):
    def reset(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    code, out, err = piped(raw.url(reset))
    assert (code, out) == (3, b"")
    assert err == connected(raw.where, "lost: the connection ended without a close frame")


def test_a_server_that_breaks_the_protocol_is_closed_from_here(raw):
    code, _, err = piped(raw.url(sends(b"\xc1\x00")))
    assert code == 3
    assert err == connected(raw.where, "closed from here: 1002 reserved bits must be 0")


def test_a_server_that_never_answers_a_close_is_left_after_two_seconds(raw):
    def deaf(client):
        time.sleep(4)

    began = time.monotonic()
    assert piped(raw.url(deaf), "--wait", "0") == (0, b"", connected(raw.where, "closed"))
    assert time.monotonic() - began < 3.8


def test_a_refusal_is_1_with_status_and_body(url):
    assert piped(f"{url}/guarded") == (1, b"", 'refused 401 Unauthorized\n{"message": "no key fits"}\n')
    assert piped(f"{url}/nothing") == (1, b"", 'refused 403 Forbidden\n{"message":"Forbidden"}\n')


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 500 Oh dear\r\nContent-Length: 0\r\n\r\n", "refused 500 Oh dear\n"),
        (b"HTTP/1.1 299 \r\nContent-Length: 4\r\n\r\n\xff\nab", "refused 299\n\\xff\nab\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n<p>a page</p>", "refused 200 OK\n<p>a page</p>\n"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "refused 302 Found, go to ws://127.0.0.1:1/\n",
        ),
    ],
)
def test_any_other_answer_than_101_is_a_refusal_and_no_redirect_is_followed(raw, answer, said):
    assert piped(raw.url(answer=answer)) == (1, b"", said)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
def test_what_is_no_websocket_server_is_3(raw, answer):
    url = raw.url(answer=answer)
    place = url.split("/")[2]
    assert piped(url) == (3, b"", f"trunkline: {place} does not answer as a WebSocket server\n")


def test_a_subprotocol_that_was_not_offered_is_3(url):
    code, out, err = piped(f"{url}/guarded", "--header", "Authorization:secret")
    assert (code, out) == (3, b"")
    assert err == "trunkline: the handshake failed: no subprotocols supported\n"


def test_where_nothing_listens_is_3(free_port):
    for host in ("127.0.0.1", "localhost"):
        assert piped(f"{host}:{free_port}/talk") == (
            3, b"", f"trunkline: cannot reach {host}:{free_port}: nothing listens there\n",
        )  # fmt: skip


def test_a_host_that_is_not_there_is_3():
    said = "trunkline: cannot reach no-such-host.invalid: there is no host of that name\n"
    assert piped("ws://no-such-host.invalid/talk") == (3, b"", said)


def test_wss_to_a_server_without_tls_is_3(url):
    place = url.removeprefix("ws://")
    code, _, err = piped(f"wss://{place}/talk")
    assert (code, err.count("\n")) == (3, 1)
    assert err.startswith(f"trunkline: cannot reach {place}: it does not speak TLS")


def test_a_server_that_hangs_up_at_once_is_3():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        assert piped(f"{place}/talk")[:2] == (3, b"")
        thread.join(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_it_is_connected_is_130_or_143(number):
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [COMMAND, "connect", f":{server.getsockname()[1]}/slow"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process, server.accept()[0] as client:
            assert client.recv(100).startswith(b"GET /slow HTTP/1.1\r\n")
            process.send_signal(number)
            assert process.wait(20) == 128 + number
            assert (process.stdout.read(), process.stderr.read()) == (b"", b"")


# TLS.


@pytest.fixture
def certificate(tmp_path):
    """A certificate of 127.0.0.1 with its key, in one file."""
    file = tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", tmp_path / "only"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    file.write_text(file.read_text() + (tmp_path / "only").read_text())
    return file


@pytest.fixture
def secure(raw, certificate):
    """A server that speaks TLS."""

    def secure(then):
        def over_tls(server, *_):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Who does not trust it hangs up.
            with context.wrap_socket(server, server_side=True) as secured, contextlib.suppress(OSError):
                Raw._serve(raw, secured, then, None)

        raw._serve = over_tls
        return raw.url(scheme="wss")

    return secure


def test_wss_is_spoken_to_a_server_that_is_trusted(secure, certificate):
    url = secure(sends(encode_message("safe"), encode_close(1000)))
    assert piped(url, SSL_CERT_FILE=str(certificate))[:2] == (0, b"safe\n")


def test_over_tls_it_is_the_urls_host_that_must_be_trusted_also_if_another_is_asked_for(secure, certificate):
    url = secure(sends(encode_message("safe"), encode_close(1000)))
    assert piped(url, "--header", "Host:example.com", SSL_CERT_FILE=str(certificate))[:2] == (0, b"safe\n")


def test_a_certificate_that_nobody_vouches_for_is_3(secure):
    code, out, err = piped(secure(sends()))
    assert (code, out) == (3, b"")
    assert "its certificate is not accepted: self" in err
    assert err.count("\n") == 1


# The command line.


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ws://example.com/chat?room=tea", "ws://example.com/chat?room=tea"),
        ("WSS://example.com", "wss://example.com"),
        ("localhost:8000/socket", "ws://localhost:8000/socket"),
        ("my-host.example.com:80", "ws://my-host.example.com:80/"),
        ("[::1]:8000/socket", "ws://[::1]:8000/socket"),
        (":9000/socket", "ws://127.0.0.1:9000/socket"),
        (":9000?name=Ann", "ws://127.0.0.1:9000?name=Ann"),
        ("/socket", "ws://127.0.0.1:8000/socket"),
        ("/socket?name=Ann", "ws://127.0.0.1:8000/socket?name=Ann"),
        ("/übung", "ws://127.0.0.1:8000/übung"),
    ],
)
def test_an_address_can_be_short(typed, meant):
    assert parse_url(typed) == meant


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("socket", "'socket' is no address; expected ws://HOST:PORT/NAME, HOST:PORT/NAME, :PORT/NAME or /NAME"),
        ("localhost/socket", "is no address"),
        ("//socket", "is no address"),
        ("", "'' is no address"),
        ("https://example.com/a", "'https://example.com/a' is a page's address; a WebSocket's is wss://example.com/a"),
        ("http://example.com/a", "a WebSocket's is ws://example.com/a"),
        ("ftp://example.com/a", "begins with ftp://; expected ws:// or wss://"),
        ("ws:///a", "names no host"),
        ("ws://example.com/a b", "contains a blank"),
        ("ws://example.com/a\r\nX: y", "a control character"),
        ("ws://example.com/a#b", "has a #fragment"),
        ("ws://ann@example.com/a", "has a user without a password"),
        (":70000/a", "cannot be read"),
        (":0/a", "names port 0"),
        ("ws://[::1/a", "cannot be read"),
        ("ws://a..b/a", "cannot be read"),
    ],
)
def test_what_is_no_address_is_said_in_one_line(trunkline, typed, said):
    code, out, err = trunkline("connect", typed)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("trunkline: ")
    assert said in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Authorization", "is no header; expected NAME:VALUE"),
        (":secret", "is no header"),
        ("a b:c", "is no header"),
        ("a:b\x00", "--header a has a control character in its value"),
        ("Sec-WebSocket-Protocol:chat", "--subprotocol NAME"),
        ("upgrade:h2c", "belongs to the handshake itself"),
        ("Host:a b", "--header Host:a b is no host"),
        ("Host:", "is no host"),
    ],
)
def test_what_is_no_header_is_a_mistake(text, said):
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse_header(text)


@pytest.mark.parametrize("text", ["", "a b", "chat,v2", "ü"])
def test_what_is_no_subprotocol_is_a_mistake(text):
    with pytest.raises(ConfigurationError, match="is no name"):
        parse_subprotocol(text)


@pytest.mark.parametrize(
    "arguments",
    [["/a", "--header", "x"], ["/a", "--subprotocol", "a b"], ["/a", "--wait", "-1"], ["/a", "--wait", "soon"], []],
)
def test_a_mistake_is_one_line_and_2(trunkline, arguments):
    code, out, err = trunkline("connect", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("trunkline: ")


def test_every_option_is_described_and_the_help_names_the_defaults(trunkline):
    code, out, _ = trunkline("connect", "--help", env={"COLUMNS": "200"})
    assert code == 0
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    section = page[page.index("## trunkline connect") :].split("\n## trunkline ")[0]
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", out))
    assert options == set(re.findall(r"^\| `(--[a-z-]+)` \|", section, re.M))
    assert "default 2." in out


def test_the_other_verbs_do_not_load_what_only_this_one_needs():
    code = "import sys, trunkline.cli.main; print([m for m in sys.modules if m.split('.')[0] in ('prompt_toolkit', 'websockets')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30).stdout == "[]\n"


# How messages are written.


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("plain", "plain"),
        ('{\n  "a": "b\\n"\r\n}', '{   "a": "b\\n"  }'),
        ("two\r\nlines", "two\\r\\nlines"),
        ("\x1b[31mred", "\x1b[31mred"),
        (b"\x00\xff", "00ff"),
        (b"", ""),
    ],
)
def test_a_message_is_one_line_for_a_script(message, line):
    assert for_line(message) == line


def shown(message, width=40):
    return for_terminal(message, width)[0]


def test_json_that_fits_is_shown_as_it_came():
    assert for_terminal(' {"a":1.00,"b":[ ]} ', 40) == ('{"a":1.00,"b":[ ]}', True)


def test_json_that_does_not_fit_is_indented_and_what_fits_of_it_stands_on_one_line():
    assert shown('{"name":"Ann","tags":["a",{"b":1e400}],"text":"a longer text than fits","empty":{}}') == (
        '{\n  "name": "Ann",\n  "tags": ["a", {"b": 1e400}],\n  "text": "a longer text than fits",\n  "empty": {}\n}'
    )


def test_wide_letters_take_two_columns():
    fits, does_not = '{"a":"' + "x" * 30 + '"}', '{"a":"' + "漢" * 30 + '"}'
    assert shown(fits) == fits
    assert shown(does_not).startswith("{\n")


def test_a_long_list_of_small_things_is_not_put_on_one_line():
    assert shown(str(list(range(100)))).count("\n") == 101


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (r'{"a": "gr\u00fc\u00dfe \ud83d\ude00"}', '{"a": "grüße 😀"}'),
        (r'{"a": "\\u00fc \u0041 \u001b \u202e \n"}', r'{"a": "\\u00fc \u0041 \u001b \u202e \n"}'),
        ('{"a": "\u202e"}', '{"a": "\\u202e"}'),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("\x1b]0;title\x07\x9b2J\x7f\r", r"\x1b]0;title\x07\x9b2J\x7f\x0d"),
        ("\u202egnp", "\\u202egnp"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("[1, 2", "[1, 2"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_letters_are_shown_and_what_a_terminal_would_obey_is_named(sent, seen):
    assert shown(sent, 80) == seen


def test_few_bytes_are_shown_on_a_line_and_many_in_rows():
    assert shown(b"\x00Hi\xff") == "4 bytes  00 48 69 ff  .Hi."
    assert shown(b"x") == "1 byte  78  x"
    assert shown(b"") == "0 bytes"
    assert shown(bytes(range(65, 83))) == (
        "18 bytes\n"
        "000000  41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50  ABCDEFGHIJKLMNOP\n"
        "000010  51 52                                            QR"
    )


def test_of_very_many_bytes_it_is_said_how_many_are_not_shown():
    assert (
        shown(bytes(10_000)).splitlines()[-1] == "and 5,904 more, which are written when the output is a pipe or a file"
    )


# A terminal: what a person sees.

IN_A_TERMINAL = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
UP, LEFT, CTRL_A, CTRL_C, CTRL_D, CTRL_K, CTRL_R, CTRL_W = (
    "\x1b[A",
    "\x1b[D",
    "\x01",
    "\x03",
    "\x04",
    "\x0b",
    "\x12",
    "\x17",
)


class Person:
    """Somebody at a terminal of 80 columns and 24 lines."""

    def __init__(self, stack, state, url, *options, **more):
        self._ours, its = os.openpty()
        stack.callback(os.close, self._ours)
        stack.callback(os.close, its)
        termios.tcsetwinsize(its, (24, 80))
        self._its = its
        self.modes = termios.tcgetattr(its)
        self._screen = pyte.HistoryScreen(80, 24, history=5000)
        self._stream = pyte.ByteStream(self._screen)
        env = environment(TERM="xterm-256color", XDG_STATE_HOME=str(state)) | more.pop("env", {})
        command = [sys.executable, "-c", IN_A_TERMINAL, COMMAND, "connect", url, *options]
        streams = {"stdin": its, "stdout": its, "stderr": its} | more
        self.process = stack.enter_context(subprocess.Popen(command, env=env, **streams))
        stack.callback(self.process.kill)

    def types(self, *keys):
        for key in keys:
            os.write(self._ours, key.encode())
        return self

    def pastes(self, text):
        return self.types("\x1b[200~", text, "\x1b[201~")

    def sees(self, *lines):
        """Wait until these stand on the screen, one under the other, and nothing below them."""
        self.until(lambda: self.lines[-len(lines) :] == list(lines), f"{lines} at the end of the screen")
        return self

    def ended(self):
        """Exit code, once everything it wrote has been read."""
        code = self.process.wait(20)
        while self._read(0.05):
            pass
        return code

    @property
    def lines(self):
        """What stands on the screen, and what has left it at the top, without empty lines at the end."""
        rows = [*self._screen.history.top, *(self._screen.buffer[row] for row in range(24))]
        lines = ["".join(row[column].data for column in range(80)).rstrip() for row in rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def colours(self, line):
        """The foreground colours of a line that is on the screen."""
        (row,) = [row for row, text in enumerate(self._screen.display) if text.rstrip() == line]
        return {cell.fg for cell in self._screen.buffer[row].values() if cell.data.strip()}

    def modes_now(self):
        return termios.tcgetattr(self._its)

    def until(self, condition, what):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"never saw {what}:\n" + "\n".join(self.lines)
            self._read(0.1)

    def _read(self, seconds):
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if ready:
            self._stream.feed(os.read(self._ours, 65536))
        return ready


@pytest.fixture
def person(tmp_path):
    with contextlib.ExitStack() as stack:

        def person(url, *options, **more):
            return Person(stack, tmp_path / "state", url, *options, **more)

        yield person


@pytest.fixture
def ann(person, url):
    """Somebody who is connected."""
    return person(f"{url}/talk").sees(f"connected to {url}/talk  Ctrl-D closes", ">")


def test_what_is_typed_is_sent_and_what_comes_stands_below_it(ann):
    ann.types("hello\r").sees("> hello", "< hello", ">").types("übung ☕\r").sees("> übung ☕", "< übung ☕", ">")


def test_the_arrow_recalls_what_was_typed(ann):
    ann.types("one\r").sees("< one", ">").types("two\r").sees("< two", ">")
    ann.types(UP).sees("> two").types(UP).sees("> one").types("!\r").sees("> one!", "< one!", ">")


def test_what_was_typed_is_recalled_the_next_time_and_is_the_users_own_secret(ann, person, url, tmp_path):
    ann.types("from before\r").sees("< from before", ">").types(CTRL_D)
    assert ann.ended() == 0
    again = person(f"{url}/talk").sees(">").types(UP).sees("> from before")
    again.types(CTRL_C).sees(">").types(CTRL_R, "bef").sees("(reverse-i-search)`bef': from before")
    again.types("\r").sees("> from before").types("\r").sees("> from before", "< from before", ">")
    file = tmp_path / "state" / "trunkline" / "connect_history"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_line_can_be_edited(ann):
    ann.types("wrld", LEFT, LEFT, LEFT, "o", CTRL_A, "hello ").sees("> hello world")
    ann.types(CTRL_K).sees("> hello").types("there all ", CTRL_W, "\r").sees("> hello there", "< hello there", ">")


def test_several_pasted_lines_are_a_message_each(ann):
    ann.pastes("one\r\ntwo\rthree").sees("> one", "  two", "  three").types("\r")
    ann.sees("> one", "  two", "  three", "< one", "< two", "< three", ">")


def test_pasted_json_of_several_lines_is_one_message_as_it_was_written(ann, person, url):
    ben = person(f"{url}/talk").sees(">")
    ben.pastes('{\n  "action": "all",\n  "text": "pasted"\n}').types("\r")
    ann.sees("< pasted", ">")
    ben.sees("> {", '    "action": "all",', '    "text": "pasted"', "  }", "< pasted", ">")


def test_lines_that_come_in_as_if_typed_are_a_message_each(ann):
    ann.types("one\rtwo\rthree\r").sees("< three", ">")
    assert [line for line in ann.lines if line.startswith("< ")] == ["< one", "< two", "< three"]


def test_a_pasted_text_is_recalled_whole(ann):
    ann.pastes("one\ntwo").types("\r").sees("< one", "< two", ">").types(UP).sees("> one", "  two")


def test_an_empty_line_sends_nothing_and_leaves_nothing(ann, url):
    ann.types("\r", "  \r", "hello\r").sees("> hello", "< hello", ">")
    assert [line for line in ann.lines if line.startswith("<")] == ["< hello"]


def test_ctrl_c_clears_the_line_and_then_closes(ann, url):
    ann.types("hello").sees("> hello").types(CTRL_C).sees(">").types("bye\r").sees("> bye", "< bye", ">")
    ann.types(CTRL_C).sees("> bye", "< bye", "closed 1000")
    assert ann.ended() == 0


def test_ctrl_d_closes_but_not_while_something_is_typed(ann):
    ann.types("hell", CTRL_D, "o\r").sees("> hello", "< hello", ">").types(CTRL_D).sees("< hello", "closed 1000")
    assert ann.ended() == 0


def say(url, text):
    """Somebody else says something to all."""
    with connect(f"{url}/talk") as other:
        other.send(f'{{"action": "all", "text": "{text}"}}')
        assert other.recv(timeout=10) == text


def test_a_message_that_comes_while_a_line_is_half_typed_stands_above_it(ann, url):
    ann.types("half typed").sees("> half typed")
    say(url, "news")
    ann.sees("< news", "> half typed").types(LEFT, LEFT, LEFT, LEFT, LEFT, "a li")
    say(url, "more news")
    ann.sees("< news", "< more news", "> half a lityped").types("\r")
    ann.sees("< news", "< more news", "> half a lityped", "< half a lityped", ">")


def test_so_it_does_above_a_line_that_is_longer_than_the_terminal_is_wide(ann, url):
    ann.types("x" * 100).sees("> " + "x" * 78, "  " + "x" * 22)
    say(url, "news")
    ann.sees("< news", "> " + "x" * 78, "  " + "x" * 22)


def test_a_thousand_messages_leave_a_half_typed_line_whole(ann, url):
    ann.types("half").sees("> half")
    with connect(f"{url}/talk") as other:
        for number in range(1000):
            other.send(f'{{"action": "all", "text": "message {number}"}}')
            other.recv(timeout=10)
        ann.types(" typed")
    ann.sees("< message 999", "> half typed")
    assert [line for line in ann.lines if line.startswith("<")] == [f"< message {number}" for number in range(1000)]
    assert ann.lines.count("> half typed") == 1


def test_json_is_shown_readable_at_80_columns(ann):
    ann.types('{"names": ["Ann", "Ben"], "text": "' + "x" * 60 + '"}\r')
    ann.sees("< {", '    "names": ["Ann", "Ben"],', '    "text": "' + "x" * 60 + '"', "  }", ">")


def test_json_has_colours_unless_they_are_not_wanted(person, url):
    text = '{"a": 1, "b": "c", "d": true}'
    colourful = person(f"{url}/talk").sees(">").types(f"{text}\r").sees(f"< {text}", ">")
    assert len(colourful.colours(f"< {text}")) >= 4
    plain = person(f"{url}/talk", env={"NO_COLOR": "1"}).sees(">").types(f"{text}\r").sees(f"< {text}", ">")
    assert plain.colours(f"< {text}") == {"default"}


def test_what_strangers_write_moves_no_cursor(ann, url):
    with connect(f"{url}/talk") as other:
        other.send('{"action": "all", "text": "\\u001b[2J\\u001b[1;1Hgone\\r\\nsecond line"}')
        other.recv(timeout=10)
    ann.sees(f"connected to {url}/talk  Ctrl-D closes", r"< \x1b[2J\x1b[1;1Hgone", "  second line", ">")


def test_bytes_are_typed_and_shown(person, url):
    person(f"{url}/blobs", "--binary").sees(">").types("hi\r").sees("> hi", "< 2 bytes  68 69  hi", ">")


def test_when_the_server_closes_the_half_typed_line_stays_and_the_terminal_is_as_before(person, url):
    ann = person(f"{url}/talk").sees(">")
    assert ann.modes_now() != ann.modes
    ann.pastes('{"action": "bye", "code": 4001, "reason": "enough"}\nhalf').types("\r", "typed")
    assert ann.ended() == 3
    assert ann.lines[-1] == "closed 4001 enough"
    assert ann.modes_now() == ann.modes


def test_an_empty_line_does_not_stay_when_the_server_closes(ann):
    ann.types('{"action": "bye", "code": 1001, "reason": "Going away"}\r')
    assert ann.ended() == 0
    assert ann.lines[-2:] == ['> {"action": "bye", "code": 1001, "reason": "Going away"}', "closed 1001 Going away"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_from_outside_closes_it_and_puts_the_terminal_back(ann, number):
    ann.types("half").sees("> half")
    ann.process.send_signal(number)
    assert ann.ended() == 0
    assert ann.lines[-2:] == ["> half", "closed 1000"]
    assert ann.modes_now() == ann.modes


def test_ctrl_c_before_it_is_connected_ends_it(person):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ann = person(f":{server.getsockname()[1]}/slow")
        with server.accept()[0] as client:
            assert client.recv(100)
            ann.types(CTRL_C)
            assert ann.ended() == 130
    assert ann.lines in ([], ["^C"])


def test_a_refusal_is_shown_with_its_body(person, url):
    ann = person(f"{url}/guarded")
    assert ann.ended() == 1
    assert ann.lines == ["refused 401 Unauthorized", '{"message": "no key fits"}']


def test_messages_alone_go_into_a_pipe_while_a_person_types(person, url):
    ann = person(f"{url}/talk", stdout=subprocess.PIPE).sees(">").types("hello\r")
    assert ann.process.stdout.readline() == b"hello\n"
    ann.sees("> hello", ">").types(CTRL_D)
    assert ann.ended() == 0
    assert ann.process.stdout.read() == b""


def test_a_terminal_that_cannot_move_its_cursor_is_sent_plain_lines(person, url):
    ann = person(f"{url}/talk", env={"TERM": "dumb"}).sees(f"connected to {url}/talk").types("hello\r")
    ann.sees("hello", "hello").types(CTRL_D)
    assert ann.ended() == 0
    assert ann.lines == [f"connected to {url}/talk", "hello", "hello", "closed 1000"]


def test_where_no_history_can_be_kept_there_is_one_for_the_time_being(person, url, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    ann = person(f"{url}/talk", env={"XDG_STATE_HOME": str(tmp_path / "file")}).sees(">")
    ann.types("one\r").sees("< one", ">").types(UP).sees("> one", "< one", "> one")


def test_the_history_is_bounded_and_what_is_broken_in_it_is_passed_over(person, url, tmp_path):
    file = tmp_path / "state" / "trunkline" / "connect_history"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f'"{number} {"x" * 600}"\n' for number in range(2000)) + '[1]\n"cut')
    ann = person(f"{url}/talk").sees(">").types(UP)
    ann.until(lambda: any(line.startswith("> 1999 xxx") for line in ann.lines), "the newest entry")
    assert len(file.read_text().splitlines()) == 1000


# What the pages show.

HOWTO = ROOT / "docs" / "howto" / "talk-to-a-socket.md"
TUTORIAL = ROOT / "docs" / "tutorial" / "first-chat.md"


def blocks(page, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.M | re.S)


def sessions(page):
    """Commands of this client with what they show."""
    found = [re.fullmatch(r"\$ (.*)\n((?:.|\n)*)", block) for block in blocks(page, "text")]
    return [session.groups() for session in found if session and "trunkline connect" in session[1]]


@pytest.fixture
def served(run_trunkline, write):
    """The first program of a page, on a port of its own."""

    def served(page, name):
        file = write(f"{name}.py", blocks(page, f'python title="{name}.py"')[0])
        return run_trunkline(file, "--store", "memory:").port

    return served


@pytest.mark.parametrize(("page", "name"), [(HOWTO, "till"), (TUTORIAL, "chat")])
def test_what_a_page_shows_of_a_terminal_is_what_a_person_sees(person, served, page, name):
    command, shown = sessions(page)[0]
    port = served(page, name)
    address, *options = command.split()[2:]
    lines = shown.replace(":8000", f":{port}").splitlines()
    ann = person(f":{port}{address}", *options).sees(lines[0], ">")
    for line, following in zip(lines, [*lines[1:], ">"], strict=True):
        if line.startswith("> "):
            ann.types(line[2:] + "\r")
            ann.until(lambda: following in ann.lines, following)
    assert ann.lines[: len(lines)] == lines


def test_what_the_howto_shows_of_pipes_is_what_they_do(served):
    port = served(HOWTO, "till")
    pipes = sessions(HOWTO)[1:]
    assert len(pipes) == 3
    for command, shown in pipes:
        done = subprocess.run(
            ["sh", "-c", command.replace(" /till", f" :{port}/till")],
            env=environment(PATH=f"{COMMAND.parent}:{os.environ['PATH']}"), timeout=30, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.stdout.replace(f":{port}", ":8000") == shown


def test_the_howtos_line_of_bytes_is_what_bytes_look_like():
    (line,) = [block for block in blocks(HOWTO, "text") if " bytes  " in block]
    assert line == f"< {shown(bytes.fromhex('89504e470d0aff'))}\n"
