"""The handling half of a connection: messages wait in a queue, and one Task hands them to their handlers.

The Task is started when a message comes and none runs, hands over one message after another, and ends
without a suspension when the queue is empty. A handler therefore always runs inside a real Task.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trunkline import limits
from trunkline.gateway.dispatcher import (
    bad_request_body,
    error_body,
    log_handler_error,
    log_integration_error,
    log_refused,
    select_route,
    timed_out,
)
from trunkline.gateway.lifecycle import State
from trunkline.gateway.output import Output
from trunkline.integrations.base import IntegrationError, IntegrationTimeout, MessageRefused, ReplyTooLarge
from trunkline.model.events import MESSAGE, Event
from trunkline.wire.frames import check_message_size, encode_message

if TYPE_CHECKING:
    from contextvars import Context

    from trunkline.gateway.server import Gateway
    from trunkline.gateway.stages import Stage
    from trunkline.model.api import CompiledRoute, Response, Throttle
    from trunkline.model.events import Identity

__all__ = ["NOT_HANDLERS", "HandlerTimeout", "Runner"]

# What a handler raises is its own, be it the CancelledError or the SystemExit that would end the runner or the node.
# Ctrl-C in a script, and the end of a coroutine that nobody waits for, are not.
NOT_HANDLERS = (KeyboardInterrupt, GeneratorExit)
_SMALL = 4096  # characters; messages below are bounded by their number
_OPEN, _DRAINING, _GONE = State.OPEN, State.DRAINING, State.GONE


class HandlerTimeout(Exception):  # noqa: N818
    """The handler was cancelled at its deadline."""


class Call(msgspec.Struct, eq=False):
    """A handler that runs; between two messages the runner's has no event."""

    route: CompiledRoute | None = None
    event: Event | None = None
    started: float = 0.0
    expired: bool = False  # it was cancelled at its deadline


