"""Servers behind HTTP integrations: what they are asked, and whatever they may do. Real sockets."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
from urllib.parse import unquote

import pytest
import trustme
import uvloop

from trunkline import ConfigurationError, DeclarationError, testing
from trunkline.integrations.base import Asked, IntegrationError, IntegrationTimeout, MessageRefused
from trunkline.integrations.http import ANSWER_BYTES, HttpBackend, HttpClient
from trunkline.integrations.mapped import MappedIntegration
from trunkline.model.deployment import IntegrationDefinition

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEAVY = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"


class Request:
    """What a server was asked."""

    def __init__(self, head, body):
        line, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        self.method, self.target, self.version = line.split(" ")
        self.pairs = [tuple(header.split(": ", 1)) for header in headers]
        self.headers = {name.lower(): value.encode("latin-1").decode() for name, value in self.pairs}
        self.body = body.decode()


class Server:
    """Answers each request with the same bytes; `then` goes on from there, before the socket is closed."""

    def __init__(self, answer, then, keeps):
        self.requests = []
        self.sockets = 0
        self.tasks = set()
        self._answer, self._then, self._keeps = answer, then, keeps

    async def serve(self, reader, writer):
        self.sockets += 1
        self.tasks.add(asyncio.current_task())
        ends = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.closing(writer), contextlib.suppress(*ends):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = Request(head, b"")
                request.body = (await reader.readexactly(int(request.headers.get("content-length", 0)))).decode()
                self.requests.append(request)
                writer.write(self._answer)
                await writer.drain()
                if self._then is not None:
                    await self._then(writer)
                if not self._keeps:
                    break


@contextlib.asynccontextmanager
async def serving(answer=OK, then=None, *, keeps=False, tls=None):
    """A server, and its URL."""
    server = Server(answer, then, keeps)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server, f"{'http' if tls is None else 'https'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await listening.wait_closed()


@contextlib.asynccontextmanager
async def one_client():
    client = HttpClient()
    try:
        yield client
    finally:
        await client.close()


async def ask(url, method="POST", client=None, **asked):
    """What it answers to one request; to a client of its own, without another."""
    if client is not None:
        return await HttpBackend(url, method, client).call(Asked(**asked))
    async with one_client() as own:
        return await ask(url, method, own, **asked)


async def failure(url, client=None, **more):
    """Why it was not answered."""
    with pytest.raises(IntegrationError) as error:
        await ask(url, client=client, **more)
    assert error.value.status == 500
    return str(error.value)


# What a server is asked.


async def test_a_server_is_asked_with_everything_that_is_mapped():
    async with serving() as (server, url):
        answered = await ask(
            url + "/rooms/{room}?v=1", "PUT", body='{"é": 1}',
            headers={"X-Id": ["7"], "X-Many": ["a", "b"], "X-Word": ["é"]}, query={"n": ["1", "2"]}, path={"room": "a/b"},
        )  # fmt: skip
    (request,) = server.requests
    assert (request.method, request.target) == ("PUT", "/rooms/a%2Fb?v=1&n=1&n=2")
    assert request.body == '{"é": 1}'
    assert request.headers == {
        "host": url.removeprefix("http://"), "x-id": "7", "x-many": "b", "x-word": "é", "content-type": "application/json",
        "accept-encoding": "identity", "content-length": "9",
    }  # fmt: skip
    assert [value for name, value in request.pairs if name == "X-Many"] == ["a", "b"]
    assert (answered.status, answered.body, answered.error) == (200, "ok", None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_some_methods_have_no_body(method):
    async with serving(b"HTTP/1.1 204 No Content\r\n\r\n") as (server, url):
        assert (await ask(url, method, body="hello")).status == 204
    (request,) = server.requests
    assert (request.method, request.body) == (method, "")
    assert not {"content-length", "transfer-encoding", "content-type"} & request.headers.keys()


async def test_an_empty_body_has_no_type():
    async with serving() as (server, url):
        await ask(url)
    assert server.requests[0].headers["content-length"] == "0"
    assert "content-type" not in server.requests[0].headers


async def test_what_is_mapped_comes_before_what_is_usual():
    async with serving() as (server, url):
        headers = {"content-TYPE": ["text/plain"], "Accept-encoding": ["identity;q=1"], "Host": ["other.test"]}
        await ask(url, body="x", headers=headers)
    found = [pair for pair in server.requests[0].pairs if pair[0].lower() != "content-length"]
    assert sorted(found) == [
        ("Accept-encoding", "identity;q=1"),
        ("Host", "other.test"),
        ("content-TYPE", "text/plain"),
    ]


@pytest.mark.parametrize(
    "value", ["../admin", "a?b", "a/b#c", "%2e%2e", "\r\nX-Admin: 1\r\n\r\n", "..;/", "\\..\\", "//"]
)
async def test_a_value_of_the_path_is_one_segment_to_the_server(value):
    async with serving() as (server, url):
        await ask(url + "/users/{id}/rooms", path={"id": value})
    (request,) = server.requests
    segments = request.target.split("/")
    assert (segments[:2], unquote(segments[2]), segments[3:]) == (["", "users"], value, ["rooms"])
    assert "x-admin" not in request.headers


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_a_value_that_is_no_segment_reaches_nothing(value):
    async with serving() as (server, url):
        with pytest.raises(MessageRefused):
            await ask(url + "/users/{id}", path={"id": value})
    assert server.requests == []


async def test_nothing_of_the_environment_is_used(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("default login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") as (proxy, proxy_url):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy_url)
            monkeypatch.setenv(name.lower(), proxy_url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with serving() as (server, url):
            assert (await ask(url)).status == 200
    assert "authorization" not in server.requests[0].headers
    assert proxy.requests == []


async def test_cookies_of_an_answer_are_given_to_nobody():
    cookie = b"HTTP/1.1 200 OK\r\nset-cookie: session=secret\r\ncontent-length: 0\r\n\r\n"
    async with serving(cookie, keeps=True) as (server, url), one_client() as client:
        assert (await ask(url, client=client)).headers["set-cookie"] == ["session=secret"]
        await ask(url, client=client)
    assert "cookie" not in server.requests[1].headers


async def test_a_connection_is_used_again():
    async with serving(keeps=True) as (server, url), one_client() as client:
        for _ in range(3):
            await ask(url, client=client)
    assert (len(server.requests), server.sockets) == (3, 1)


def test_it_works_on_the_loop_that_a_node_has():
    async def main():
        async with serving() as (server, url):
            assert (await ask(url, body="hello")).body == "ok"
        assert server.requests[0].body == "hello"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# What it answers.


@pytest.mark.parametrize("status", [200, 201, 400, 404, 500, 599])
async def test_an_answer_is_its_status_headers_and_body(status):
    answer = b"HTTP/1.1 %d X\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 4\r\n\r\n\xc3\xa9\r\n" % status
    async with serving(answer) as (_, url):
        answered = await ask(url)
    assert (answered.status, answered.body) == (status, "é\r\n")
    assert answered.headers["x-a"] == ["1", "2"]


async def test_an_answer_in_pieces_is_put_together():
    async def pieces(writer):
        for piece in (b"2\r\nhe\r\n", b"3\r\nllo\r\n", b"0\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(1)

    async with serving(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", pieces) as (_, url):
        assert (await ask(url)).body == "hello"


async def test_what_is_no_utf8_is_replaced():
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na\xffb") as (_, url):
        assert (await ask(url)).body == "a\ufffdb"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status):
    async with serving() as (other, other_url):
        answer = f"HTTP/1.1 {status} X\r\nlocation: {other_url}/\r\ncontent-length: 0\r\n\r\n".encode()
        async with serving(answer) as (_, url):
            answered = await ask(url, "GET")
    assert (answered.status, answered.headers["location"]) == (status, [other_url + "/"])
    assert other.requests == []


async def test_the_largest_answer_is_taken():
    async with serving(HEAVY % ANSWER_BYTES + b"x" * ANSWER_BYTES) as (_, url):
        assert len((await ask(url)).body) == ANSWER_BYTES


async def test_an_answer_that_is_too_much_is_given_up():
    sent = 0

    async def endless(writer):
        nonlocal sent
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            sent += 65536

    async with serving(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", endless) as (_, url):
        told = await failure(url)
    assert told == f"POST {url} answered more than 10,485,760 bytes"
    assert sent < 4 * ANSWER_BYTES


async def test_a_compressed_answer_is_not_unpacked():
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"
    async with serving(answer) as (_, url):
        assert await failure(url) == f"POST {url} answered in the encoding 'gzip', which it was not asked for"
    async with serving(OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: Identity\r\n\r\n")) as (_, url):
        assert (await ask(url)).body == "ok"


@pytest.mark.parametrize("status", [600, 999])
async def test_a_status_that_is_none_is_an_error(status):
    async with serving(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status) as (_, url):
        assert f"answered with the status {status}; expected at most 599" in await failure(url)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "RemoteProtocolError"), (HEAVY % 10 + b"half", "RemoteProtocolError"), (b"HTTP/1.1 200 OK\r\nconte", "RemoteProtocolError"),
        (b"HTTP/1.1 101 X\r\n\r\n", "RemoteProtocolError"),
        (b"hello\r\n\r\n", "RemoteProtocolError"), (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, "RemoteProtocolError"),
    ],
    ids=["nothing", "half", "headers", "upgrade", "garbage", "chunk", "endless"],
)  # fmt: skip
async def test_an_answer_that_ends_in_the_middle_or_is_none_is_an_error(answer, why):
    async with serving(answer) as (_, url):
        assert (await failure(url)).startswith(f"POST {url} did not answer: {why}: ")


async def test_after_a_failure_the_next_request_is_answered():
    async with one_client() as client:
        async with serving(HEAVY % 10 + b"half") as (_, url):
            await failure(url, client)
        async with serving() as (_, url):
            assert (await ask(url, client=client)).body == "ok"


async def test_a_server_that_is_slow_is_given_up():
    async def never(writer):
        await asyncio.sleep(1000)

    for answer in (b"", HEAVY % 10 + b"half"):
        async with serving(answer, never) as (_, url), one_client() as client:
            definition = IntegrationDefinition("HTTP_PROXY", uri=url, seconds=3)
            made = MappedIntegration(definition, HttpBackend(url, "POST", client), None)
            with pytest.raises(IntegrationTimeout, match=f"POST {url} did not answer within 3 s"):
                await made.invoke(testing.context("hello").req)


async def test_many_that_were_given_up_keep_nobody_from_asking():
    async def never(writer):
        await asyncio.sleep(1000)

    async with one_client() as client:
        async with serving(b"", never) as (server, url):
            for _ in range(3):
                asking = [asyncio.ensure_future(ask(url, client=client)) for _ in range(100)]
                await asyncio.sleep(0.2)
                for one in asking:
                    one.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
        assert len(server.requests) == 300
        async with serving() as (_, url):
            assert (await ask(url, client=client)).body == "ok"


# Where it is.


async def test_where_nobody_listens_is_an_error(free_port):
    url = f"http://127.0.0.1:{free_port}/{{id}}"
    told = await failure(url + "?key=secret", path={"id": "a secret"})
    assert told.startswith(f"POST {url} did not answer: ConnectError: ")
    assert "secret" not in told


async def test_a_name_that_does_not_resolve_is_an_error():
    assert "did not answer: ConnectError: " in await failure("http://no-such-name.invalid/")


def tls_of(authority, name="127.0.0.1"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_certificate_that_is_not_trusted_is_an_error():
    async with serving(tls=tls_of(trustme.CA())) as (server, url):
        told = await failure(url)
    assert "did not answer: ConnectError: " in told
    assert "certificate verify failed" in told.lower()
    assert server.requests == []


async def test_an_authority_that_the_environment_names_is_trusted_for_its_names(monkeypatch, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with serving(tls=tls_of(authority)) as (_, url):
        assert (await ask(url)).body == "ok"
    async with serving(tls=tls_of(authority, "other.test")) as (server, url):
        assert "certificate verify failed" in (await failure(url)).lower()
        assert server.requests == []


# What cannot be is said when it is declared.


@pytest.mark.parametrize("method", ["", "ANY", "get", "CONNECT", "TRACE", "GET /\r\n"])
def test_a_method_that_is_none_is_refused(method):
    with pytest.raises(DeclarationError, match="expected one of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"):
        HttpBackend("https://api.test/", method, None)


def test_a_url_that_is_none_is_refused():
    with pytest.raises(DeclarationError):
        HttpBackend("https://{host}/", "GET", None)


def test_httpx_is_loaded_when_a_client_is_made():
    code = """
import sys
from trunkline.integrations import dynamodb, http, http_url, mapped
before = sorted({"httpx", "botocore"} & sys.modules.keys())
http.HttpClient()
print(before, "httpx" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


def test_without_httpx_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'trunkline\[aws\]'"):
        HttpClient()
