"""`/{stage}/@connections/{id}`: POST sends to a connection, GET asks about it, DELETE closes it.

Statuses, headers and bodies are API Gateway's. A call about a connection of this node is answered at once; the others
go through the seam of connections.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from trunkline import limits
from trunkline.errors import InvalidConnectionId, SendError, Throttled
from trunkline.gateway.answers import (
    Answer,
    denied,
    described,
    failure,
    forbidden,
    gone,
    internal_error,
    refused,
)
from trunkline.gateway.callers import Callers, is_by_a_page
from trunkline.gateway.keys import needs_keys
from trunkline.gateway.signatures import SignatureError, Verifier
from trunkline.gateway.stages import EXECUTE_API, Stage, find_stage, is_served
from trunkline.model.policies import Decision, evaluate
from trunkline.wire.frames import check_message_size, encode_message

if TYPE_CHECKING:
    from trunkline.connections.base import Connections, Registry, Sink
    from trunkline.gateway.admission import Admission
    from trunkline.gateway.request_reader import HttpRequest
    from trunkline.model.api import CompiledApi

__all__ = ["Later", "Management", "is_management"]

logger = logging.getLogger("trunkline.gateway")

Later: TypeAlias = Callable[[], Awaitable[Answer]]
"""What to call and wait for, to get an answer."""

_CONNECTIONS = frozenset({"@connections", "%40connections"})
_ACTION = "execute-api:ManageConnections"
_ANY_CONNECTION = "@connections/{connectionId}"  # literally so: a policy cannot name a connection
_METHODS = frozenset({"POST", "GET", "DELETE"})


class _Refusal(Exception):  # noqa: N818
    """The call ends with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class Management:
    """The management API of a gateway.

    Args:
        connections: the seam of connections.
        registry: those of this node.
        check_id: raises InvalidConnectionId for an id that no gateway made.
        verifier: knows who may call.
        admission: knows who is at the other end.
        verifying: callers of this machine, too, must sign. Others must always.
        hosts: by which names it may be called, besides those of this machine and of API Gateway.
        foreign: a call of this machine to an Api that is served nowhere here is for the stage of its path: code of
            others has the address of an Api written down that it was once deployed as.
    """

    def __init__(
        self,
        connections: Connections,
        registry: Registry,
        check_id: Callable[[str], object],
        verifier: Verifier,
        admission: Admission,
        *,
        verifying: bool = False,
        hosts: Sequence[str] = (),
        foreign: bool = False,
    ) -> None:
        self._foreign = foreign
        self._connections = connections
        self._registry = registry
        self._check_id = check_id
        self._verifier = verifier
        self._admission = admission
        self._callers = Callers(admission, EXECUTE_API, verifying=verifying, hosts=hosts)
        self._host = self._callers.host

    def respond(self, request: HttpRequest, stages: Mapping[str, Stage]) -> Answer | Later:
        """The answer, or what to call and wait for to get it."""
        try:
            api, connection_id = self._admit(request, stages)
        except _Refusal as refusal:
            return refusal.answer
        if api.calls is not None and not api.calls.takes(request.peer):
            return failure(Throttled(), connection_id)
        try:
            sink = self._registry.find(api.name, connection_id)
            if sink is None:
                return partial(self._elsewhere, api.name, connection_id, request.method, request.body)
            return _here(sink, request.method, request.body)
        except SendError as error:
            return failure(error, connection_id)

    async def _elsewhere(self, api: str, connection_id: str, method: str, body: bytes) -> Answer:
        """The same of a connection that is not on this node, if it is anywhere."""
        try:
            if method == "POST":
                return _sent(await self._connections.send(api, connection_id, _text(body)))
            if method == "GET":
                return described(await self._connections.info(api, connection_id))
            closing = self._connections.close(api, connection_id, limits.CLOSE_NORMAL, limits.REASON_DELETED)
            return _closed(await closing)
        except SendError as error:
            return failure(error, connection_id)
        except Exception:
            logger.exception("%s of a connection failed", method)
            return internal_error()

    # Who may call.

    def check_public(self, host: str) -> None:
        """Raises ConfigurationError when others than this machine can come, and nobody could sign."""
        if not self._verifier.is_configured:
            raise needs_keys(host)

    def _admit(self, request: HttpRequest, stages: Mapping[str, Stage]) -> tuple[CompiledApi, str]:
        """The Api and the id of the connection that a call is about; raises _Refusal."""
        named = request.named
        host = self._host(named.get("host", ""))
        if host is None or is_by_a_page(named):
            raise _Refusal(forbidden())
        path = _one_slash(request.path)
        parts = path.split("/")
        if len(parts) != 4 or parts[2] not in _CONNECTIONS or not all(parts[1:]) or request.method not in _METHODS:
            raise _Refusal(refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token"))
        stage = find_stage(stages, host.api_id, parts[1]) or self._foreign_stage(stages, host.api_id, parts[1], request)
        if stage is None:
            raise _Refusal(forbidden())
        connection_id = parts[3].replace("%3D", "=")  # what clients write, and cheaper than to decode everything
        if "%" in connection_id:
            connection_id = unquote(parts[3])
        if host.is_public or not self._callers.trusts(request):
            self._authenticate(request, path, stage.api, connection_id)
        return stage.api, connection_id

    def _foreign_stage(self, stages: Mapping[str, Stage], api_id: str, name: str, request: HttpRequest) -> Stage | None:
        if not self._foreign or is_served(stages, api_id):
            return None
        return stages.get(name) if self._callers.trusts(request) else None

    def _authenticate(self, request: HttpRequest, path: str, api: CompiledApi, connection_id: str) -> None:
        try:
            key = self._verifier.verify(request.method, path, request.query, request.headers, request.body)
            self._check_id(connection_id)  # before the policy is asked, as API Gateway does it
        except SignatureError as error:
            raise _Refusal(refused(403, error.kind, error.message)) from None
        except InvalidConnectionId as error:
            raise _Refusal(failure(error, connection_id)) from None
        if key.policy is not None:
            context = self._callers.context(request)
            resource = f"{api.api_id}/{api.stage}/{request.method}/{_ANY_CONNECTION}"
            decision = evaluate(key.policy, _ACTION, f"{api.execute_arn}:{resource}", context)
            if decision is not Decision.ALLOW:
                raise _Refusal(denied(key, _ACTION, f"{_masked(api.execute_arn)}:{resource}", decision))


def _one_slash(path: str) -> str:
    """A path as it is signed: an endpoint that ends with a slash has a second one behind it."""
    if "//" not in path:
        return path
    return path.replace("//@connections", "/@connections").replace("//%40connections", "/%40connections")


def _masked(arn: str) -> str:
    """Of the account, which is its end, the last four digits are shown."""
    front, _, account = arn.rpartition(":")
    return f"{front}:{'*' * 8}{account[-4:]}"


def is_management(path: str) -> bool:
    """Whether a raw path is one of this API's, right or wrong."""
    return "/@connections" in path or "/%40connections" in path


# What is done.


def _here(sink: Sink, method: str, body: bytes) -> Answer:
    if method == "POST":
        text = _text(body)
        frame = encode_message(text)
        check_message_size(text, frame, sink.message_bytes)
        return Answer(200) if sink.send(frame) else gone()
    if method == "GET":
        return described(sink.info())
    return _closed(sink.close(limits.CLOSE_NORMAL, limits.REASON_DELETED))


def _text(body: bytes) -> str:
    """Always a text, whatever the content type says; what is no UTF-8 is U+FFFD."""
    return body.decode("utf-8", "replace")


def _sent(accepted: bool) -> Answer:
    return Answer(200) if accepted else gone()


def _closed(closing: bool) -> Answer:
    return Answer(204) if closing else gone()
