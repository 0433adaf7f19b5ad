"""A client in memory: it speaks real bytes with the real gateway, and never waits for ever."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from trunkline import limits
from trunkline.testing.transport import MemoryTransport
from trunkline.wire.frames import OP_PING, OP_PONG, encode_client_message, encode_close, encode_frame
from trunkline.wire.handshake import check_accept, client_request
from trunkline.wire.messages import Close, MessageParser, Ping, Pong, WireEvent

if TYPE_CHECKING:
    from trunkline.gateway.server import Gateway

__all__ = ["Client", "Closed", "Refused"]

_LARGE = 64 * 1024 * 1024


class Refused(Exception):  # noqa: N818
    """The gateway refused the handshake.

    Attributes:
        status: HTTP status.
        headers: of the answer, names in lower case.
        body: of the answer.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"the handshake was refused: {status} {body.decode('utf-8', 'replace')}")
        self.status = status
        self.headers = headers
        self.body = body


class Closed(Exception):  # noqa: N818
    """The connection is closed.

    Attributes:
        code: close code of the gateway's frame; 1006 if the socket ended without one.
        reason: its text.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the connection is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Client:
    """A WebSocket client. Every wait ends after `timeout` seconds of loop time with a TimeoutError.

    Attributes:
        subprotocol: the one the gateway chose, or None.
        headers: of its answer to the handshake, names in lower case.
        pongs: payloads of the pongs that came.
    """

    def __init__(self, gateway: Gateway, *, timeout: float = 5.0, source_ip: str = "127.0.0.1") -> None:
        from trunkline.gateway.acceptor import Acceptor

        self.timeout = timeout
        self.subprotocol: str | None = None
        self.headers: dict[str, str] = {}
        self.pongs: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._raw = bytearray()
        self._parser: MessageParser | None = None
        self._inbox: deque[str | bytes] = deque()
        self._closed: Closed | None = None
        self._ended = False
        self._close_sent = False
        self._news = asyncio.Event()
        acceptor = Acceptor(gateway, gateway.answer)
        self._transport = MemoryTransport(self._loop, acceptor, self._received, self._socket_ended, source_ip)

    # Connecting.

    async def handshake(
        self,
        target: str,
        *,
        host: str = "localhost",
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
    ) -> None:
        """Open the WebSocket.

        Raises:
            Refused: the gateway answered with something else than 101.
        """
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.send_bytes(client_request(host, target, key, headers, subprotocols))
        status, named, body = await self.response()
        self.headers = dict(named)
        if status != 101:
            raise Refused(status, self.headers, body)
        self.subprotocol = check_accept(status, named, key, subprotocols)
        self._parser = MessageParser(server=False, frame_bytes=_LARGE, message_bytes=_LARGE)
        rest, self._raw = bytes(self._raw), bytearray()
        if rest:
            self._received(rest)

    async def response(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Read one HTTP response: status, headers with names in lower case, body."""
        await self._until(lambda: b"\r\n\r\n" in self._raw or self._ended, "an HTTP response")
        head, found, _ = bytes(self._raw).partition(b"\r\n\r\n")
        if not found:
            raise Closed(limits.CLOSE_ABNORMAL, "the socket ended before a response came")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        named = [(pair[0].lower(), pair[1]) for pair in pairs]
        size = int(dict(named).get("content-length", "0"))
        await self._until(lambda: len(self._raw) >= len(head) + 4 + size, "the response's body")
        body = bytes(self._raw[len(head) + 4 : len(head) + 4 + size])
        del self._raw[: len(head) + 4 + size]
        return int(first.split(" ")[1]), named, body

    # Sending.

    async def send(self, data: str | bytes) -> None:
        """Send a message: str as text, bytes as binary."""
        if self._closed is not None or self._ended:
            raise self._closed or Closed(limits.CLOSE_ABNORMAL, "")
        self.send_bytes(encode_client_message(data))

    async def send_json(self, value: Any) -> None:
        """Send a value as a text message of JSON."""
        await self.send(json.dumps(value))

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping; the answer appears in `pongs`."""
        self.send_bytes(encode_frame(OP_PING, payload, mask=secrets.token_bytes(4)))

    def send_bytes(self, data: bytes) -> None:
        """Send raw bytes, for what no well-behaved client would send."""
        self._transport.arrive(data)

    # Receiving.

    async def receive(self, timeout: float | None = None) -> str | bytes:  # noqa: ASYNC109
        """The next message.

        Raises:
            Closed: the connection is closed, and every message was received.
            TimeoutError: none came in time.
        """
        await self._until(lambda: bool(self._inbox) or self._closed is not None or self._ended, "a message", timeout)
        if self._inbox:
            return self._inbox.popleft()
        raise self._closed or Closed(limits.CLOSE_ABNORMAL, "")

    async def receive_json(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """The next message, read as JSON."""
        return json.loads(await self.receive(timeout))

    async def nothing(self, seconds: float = 0.1) -> None:
        """Assert that no message comes for so long."""
        try:
            message = await self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"expected no message for {seconds:g} s; got {message!r:.200}")

    def stop_reading(self) -> None:
        """From now on take nothing off the socket."""
        self._transport.client_reads(False)

    def go_on_reading(self) -> None:
        """Read again."""
        self._transport.client_reads(True)

    # Closing.

    async def close(self, code: int = limits.CLOSE_NORMAL, reason: str = "") -> Closed:
        """Do the closing handshake; returns how it ended."""
        if not self._close_sent and not self._ended:
            self._close_sent = True
            self.send_bytes(encode_close(code, reason, mask=secrets.token_bytes(4)))
        return await self.closed()

    async def closed(self, timeout: float | None = None) -> Closed:  # noqa: ASYNC109
        """Wait until the socket is gone; messages that came before can still be received."""
        await self._until(lambda: self._ended, "the end of the connection", timeout)
        return self._closed or Closed(limits.CLOSE_ABNORMAL, "")

    def vanish(self) -> None:
        """Leave without a word, as a client that loses its network and is noticed."""
        self._transport.client_leaves(ConnectionResetError("the client vanished"))

    def hang_up(self) -> None:
        """Close the socket without a close frame."""
        self._transport.client_leaves()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.go_on_reading()
            await self.close()
        else:
            self.vanish()

    # What the transport tells.

    def _received(self, data: bytes) -> None:
        if self._parser is None:
            self._raw += data
        else:
            self._parser.feed(data)
            events = self._parser.pull(1 << 30, 1 << 40)
            while events:
                for event in events:
                    self._take(event)
                events = self._parser.pull(1 << 30, 1 << 40) if self._parser.pending else []
        self._news.set()

    def _take(self, event: WireEvent) -> None:
        if isinstance(event, str | bytes):
            self._inbox.append(event)
        elif isinstance(event, Ping):
            self.send_bytes(encode_frame(OP_PONG, event.payload, mask=secrets.token_bytes(4)))
        elif isinstance(event, Pong):
            self.pongs.append(event.payload)
        elif isinstance(event, Close):
            self._closed = Closed(event.code, event.reason)
            if not self._close_sent:
                self._close_sent = True
                code = event.code if event.code != limits.CLOSE_NO_STATUS else limits.CLOSE_NORMAL
                self.send_bytes(encode_close(code, event.reason, mask=secrets.token_bytes(4)))
        else:
            raise AssertionError(f"the gateway broke the protocol: {event.code} {event.reason}")  # noqa: TRY004

    def _socket_ended(self) -> None:
        self._ended = True
        self._news.set()

    async def _until(self, condition: Any, what: str, timeout: float | None = None) -> None:  # noqa: ASYNC109
        # No asyncio.timeout: on Python 3.11 its error gets lost in a frame that coverage does not trace.
        seconds = self.timeout if timeout is None else timeout
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            self._news.set()

        timer = self._loop.call_later(seconds, expire)
        try:
            while not condition():
                if late:
                    raise TimeoutError(f"waited {seconds:g} s for {what}; none came")
                self._news.clear()
                await self._news.wait()
        finally:
            timer.cancel()
