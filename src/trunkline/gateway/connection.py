"""One client's connection: bytes in, messages to its handlers in order, replies and closes out.

The bytes of a read are parsed in one loop; the messages wait in `_queue`, and one runner Task hands them to
their handlers one after another. The Task ends when nothing waits. What a loop turn puts on the output is
one write.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from trunkline import clock, limits
from trunkline.connections.base import ConnectionInfo
from trunkline.errors import SlowConsumer
from trunkline.gateway import http
from trunkline.gateway.authorizers import authorize, what_it_lacks
from trunkline.gateway.dispatcher import error_body, log_handler_error, log_integration_error, log_refused
from trunkline.gateway.hangups import has_hung_up
from trunkline.gateway.lifecycle import State, Trigger, after
from trunkline.gateway.runner import NOT_HANDLERS, HandlerTimeout, Runner
from trunkline.integrations.base import IntegrationError, MessageRefused
from trunkline.model.api import CONNECT_ROUTE, DISCONNECT_ROUTE, CompiledRoute, Response
from trunkline.model.events import CONNECT, DISCONNECT, Event, Handshake, Identity
from trunkline.model.ids import request_id
from trunkline.wire.frames import encode_close
from trunkline.wire.handshake import accept_response, check_subprotocol
from trunkline.wire.messages import Close, Failed, MessageParser, Ping

if TYPE_CHECKING:
    from trunkline.gateway.server import Gateway
    from trunkline.gateway.stages import Stage
    from trunkline.model.api import CompiledApi

__all__ = ["Connection"]

_OPEN, _DRAINING, _GONE = State.OPEN, State.DRAINING, State.GONE
_CONNECTING, _CLOSING = State.CONNECTING, State.CLOSING


class Connection(Runner):
    """The protocol of one WebSocket connection, from the decision about its handshake to its end."""

    __slots__ = (
        "_close_code", "_close_reason", "_counted", "_deadline", "_expires_at", "_parser", "_parting", "_paused_at",
        "active_at", "api_name", "opened_at",
    )  # fmt: skip

    def __init__(
        self, gateway: Gateway, stage: Stage, identity: Identity, transport: asyncio.Transport, counted: str = ""
    ) -> None:
        api = stage.api
        super().__init__(gateway, stage, identity, transport)
        self._parser = MessageParser(
            frame_bytes=api.limits.frame_bytes, message_bytes=api.limits.message_bytes, binary=api.binary
        )
        self._close_code = limits.CLOSE_ABNORMAL
        self._close_reason = limits.REASON_ABNORMAL
        self._deadline = 0.0  # when a closing handshake is cut short; 0: none under way
        self._expires_at: float | None = None  # by the wall clock: it is the token's time, not the loop's
        self._counted = counted  # the key under which its socket is counted
        # The close is ours and in order: what the client sends before its answer is handled, until then; 0: it is not.
        self._parting = 0.0
        self._paused_at = 0.0
        self.opened_at = self.active_at = gateway.time()
        self.api_name = api.name  # a redeploy does not change it

    # What the seam of connections sees.

    @property
    def message_bytes(self) -> int:
        """The largest message that may be sent to it."""
        return self._stage.api.limits.message_bytes

    def info(self) -> ConnectionInfo:
        """What is known of it."""
        connected = self._identity.connected_at / 1000
        active = connected + self.active_at - self.opened_at
        return ConnectionInfo(
            datetime.fromtimestamp(connected, UTC),
            datetime.fromtimestamp(active, UTC),
            self._identity.source_ip,
            self._identity.user_agent,
        )

    def send(self, frame: bytes) -> bool:
        """Queue an encoded message. Raises SlowConsumer when the queue is full."""
        state, gateway = self._state, self._gateway
        if state is not _OPEN and state is not _DRAINING:
            return False
        if self._writing_paused and self._out_bytes + len(frame) > limits.OUTPUT_BYTES:
            self._full_since = self._full_since or gateway.time()
            raise SlowConsumer(
                f"connection {self._identity.connection_id} does not read: {self._out_bytes:,} bytes wait for it; "
                f"the limit is {limits.OUTPUT_BYTES:,}"
            )
        self._put(frame)
        self.active_at = gateway.time()
        return True

    def close(self, code: int, reason: str) -> bool:
        """Begin the closing handshake; False if one is under way already or the socket is gone."""
        if self._state is not _OPEN and self._state is not _DRAINING:
            return False
        has_closed = self._state is _DRAINING and not self._parting
        if self._state is _OPEN:
            self._close_code, self._close_reason = code, reason
        self._send_close(code, reason)
        if has_closed:
            self._finish()  # the client's close frame came before ours: nothing is to be waited for
        return True

    def drain(self, code: int, reason: str) -> None:
        """Close behind the messages that were received: they are handled and answered first."""
        if self._state is _OPEN:
            self._close_code, self._close_reason = code, reason
            bound = self._stage.api.limits.handler_seconds
            self._state = after(self._state, Trigger.DRAIN)
            self._deadline = self._gateway.time() + bound  # for what has been received
            self._parting = self._deadline + bound
            self._pause_reading()
            if self._runner is None:
                self._start_runner()  # it ends at once if there is nothing to do

    def abandon(self) -> None:
        """The node ends before this connection has: its handler is cut off, and no other one begins."""
        self._given_up = True
        for task, call in self._calls.items():
            call.expired = True
            task.cancel()
        self._transport.abort()

    # The handshake.

    def start(self, handshake: Handshake, key: str, rest: bytes) -> None:
        """Decide about the handshake; `rest` is what the client sent behind it."""
        self._gateway.alive.add(self)
        if rest:
            self._parser.feed(rest)
        api = self._stage.api
        if api.connect is None and api.authorizer is None:
            self._accept(_handshake_answer(Response(), key, ""))
        else:
            coro = self._decide(api, handshake, key)
            self._runner = self._gateway.loop.create_task(coro, context=self._context)

    async def _decide(self, api: CompiledApi, handshake: Handshake, key: str) -> None:
        event = Event(CONNECT, self._identity, CONNECT_ROUTE, handshake=handshake)
        lacking = None if api.connect is None else what_it_lacks(api.connect, event)
        if lacking is not None:
            self._runner = None
            self._refuse(http.refusal(lacking, event.request_id))
            return
        if api.authorizer is not None and not await self._is_authorized(api, event):
            return
        if api.connect is not None:
            await self._connect(api.connect, event, key)
        else:
            self._runner = None
            self._accept(_handshake_answer(Response(), key, ""))

    async def _is_authorized(self, api: CompiledApi, event: Event) -> bool:
        """Ask the authorizer. If not, or if nobody is there any more, that was the end of it."""
        began = self._gateway.time()
        decision = await authorize(api, event, self._invoke)
        if self._state is State.ABANDONED or not _accepts(decision):
            self._runner = None
            self._refuse(http.refusal(decision, event.request_id))
            return False
        self._identity.authorizer = decision.context
        self._expires_at = decision.expires_at
        event.authorizer_ms = round((self._gateway.time() - began) * 1000)
        return True

    async def _connect(self, route: CompiledRoute, event: Event, key: str) -> None:
        try:
            response = await self._invoke(route, event) or Response()
            answer = _handshake_answer(response, key, event.request_id)
        except HandlerTimeout:
            response = Response(504, error_body(limits.MESSAGE_TIMEOUT, event))
            answer = http.refusal(response, event.request_id)
        except MessageRefused as refused:
            log_refused(route, event, refused)
            response = Response(refused.status, error_body(limits.MESSAGE_BAD_PARAMETERS, event))
            answer = http.refusal(response, event.request_id)
        except IntegrationError as error:
            log_integration_error(route, event, error)
            message = limits.MESSAGE_TIMEOUT if error.status == 504 else limits.MESSAGE_INTERNAL_ERROR
            response = Response(error.status, error_body(message, event))
            answer = http.refusal(response, event.request_id)
        except NOT_HANDLERS:
            raise
        except BaseException as error:  # noqa: BLE001 - the handler's
            log_handler_error(route, event, error)
            response = Response(502, error_body(limits.MESSAGE_INTERNAL_ERROR, event))
            answer = http.refusal(response, event.request_id)
        self._runner = None
        if _accepts(response):
            self._accept(answer)
        else:
            self._refuse(answer)

    def _accept(self, answer: bytes) -> None:
        journal, api = self._gateway.journal, self._stage.api
        kept = journal is None or api.disconnect is None or journal.opened(self._identity, api.name)
        self._state = after(self._state, Trigger.ACCEPT)
        if self._state is _GONE:
            self._start_runner()  # the client left meanwhile: its disconnect handler runs all the same
            return
        if not kept:
            self._turn_away()
            return
        # Addressable before the client can know that it is connected.
        self._gateway.connections.add(self._identity.connection_id, self)
        self._transport.write(answer)
        self._pull()

    def _turn_away(self) -> None:
        """The journal has no room for it. Its connect handler succeeded, so its disconnect handler runs."""
        self._state = after(self._state, Trigger.CLOSE_SENT)
        self._deadline = self._gateway.time() + limits.CLOSE_SECONDS
        body = f'{{"message": "{limits.MESSAGE_NO_ROOM}"}}'
        self._transport.write(http.refusal(Response(503, body), request_id()))
        self._transport.close()

    def _refuse(self, answer: bytes) -> None:
        lost = self._state is State.ABANDONED
        self._state = after(self._state, Trigger.REFUSE)
        self._gateway.alive.discard(self)
        if not lost:
            self._transport.write(answer)
            self._transport.close()

    # What the transport tells.

    def get_buffer(self, sizehint: int) -> memoryview:
        """All connections of a loop read into one buffer: it is emptied before the next read."""
        return self._gateway.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` came."""
        self.active_at = self._gateway.time()
        self._parser.feed(self._gateway.buffer[:nbytes].tobytes())
        if self._state is _CONNECTING:
            self._pause_reading()  # one read is kept; messages wait for the decision
        else:
            self._pull()

    def eof_received(self) -> bool:
        """The client sends no more; the transport closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._gateway.admission.leave(self._counted)
        if self._state is State.REFUSED:
            return
        self._state = after(self._state, Trigger.LOST)
        self._gateway.connections.remove(self._identity.connection_id)
        self._drop_output()
        if self._state is _GONE and self._runner is None:
            self._start_runner()

    # Reading.

    def _pull(self) -> None:
        """Take as many messages as there is room for. Reading is paused until there is room for more."""
        if self._state is _CLOSING and not self._parting:
            self._discard()
            return
        room = limits.WAITING_MESSAGES - self._taken - len(self._queue)
        if room > 0 and self._held < limits.WAITING_BYTES:
            self._take(room)
        if self._is_full():
            self._pause_reading()
        elif self._parser.pending:  # control frames and fragments only: the rest of them in the next turn
            self._pause_reading()
            self._gateway.loop.call_soon(self._go_on)
        elif self._state is not _DRAINING:
            self._resume_reading()
        if self._queue and self._runner is None:
            self._start_runner()

    def _take(self, room: int) -> None:
        for item in self._parser.pull(room, limits.WAITING_BYTES - self._held):
            kind = type(item)
            if kind is str or kind is bytes:
                self._enqueue(cast("str | bytes", item))
            else:
                self._control(item)

    def _is_full(self) -> bool:
        waiting = self._taken + len(self._queue)
        return waiting >= limits.WAITING_MESSAGES or self._held >= limits.WAITING_BYTES

    def _go_on(self) -> None:
        if self._parser.pending:
            self._pull()

    def _discard(self) -> None:
        """We have closed: messages that come after that are nobody's, only the client's answer counts."""
        while True:
            for item in self._parser.pull():
                if type(item) is Close or type(item) is Failed:
                    self._control(item)
            if not self._parser.pending:
                return

    def _control(self, item: object) -> None:
        if type(item) is Ping:
            if self._state is _OPEN:
                self._put_pong(item.payload)
        elif type(item) is Close:
            self._peer_closed(item)
        elif type(item) is Failed:
            self._peer_failed(item)

    def _peer_closed(self, close: Close) -> None:
        if self._state is _GONE:  # it came with messages that had to wait, and its sender has left meanwhile
            self._close_code, self._close_reason = close.code, close.reason
            return
        if self._state is _CLOSING:
            self._state = after(self._state, Trigger.PEER_CLOSE)
            self._finish()
            return
        self._parting = 0.0
        self._close_code = close.code
        self._close_reason = close.reason if close.code != limits.CLOSE_NO_STATUS else limits.REASON_NO_STATUS
        self._state = after(self._state, Trigger.PEER_CLOSE)
        self._deadline = self._gateway.time() + limits.CLOSE_SECONDS
        if self._runner is None and not self._queue and not self._has_to_wait():
            self._answer_close()

    def _has_to_wait(self) -> bool:
        # Where AWS's own meaning is asked for nothing waits, but for a node that stops.
        return bool(self._calls) and (self._parting > 0 or not self._stage.api.best_effort)

    def _answer_close(self) -> None:
        # If the client closed, the reason is its own: AWS echoes code and reason.
        reason = self._close_reason if self._close_code != limits.CLOSE_NO_STATUS else ""
        self._send_close(self._close_code, reason)
        if not self._parting:
            self._finish()

    def _peer_failed(self, failed: Failed) -> None:
        if self._state is _CLOSING:
            self._finish()
            return
        self._close_code, self._close_reason = failed.code, failed.reason
        if self._state is _GONE:
            return
        self._send_close(failed.code, failed.reason)
        # The rest of its bytes is read and thrown away, else the kernel answers them with a reset
        # that may overtake our close frame.
        if not self._writing_paused and self._transport.can_write_eof():
            self.flush()
            self._transport.write_eof()

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._paused_at = self._gateway.time()
            self._transport.pause_reading()

    def _is_lost(self, now: float) -> bool:
        """Whether its client has not read for too long, or has hung up unheard."""
        if self._full_since and now - self._full_since >= limits.SLOW_SECONDS:
            return True
        return self._reading_paused and now - self._paused_at >= limits.PAUSED_SECONDS and self._has_hung_up()

    def _may_still_answer(self, now: float) -> bool:
        """Whether the client's answer to our close may stand behind what it sends, or what we have not read yet."""
        if self._writing_paused or self._gateway.hurried:
            return False
        return self._reading_paused or now - self.active_at < limits.CLOSE_SECONDS

    def _has_hung_up(self) -> bool:
        descriptor = self._transport.get_extra_info("socket")
        gone = descriptor is None or self._transport.is_closing()
        return not gone and has_hung_up(descriptor.fileno())

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    # Ending.

    async def _disconnect(self) -> None:
        if self not in self._gateway.alive:
            return
        self._gateway.alive.discard(self)
        self._gateway.ending.add(self)
        route = self._stage.api.disconnect
        try:
            if route is not None:
                await self._handle_disconnect(route)
            if self._calls:
                await asyncio.wait(self._calls)  # handlers that it did not wait for; the node's end does
        finally:
            self._gateway.ending.discard(self)
        if self._gateway.journal is not None:
            self._gateway.journal.ended(self._identity.connection_id)

    async def _handle_disconnect(self, route: CompiledRoute) -> None:
        event = Event(
            DISCONNECT, self._identity, DISCONNECT_ROUTE,
            close_code=self._close_code, close_reason=self._close_reason,
        )  # fmt: skip
        try:
            await self._invoke(route, event)
        except HandlerTimeout:
            pass  # the sweep has told the log
        except IntegrationError as error:
            log_integration_error(route, event, error)
        except NOT_HANDLERS:
            raise
        except BaseException as error:  # noqa: BLE001 - the handler's
            log_handler_error(route, event, error)

    # Closing.

    def _send_close(self, code: int, reason: str) -> None:
        frame = encode_close(code, reason)
        self._put(frame)
        self._state = after(self._state, Trigger.CLOSE_SENT)
        self._gateway.connections.remove(self._identity.connection_id)
        self._deadline = self._gateway.time() + limits.CLOSE_SECONDS
        self._resume_reading()  # for the client's answer
        if self._parser.pending:
            self._gateway.loop.call_soon(self._go_on)

    def _finish(self) -> None:
        """Both close frames are out: close the socket behind them."""
        self.flush()
        if not self._writing_paused:
            self._transport.close()

    # Sweeps: coarse, one for all connections of the node.

    def sweep(self, now: float) -> None:
        """Enforce what has run out: handler, closing handshake, hang-up, full queue, idle and life time, token."""
        bounds = self._stage.api.limits
        if self._runner is not None and self._runner.done():  # it was cancelled before it had begun
            self._runner = None
            self._transport.abort()
        if self._calls:
            self._expire_calls(now - bounds.handler_seconds, bounds.handler_seconds)
        if self._deadline and now >= self._deadline and self._state is not _GONE:
            if self._state is _DRAINING:
                self._answer_close()
            elif self.flush() or (now < self._parting and self._may_still_answer(now)):
                # If it was flushed only now, the loop was held up, and the client has not seen the close yet.
                self._deadline = now + limits.CLOSE_SECONDS
            else:
                self._transport.abort()
        elif self._is_lost(now):
            self._transport.abort()
        elif self._state is _OPEN and (
            now - self.active_at >= bounds.idle_seconds or now - self.opened_at >= bounds.lifetime_seconds
        ):
            self.close(limits.CLOSE_GOING_AWAY, limits.REASON_GOING_AWAY)
        elif self._expires_at is not None and self._state is _OPEN and clock.now() >= self._expires_at:
            self.close(limits.CLOSE_POLICY, limits.REASON_EXPIRED)


def _accepts(response: Response) -> bool:
    return 200 <= response.status < 300


def _handshake_answer(response: Response, key: str, request_id: str) -> bytes:
    """The 101 or the refusal; raises ValueError for what HTTP cannot say."""
    if not _accepts(response):
        return http.refusal(response, request_id)
    subprotocol = response.headers.get("sec-websocket-protocol")
    check_subprotocol(subprotocol)
    return accept_response(key, subprotocol, http.date())
