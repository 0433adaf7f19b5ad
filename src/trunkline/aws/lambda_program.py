"""A program in one process of Lambda: API Gateway's events in, what its handlers return out.

An error of a handler is told the log here, and then raised: API Gateway tells the client of it as a node of ours does,
and Lambda counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from trunkline import limits
from trunkline.aws.lambda_authorizer import decide
from trunkline.errors import ConfigurationError, MessageTooLarge
from trunkline.integrations.python import PythonIntegration
from trunkline.model.api import Response
from trunkline.model.authorization import Refused
from trunkline.model.events import CONNECT, DISCONNECT, AuthorizerEvent, Event
from trunkline.model.proxy_events import NotAnEvent, read_proxy_event
from trunkline.resources.context import running_node
from trunkline.tracebacks import explain, is_programs
from trunkline.wire.handshake import check_subprotocol

if TYPE_CHECKING:
    from trunkline.aws.lambda_node import LambdaNode
    from trunkline.resources.application import Application
    from trunkline.resources.websocket import Handler

__all__ = ["HandlerFailed", "LambdaProgram"]

logger = logging.getLogger("trunkline.handlers")
_LAST_SECONDS = 1.0  # before Lambda ends the process: a handler that still runs is cancelled, and its client told
_LEFT_SECONDS = 1.0  # what a handler leaves running may take so much longer before the answer is given
_SHORTEST = 0.05
_NOT_HANDLERS = (KeyboardInterrupt, GeneratorExit)


class HandlerFailed(Exception):  # noqa: N818
    """What Lambda is told of an error that the log has already; its text is all that API Gateway may look at."""


class _Call(msgspec.Struct, eq=False):
    """A handler's run, and what came of it; the Task's own result is lost with a cancellation that never arrived."""

    result: Any = None
    error: BaseException | None = None
    expired: bool = False


class LambdaProgram:
    """What a function does with its events, one at a time.

    Args:
        application: the program.
        node: where operations of its handlers go.
        seconds: how long what a handler leaves running is waited for.
    """

    def __init__(self, application: Application, node: LambdaNode, *, seconds: float = _LEFT_SECONDS) -> None:
        self._application = application
        self._node = node
        self._seconds = seconds
        self._context = contextvars.copy_context()
        self._context.run(running_node.set, node)
        self._life: asyncio.Task[None] | None = None
        self._told: set[str] = set()

    async def open(self) -> None:
        """Enter the program's lifespans, unless they are entered already; they are never left.

        Raises:
            HandlerFailed: one of them could not be; the next call tries again.
        """
        if self._life is not None and not self._life.done():
            return
        entered = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(entered), context=self._context.copy())
        self._life._log_destroy_pending = False  # type: ignore[attr-defined]  # it ends with the process, and is to
        await asyncio.wait({entered, self._life}, return_when=asyncio.FIRST_COMPLETED)
        if self._life.done():
            raise HandlerFailed("the program's lifespan failed; the log above says how")

    async def _live(self, entered: asyncio.Future[None]) -> None:
        try:
            await self._node.open()
            async with contextlib.AsyncExitStack() as stack:
                for declared in self._application.lifespans:
                    await stack.enter_async_context(declared.enter())
                entered.set_result(None)
                await asyncio.get_running_loop().create_future()
        except (asyncio.CancelledError, *_NOT_HANDLERS):
            raise
        except BaseException as error:  # noqa: BLE001 - the program's
            logger.error("a lifespan of the program failed\n%(traceback)s", {"traceback": _explained(error)})  # noqa: TRY400

    async def answer(self, raw: Any, seconds_left: float) -> dict[str, Any]:
        """What API Gateway is answered to an event.

        Args:
            seconds_left: after these Lambda ends the process.

        Raises:
            HandlerFailed: the handler did, or there is none.
        """
        await self.open()
        try:
            event = read_proxy_event(raw)
            if self._is_let_in(event):
                return {"statusCode": 200}
            handler = self._handler(event)
        except (NotAnEvent, ConfigurationError) as error:
            logger.error("an event was not handled: %s", error)  # noqa: TRY400
            raise HandlerFailed(f"{error}") from None
        if isinstance(event, AuthorizerEvent):
            call = await self._call(handler, event, lambda: decide(handler.function, event), seconds_left)
            return self._decided(handler, event, call)
        call = await self._call(handler, event, lambda: self._answered(handler, event), seconds_left)
        return self._told_of(handler, event, call)

    def _is_let_in(self, event: Event) -> bool:
        """Whether its authorizer has decided alone: its socket has a connect route without a handler then."""
        name, application = event.identity.stage, self._application
        connects = event.kind is CONNECT and not isinstance(event, AuthorizerEvent)
        return connects and name in application.authorizers and event.route not in application.handlers[name]

    def _handler(self, event: Event) -> Handler:
        stage, application = event.identity.stage, self._application
        if stage not in application.sockets:
            raise ConfigurationError(
                f"it is of the stage {stage!r}, and a stage has its socket's name; there are "
                f"{', '.join(application.sockets)}"
            )
        asking = isinstance(event, AuthorizerEvent)
        found = application.authorizers.get(stage) if asking else application.handlers[stage].get(event.route)
        if found is None:
            what = "no authorizer" if asking else f"no handler of {event.route}"
            raise ConfigurationError(f"websocket({stage!r}) has {what} in this program")
        return found

    # Running a handler: in a Task of its own, in the time that there is.

    async def _call(
        self, handler: Handler, event: Event, run: Callable[[], Awaitable[Any]], seconds_left: float
    ) -> _Call:
        call = _Call()
        others = asyncio.all_tasks()
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds_left
        task = loop.create_task(_run(call, run), context=self._context.copy())
        socket = self._application.sockets[event.identity.stage]
        most = min(socket.options.limits.handler_seconds, max(seconds_left - _LAST_SECONDS, _SHORTEST))
        await asyncio.wait({task}, timeout=most)
        if not task.done():
            call.expired = True
            task.cancel()
            _log_timeout(handler, event, most)
        await self._wait_for_left(handler, others, ends_at - loop.time() - _LAST_SECONDS / 2)
        return call

    async def _wait_for_left(self, handler: Handler, others: set[asyncio.Task[Any]], seconds_left: float) -> None:
        """For the tasks that a handler has left: when it is answered the process stands still, and they with it."""
        left = asyncio.all_tasks() - others
        if not left:
            return
        _, left = await asyncio.wait(left, timeout=min(self._seconds, max(seconds_left, _SHORTEST)))
        for where in sorted({_where(task) for task in left} - self._told):
            self._told.add(where)
            logger.warning(
                "the handler of %(route)s at %(where)s left %(task)s running: on Lambda it stands still until the next "
                "event comes, which may be never; await what must be done",
                {"route": handler.route, "where": str(handler.where), "task": where},
            )

    async def _answered(self, handler: Handler, event: Event) -> Response:
        """The handler's response, as far as API Gateway can say it; what it cannot is an error of the handler."""
        options = self._application.sockets[event.identity.stage].options
        response = await PythonIntegration(handler.function, binary=options.binary).invoke(event) or Response()
        if event.kind is CONNECT:
            return _handshake_answer(response)
        if isinstance(response.body, bytes):
            raise TypeError("the handler returned bytes; API Gateway sends texts only, so return str")
        size = len((response.body or "").encode())
        most = min(options.limits.message_bytes, limits.MESSAGE_BYTES)
        if size > most:
            raise MessageTooLarge(f"the message has {size:,} bytes; the limit message_bytes is {most:,}")
        return response

    # What came of it.

    def _told_of(self, handler: Handler, event: Event, call: _Call) -> dict[str, Any]:
        if call.error is not None and not (call.expired and isinstance(call.error, asyncio.CancelledError)):
            _log_error(handler, event, call.error)
        if call.expired:
            return _proxied(Response(504, _error_body(limits.MESSAGE_TIMEOUT, event)))
        if call.error is not None:
            raise _failed(handler, call.error)
        return {"statusCode": 200} if event.kind is DISCONNECT else _proxied(call.result)

    def _decided(self, handler: Handler, event: AuthorizerEvent, call: _Call) -> dict[str, Any]:
        error = call.error
        if call.expired:
            raise HandlerFailed("the authorizer was cancelled at its deadline")
        if error is None:
            decision: dict[str, Any] = call.result
            return decision
        if str(error) == limits.MESSAGE_UNAUTHORIZED or (isinstance(error, Refused) and error.status == 401):
            raise HandlerFailed(limits.MESSAGE_UNAUTHORIZED)
        if isinstance(error, Refused):
            logger.error(
                "the authorizer at %s failed: %s; connection %s, request %s",
                handler.where, error.reason, event.connection_id, event.request_id,
            )  # fmt: skip
        else:
            _log_error(handler, event, error)
        raise _failed(handler, error)


