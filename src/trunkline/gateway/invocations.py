"""Lambda's Invoke API: `POST /2015-03-31/functions/{name or ARN}/invocations`.

Functions call each other with it, and tests play whatever else invokes functions in AWS. Statuses, headers and
bodies are Lambda's. There is one version of each function: a qualifier is taken, and means it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import uuid4

import msgspec

from trunkline.gateway.answers import denied, forbidden, refused
from trunkline.gateway.callers import Callers, is_by_a_page
from trunkline.gateway.http import HttpResponse
from trunkline.gateway.signatures import SignatureError, Verifier
from trunkline.model.functions import InvocationRefused
from trunkline.model.policies import Decision, evaluate

if TYPE_CHECKING:
    from trunkline.gateway.admission import Admission
    from trunkline.gateway.request_reader import HttpRequest
    from trunkline.model.functions import Invoker

__all__ = ["Invocations", "is_invocation", "payload_too_large"]

logger = logging.getLogger("trunkline.gateway")

_PREFIX = "/2015-03-31/functions/"
_PATH = re.compile(re.escape(_PREFIX) + r"([^/]+)/invocations/?")
_NAME = re.compile(
    r"(?:(?:arn:[a-z-]+:lambda:[a-z0-9-]+:)?[0-9]{12}:function:)?"  # whose it is does not matter: all are ours
    r"([A-Za-z0-9_-]+)(?::([$A-Za-z0-9_-]+))?"
)
_AWS_HOST = re.compile(r"lambda\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_ACTION = "lambda:InvokeFunction"
_TYPES = ("Event", "RequestResponse", "DryRun")
_EVENTS = 256  # in flight at a time; each holds a payload


class Invocations:
    """The Invoke API of a gateway.

    Args:
        functions: by name; looked into at each call, so what changes in it counts from then on.
        verifier: knows who may call; of the service `lambda`.
        admission: knows who is at the other end.
        arn: what stands in front of a function's name in its ARN, such as `arn:aws:lambda:us-east-1:123456789012`.
        verifying: callers of this machine, too, must sign. Others must always.
        hosts: by which names it may be called, besides those of this machine and of Lambda.
    """

    def __init__(
        self,
        functions: Mapping[str, Invoker],
        verifier: Verifier,
        admission: Admission,
        *,
        arn: str,
        verifying: bool = False,
        hosts: Sequence[str] = (),
    ) -> None:
        self._functions = functions
        self._verifier = verifier
        self._arn = arn
        self._callers = Callers(admission, _AWS_HOST, verifying=verifying, hosts=hosts)
        self._events: set[asyncio.Task[None]] = set()

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request whose path `is_invocation`."""
        host = self._callers.host(request.header("host") or "")
        if host is None or is_by_a_page(request.named):
            return forbidden()
        match = _PATH.fullmatch(request.path)
        named = None if match is None else _NAME.fullmatch(unquote(match[1]))
        if named is None or request.method != "POST":
            return _error(404, "UnknownOperationException", "only POST to functions/{name}/invocations is served here")
        arn = f"{self._arn}:function:{named[1]}"
        if host.is_public or not self._callers.trusts(request):
            refusal = self._authenticate(request, arn)
            if refusal is not None:
                return refusal
        function = self._functions.get(named[1])
        if function is None:
            return _error(404, "ResourceNotFoundException", f"Function not found: {arn}{_qualifier(named, request)}")
        return await self._invoke(function, request)

    async def close(self, seconds: float) -> None:
        """Let the events that are being handled end within a time; what still runs is cancelled."""
        if self._events:
            await asyncio.wait(self._events, timeout=seconds)
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)

    def _authenticate(self, request: HttpRequest, arn: str) -> HttpResponse | None:
        try:
            key = self._verifier.verify(request.method, request.path, request.query, request.headers, request.body)
        except SignatureError as error:
            return refused(403, error.kind, error.message)
        if key.policy is None:
            return None
        decision = evaluate(key.policy, _ACTION, arn, self._callers.context(request))
        return None if decision is Decision.ALLOW else denied(key, _ACTION, arn, decision)

    async def _invoke(self, function: Invoker, request: HttpRequest) -> HttpResponse:
        payload = request.body or b"{}"
        kind = request.header("x-amz-invocation-type") or "RequestResponse"
        if kind not in _TYPES:
            known = ", ".join(_TYPES)
            return _error(400, "InvalidParameterValueException", f"InvocationType is {kind!r}; expected one of {known}")
        if (wrong := _what_is_wrong(payload)) is not None:
            return _error(400, "InvalidRequestContentException", f"Could not parse request body into json: {wrong}")
        if kind == "DryRun":
            return _success(204)
        if kind == "Event":
            return self._start(function, payload)
        return await _answered(function, payload)

    def _start(self, function: Invoker, payload: bytes) -> HttpResponse:
        if len(self._events) >= _EVENTS:
            return _throttled(f"{_EVENTS} events are being handled")
        task = asyncio.get_running_loop().create_task(_handle(function, payload))
        self._events.add(task)
        task.add_done_callback(self._events.discard)
        return _success(202)


def is_invocation(path: str) -> bool:
    """Whether a raw path is one of this API's, right or wrong."""
    return path.startswith(_PREFIX)


def payload_too_large(most: int) -> HttpResponse:
    """For a payload over the limit."""
    why = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
    return _error(413, "RequestTooLargeException", why)


def _qualifier(named: re.Match[str], request: HttpRequest) -> str:
    """What a caller asked for besides the name, as it stands behind an ARN."""
    given = dict(part.partition("=")[::2] for part in request.query.split("&"))
    qualifier = named[2] or unquote(given.get("Qualifier", ""))
    return f":{qualifier}" if qualifier else ""


def _what_is_wrong(payload: bytes) -> str | None:
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    return None


async def _answered(function: Invoker, payload: bytes) -> HttpResponse:
    try:
        answer = await function.invoke(payload)
    except InvocationRefused as error:
        return _throttled(str(error))
    except Exception:
        logger.exception("an invocation of %s failed", function.name)
        return _error(500, "ServiceException", "Service error.")
    failed = {} if answer.function_error is None else {"X-Amz-Function-Error": answer.function_error}
    return _success(200, answer.payload, {"X-Amz-Executed-Version": "$LATEST", **failed})


async def _handle(function: Invoker, payload: bytes) -> None:
    """Run a function whose answer nobody waits for."""
    try:
        answer = await function.invoke(payload)
    except InvocationRefused as error:
        logger.error("an event for %s was not handled: %s", function.name, error)  # noqa: TRY400
    except Exception:
        logger.exception("an event for %s was not handled", function.name)
    else:
        if answer.function_error is not None:
            text = answer.payload[:1024].decode("utf-8", "replace")
            logger.error("an event for %s was handled with an error: %s", function.name, text)


def _success(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> HttpResponse:
    named = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid4()), **(headers or {})}
    return HttpResponse(status, body, named)


def _throttled(why: str) -> HttpResponse:
    return _error(429, "TooManyRequestsException", why, member="message", reason="CallerRateLimitExceeded")


def _error(status: int, kind: str, message: str, *, member: str = "Message", reason: str | None = None) -> HttpResponse:
    about = {"Type": "User" if status < 500 else "Service", member: message}
    if reason is not None:
        about = {"Reason": reason, **about}
    return _success(status, json.dumps(about).encode(), {"x-amzn-ErrorType": kind})