class Runner(Output):
    """What waits to be handled, what is being handled, and what became of it."""

    __slots__ = (
        "_calls", "_context", "_given_up", "_held", "_identity", "_queue", "_reading_paused", "_runner", "_stage",
        "_state", "_taken",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, stage: Stage, identity: Identity, transport: asyncio.Transport) -> None:
        super().__init__(gateway, transport)
        self._stage = stage
        self._identity = identity
        self._context: Context = gateway.context.copy()
        self._state = State.CONNECTING
        self._queue: list[str | bytes] = []
        self._held = 0  # bytes of memory of long messages that wait or are being handled
        self._reading_paused = False
        self._given_up = False
        self._taken = 0  # messages that were taken from the queue and are not finished
        self._runner: asyncio.Task[None] | None = None
        self._calls: dict[asyncio.Task[Any], Call] = {}

    def _enqueue(self, data: str | bytes) -> None:
        self._queue.append(data)
        if len(data) > _SMALL:
            self._held += sys.getsizeof(data)

    def _finished(self, data: str | bytes) -> None:
        self._taken -= 1
        if len(data) > _SMALL:
            self._held -= sys.getsizeof(data)

    def _start_runner(self) -> None:
        self._runner = self._gateway.loop.create_task(self._run(), context=self._context)

    async def _run(self) -> None:
        task = cast("asyncio.Task[None]", self._runner)
        call = self._calls[task] = Call()
        try:
            while True:
                batch, self._queue = self._queue, []
                self._taken += len(batch)
                for data in batch:
                    if self._given_up:
                        return
                    if self._stage.api.ordered:
                        await self._handle(data, call, task)
                        self._finished(data)
                    else:
                        self._spawn(data)
                    if self._writing_paused:
                        await self._until_writable()
                if self._reading_paused:
                    self._pull()
                if not self._queue:
                    break
                await asyncio.sleep(0)  # 16 messages of one client, then everybody else's turn
            del self._calls[task]
            if self._state is _GONE and not self._has_to_wait() and not self._given_up:
                if self._calls:
                    await asyncio.sleep(0)  # they begin before the disconnect handler does
                await self._disconnect()
        except BaseException:  # someone cancelled every task of the loop: nothing is left to handle messages
            self._calls.pop(task, None)
            self._transport.abort()
            raise
        finally:
            self._runner = None
        if self._state is _DRAINING and not self._has_to_wait():
            self._answer_close()
        self.flush()

    def _has_to_wait(self) -> bool:
        """Whether handlers run that the answer to a close, or the disconnect handler, comes behind."""
        raise NotImplementedError

    def _pull(self) -> None:
        """There is room in the queue: fill it with what waits in front of it."""
        raise NotImplementedError

    def _answer_close(self) -> None:
        """Every message before the client's close frame is handled: answer it."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> bool:
        """Begin the closing handshake."""
        raise NotImplementedError

    async def _disconnect(self) -> None:
        """The socket is gone, and every message is handled."""
        raise NotImplementedError

    async def _handle(self, data: str | bytes, call: Call, task: asyncio.Task[None]) -> None:
        route = select_route(self._stage.api, data)
        if route is None:
            throttled = not _takes(self._stage.api.messages, self._identity)
            message = limits.MESSAGE_THROTTLED if throttled else limits.MESSAGE_FORBIDDEN
            self._tell(message, Event(MESSAGE, self._identity, "", data))
            return
        event = Event(MESSAGE, self._identity, route.key, data)
        if route.throttle is not None and not _takes(route.throttle, self._identity):
            self._tell(limits.MESSAGE_THROTTLED, event)
            return
        call.route = route
        call.event = event
        call.started = self._gateway.time()
        answer: bytes | None = None
        try:
            response = await route.invoke(event)
            if response is not None and response.body is not None and route.two_way and not call.expired:
                answer = self._encode(response.body)
        except NOT_HANDLERS:
            raise
        except BaseException as error:  # noqa: BLE001 - the runner outlives it
            answer = self._failed(route, event, call, error)
        finally:
            call.event = None
            if task.cancelling():
                call.expired = False
                await _forget_cancellation(task)
        if answer is not None:
            if self._writing_paused:
                await self._until_writable()  # an answer is not refused, so it waits
            self._answer(answer)

    async def _invoke(self, route: CompiledRoute, event: Event) -> Response | None:
        """Call a connect or disconnect handler. Raises HandlerTimeout if its time ran out, or what it raised."""
        task = cast("asyncio.Task[None]", self._runner)
        call = self._calls[task] = Call(route, event, self._gateway.time())
        try:
            response = await route.invoke(event)
        except BaseException:
            if not call.expired:
                raise
        else:
            if not call.expired:
                return response
        finally:
            del self._calls[task]
            if task.cancelling():
                await _forget_cancellation(task)
        raise HandlerTimeout  # also for one that swallowed its cancellation

    def _failed(self, route: CompiledRoute, event: Event, call: Call, error: BaseException) -> bytes | None:
        """What the client is told of it, if anything."""
        if call.expired and isinstance(error, asyncio.CancelledError):
            return None  # the sweep has told the client
        if isinstance(error, MessageRefused):
            log_refused(route, event, error)
            return None if call.expired else encode_message(bad_request_body(event))
        message = limits.MESSAGE_INTERNAL_ERROR
        if isinstance(error, ReplyTooLarge) and not route.two_way:
            return None  # it was to be sent to nobody
        if isinstance(error, IntegrationError):
            log_integration_error(route, event, error)
            if isinstance(error, ReplyTooLarge):
                self.close(limits.CLOSE_TOO_BIG, limits.REASON_TOO_BIG)
                return None
            message = limits.MESSAGE_TIMEOUT if isinstance(error, IntegrationTimeout) else message
        else:
            log_handler_error(route, event, error)
        return None if call.expired else encode_message(error_body(message, event))

    def _expire_calls(self, started_before: float, seconds: float) -> None:
        """Cancel the handlers that have run since then."""
        for task, call in list(self._calls.items()):
            if call.event is not None and not call.expired and call.started <= started_before:
                call.expired = True
                task.cancel()
                timed_out(cast("CompiledRoute", call.route), call.event, seconds)
                if call.event.kind is MESSAGE:
                    self._tell(limits.MESSAGE_TIMEOUT, call.event)

    # Messages that are handled at once: `ordered=False`.

    def _spawn(self, data: str | bytes) -> None:
        call = Call()
        task = self._gateway.loop.create_task(self._handle_alone(data, call), context=self._context.copy())
        self._calls[task] = call  # a close or disconnect waits for it, though it has not begun
        task.add_done_callback(partial(self._spawned, data))

    async def _handle_alone(self, data: str | bytes, call: Call) -> None:
        await self._handle(data, call, cast("asyncio.Task[None]", asyncio.current_task()))

    def _spawned(self, data: str | bytes, task: asyncio.Task[None]) -> None:
        self._finished(data)
        del self._calls[task]
        if self._runner is None and (self._reading_paused or self._state is not _OPEN):
            self._start_runner()  # there is room again, or a close or disconnect waits for the last of them

    # What the client is told.

    def _encode(self, body: str | bytes) -> bytes:
        frame = encode_message(body)
        if len(frame) > self._stage.api.limits.message_bytes:
            check_message_size(body, frame, self._stage.api.limits.message_bytes)
        return frame

    def _tell(self, message: str, event: Event) -> None:
        self._answer(encode_message(error_body(message, event)))

    def _answer(self, frame: bytes) -> None:
        """Queue what is for the sender; no refusal: no further message is taken until the socket takes this."""
        if self._state is _OPEN or self._state is _DRAINING:
            self._put(frame)


def _takes(throttle: Throttle | None, identity: Identity) -> bool:
    return throttle is None or throttle.takes(identity.source_ip)


async def _forget_cancellation(task: asyncio.Task[Any]) -> None:
    """A cancellation ends with the handler that it was meant for; the next message starts afresh."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # takes one that was asked for and not yet delivered
    while task.cancelling():
        task.uncancel()