async def _run(call: _Call, run: Callable[[], Awaitable[Any]]) -> None:
    try:
        call.result = await run()
    except _NOT_HANDLERS:
        raise
    except BaseException as error:  # noqa: BLE001 - the handler's, be it a SystemExit
        call.error = error


def _handshake_answer(response: Response) -> Response:
    check_subprotocol(response.headers.get("sec-websocket-protocol"))
    body = response.body
    return Response(response.status, body.decode() if isinstance(body, bytes) else body, response.headers)


def _proxied(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = {"statusCode": response.status}
    if response.headers:
        answer["headers"] = {"Sec-WebSocket-Protocol": response.headers["sec-websocket-protocol"]}
    if response.body:
        answer["body"] = response.body
    return answer


def _failed(handler: Handler, error: BaseException) -> HandlerFailed:
    return HandlerFailed(f"{handler.what} at {handler.where} raised {type(error).__name__}; the log above has more")


def _error_body(message: str, event: Event) -> str:
    """As API Gateway spells it."""
    return f'{{"message": "{message}", "connectionId":"{event.connection_id}", "requestId":"{event.request_id}"}}'


def _explained(error: BaseException) -> str:
    return explain(error) if is_programs(error) else "".join(traceback.format_exception(error)).rstrip()


def _named(handler: Handler, event: Event) -> dict[str, str | float]:
    """The values by which a log of JSON names them too."""
    route = "authorizer" if isinstance(event, AuthorizerEvent) else handler.route
    return {
        "route": route, "where": str(handler.where), "connection_id": event.connection_id,
        "request_id": event.request_id,
    }  # fmt: skip


def _log_error(handler: Handler, event: Event, error: BaseException) -> None:
    logger.error(
        "the handler of %(route)s at %(where)s raised; connection %(connection_id)s, request %(request_id)s\n"
        "%(traceback)s",
        _named(handler, event) | {"traceback": _explained(error)},
    )


def _log_timeout(handler: Handler, event: Event, seconds: float) -> None:
    logger.error(
        "the handler of %(route)s at %(where)s was cancelled after %(seconds)g s (limit handler_seconds); "
        "connection %(connection_id)s, request %(request_id)s",
        _named(handler, event) | {"seconds": round(seconds, 3)},
    )


def _where(task: asyncio.Task[Any]) -> str:
    """Which function a Task runs."""
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None)
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"
