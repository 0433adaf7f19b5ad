"""The door: whatever bytes come, and however they are cut, the answers are whole and a socket leaves nothing behind.

A real gateway with a socket in memory. What it lets in must be a handshake for a second, plainer reader too.
"""

import asyncio
import logging
import re

import httptools

from trunkline import testing, websocket
from trunkline.gateway.acceptor import Acceptor
from trunkline.testing.transport import MemoryTransport
from trunkline.wire.messages import Failed, MessageParser

from .pieces import cut, head

_SECONDS = 60  # of virtual time: longer than a half-sent request, or a closing handshake, may take
_LATEST = 1_000_000  # virtual seconds of a gateway: it is renewed, so that no month passes in one
_STATUSES = {101, 200, 400, 403, 404, 405, 411, 413, 414, 417, 426, 429, 431, 501, 505}
_LINE = re.compile(rb"GET /socket/?(\?[^ \r\n]*)? HTTP/1\.1")


def check(data):
    """Bytes 0 to 3: where the rest is cut. Byte 4: whether the client sends an end, and at which address."""
    (*sizes, options), sent = head(data, 5)
    admin, leaves = bool(options & 1), bool(options & 2)
    whole = _node().talk([sent], admin=admin, leaves=leaves)
    _check_answers(sent, whole, admin=admin)
    pieces = _node().talk(cut(sent, sizes), admin=admin, leaves=leaves)
    if b" 429 " not in whole:  # requests that come one after another do not wait together
        assert _kinds(pieces) == _kinds(whole), "how it is cut changes the answers"


def _kinds(received):
    """Which refusal it is may depend on how much has come."""
    return [min(status, 400) for status in _statuses(received)]


class _Node:
    """A gateway whose loop runs while somebody talks to it."""

    def __init__(self):
        socket = websocket("socket")

        @socket.on("message")
        async def echo(ctx):
            return ctx.req.data

        self.errors = []
        self.runner = asyncio.Runner(loop_factory=testing.JumpingLoop)  # one context for the node's whole life
        self.loop = self.runner.get_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.handler = logging.Handler(logging.ERROR)
        self.handler.emit = lambda record: self.errors.append(record.getMessage())
        self.node = testing.node([socket])
        self.gateway = self.runner.run(self.node.__aenter__()).running.gateway

    def talk(self, pieces, *, admin, leaves):
        """What the gateway sends to a client that sends these pieces."""
        logger = logging.getLogger("trunkline")
        logger.addHandler(self.handler)
        try:
            return self.runner.run(self._talk(pieces, admin, leaves))
        finally:
            logger.removeHandler(self.handler)

    def close(self):
        self.runner.run(self.node.__aexit__(None, None, None))
        self.runner.close()

    async def _talk(self, pieces, admin, leaves):
        gateway, received, ended = self.gateway, bytearray(), []
        door = Acceptor(gateway, gateway.answer_admin if admin else gateway.answer, upgrades=not admin)
        transport = MemoryTransport(self.loop, door, received.extend, lambda: ended.append(True))
        for piece in pieces:
            transport.arrive(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        if leaves:
            transport.client_leaves()
        await asyncio.sleep(_SECONDS)
        if not ended and received.startswith(b"HTTP/1.1 101 "):
            transport.client_leaves(ConnectionResetError())
            await asyncio.sleep(_SECONDS)
        assert ended, "the socket is still open"
        assert not self.errors, self.errors
        assert not (gateway.doors or gateway.alive or gateway.ending), "something is left behind"
        return bytes(received)


_nodes = []


def _node():
    if _nodes and _nodes[0].loop.time() > _LATEST:
        close()
    if not _nodes:
        _nodes.append(_Node())
    return _nodes[0]


def close():
    """Let go of the gateway, if there is one."""
    while _nodes:
        _nodes.pop().close()


class _Answers:
    """What a client's parser makes of it."""

    def __init__(self):
        self.statuses = []
        self.whole = 0
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self):
        self.statuses.append(self.parser.get_status_code())

    def on_message_complete(self):
        self.whole += 1


def _statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def _check_answers(sent, received, *, admin):
    head, separator, rest = received.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 101 "):
        assert separator
        assert not admin, "the admin address upgrades"
        _check_handshake(sent)
        _check_frames(rest)
    elif b"HEAD " not in sent:  # such answers have a length and no body
        answers = _Answers()
        answers.parser.feed_data(received)
        assert answers.whole == len(answers.statuses), "an answer is cut short"
        assert set(answers.statuses) <= _STATUSES, answers.statuses


def _check_handshake(sent):
    """By hand: one line, headers of one line each, and those that make a handshake exactly once."""
    first, *lines = sent.lstrip(b"\r\n").partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert _LINE.fullmatch(first), first
    headers = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        assert colon, line
        assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), name
        headers.setdefault(name.lower(), []).append(value.strip(b" \t").lower())
    assert len(headers[b"host"]) == len(headers[b"sec-websocket-key"]) == 1
    assert headers[b"sec-websocket-version"] == [b"13"]
    assert b"websocket" in _tokens(headers[b"upgrade"])
    assert b"upgrade" in _tokens(headers[b"connection"])
    assert b"transfer-encoding" not in headers
    assert headers.get(b"content-length", [b"0"]) == [b"0"]
    assert b"null" not in headers.get(b"origin", [])


def _tokens(values):
    return {token.strip(b" \t") for value in values for token in value.split(b",")}


def _check_frames(data):
    parser = MessageParser(server=False)
    parser.feed(data)
    while True:
        assert not any(type(event) is Failed for event in parser.pull()), "the gateway breaks the protocol"
        if not parser.pending:
            return
