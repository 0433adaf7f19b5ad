"""What a Lambda authorizer answers, and what follows from it.

    {"principalId": "user-1", "policyDocument": {...}, "context": {"tenant": "acme", "level": 7, "admin": true}}

The policy must allow `execute-api:Invoke` on the handshake's ARN. Principal and context stay with the connection,
every value as a text: a number as it stands in the JSON, true and false as these words. As API Gateway has it, a
WebSocket's authorizer may leave out the principal, and members of the context that are null are left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from trunkline import clock, limits
from trunkline.model.api import Authorization

if TYPE_CHECKING:
    from trunkline.model.events import AuthorizerEvent

__all__ = ["Refused", "read_authorizer_output"]

_ACTION = "execute-api:Invoke"
_KINDS = {b"{": "an object", b"[": "a list", b'"': "a text", b"t": "true", b"f": "false", b"n": "null", b"": "nothing"}
_DECODING = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Refused(Exception):  # noqa: N818
    """A handshake is not let in, and its client is told so in API Gateway's words.

    Attributes:
        status: HTTP status.
        message: what the client is told.
        reason: what the log is told; empty where nothing is wrong.
    """

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(reason or message)
        self.status = status
        self.message = message
        self.reason = reason


def read_authorizer_output(payload: bytes, event: AuthorizerEvent) -> Authorization:
    """What an authorizer's answer, as JSON, means for a handshake.

    Raises:
        Refused: 403 if its policy does not allow the handshake; 500 without a message if it is no such answer.
    """
    output = _read(payload)
    context = _context(output.get("context")) | _principal(output.get("principalId"))
    _check_policy(output.get("policyDocument"), event)
    return Authorization(context=context)


def _malformed(why: str) -> Refused:
    return Refused(500, "", f"it answered what is no authorizer's answer: {why}")


def _read(payload: bytes) -> dict[str, msgspec.Raw]:
    if len(payload) > limits.AUTHORIZER_BYTES:
        raise _malformed(f"{len(payload):,} bytes; the limit is {limits.AUTHORIZER_BYTES:,}")
    output = _members(payload, "an answer")
    if "isAuthorized" in output:
        raise _malformed("it has isAuthorized, which only HTTP APIs know; expected policyDocument")
    return output


def _members(json: bytes | msgspec.Raw, what: str) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(json, type=dict[str, msgspec.Raw])
    except _DECODING:
        raise _malformed(f"{what} is an object; got {_shown(json)}") from None


def _context(raw: msgspec.Raw | None) -> dict[str, str]:
    if raw is None or _kind(raw) == "n":
        return {}
    texts = {name: _text(f"context[{name!r}]", value) for name, value in _members(raw, "context").items()}
    return {name: text for name, text in texts.items() if text is not None}


def _principal(raw: msgspec.Raw | None) -> dict[str, str]:
    if raw is not None and _kind(raw) in "tf":
        raise _malformed(f"principalId is a text; got {_shown(raw)}")
    text = None if raw is None else _text("principalId", raw)
    return {} if text is None else {"principalId": text}


def _text(what: str, raw: msgspec.Raw) -> str | None:
    """A scalar as a text; None for null."""
    kind = _kind(raw)
    if kind in "{[":
        raise _malformed(f"{what} is a text, a number, true or false; got {_shown(raw)}")
    if kind == "n":
        return None
    if kind != '"':
        return bytes(raw).decode()
    try:
        return msgspec.json.decode(raw, type=str)
    except _DECODING:
        raise _malformed(f"{what} is no valid text") from None


def _kind(raw: msgspec.Raw) -> str:
    """The first character says what a JSON value is."""
    return chr(bytes(raw)[0])


def _check_policy(raw: msgspec.Raw | None, event: AuthorizerEvent) -> None:
    from trunkline.model.policies import Decision, MalformedPolicy, evaluate  # programs without a policy need none

    if raw is None:
        raise _malformed("it has no policyDocument")
    try:
        decision = evaluate(msgspec.json.decode(raw), _ACTION, event.method_arn, _conditions(event))
    except (MalformedPolicy, *_DECODING) as error:
        raise _malformed(f"its policyDocument is no policy: {error}") from None
    if decision is not Decision.ALLOW:
        denied = decision is Decision.EXPLICIT_DENY
        raise Refused(403, limits.MESSAGE_DENIED if denied else limits.MESSAGE_NOT_ALLOWED)


def _conditions(event: AuthorizerEvent) -> dict[str, str]:
    """What a policy's conditions may ask for."""
    now = clock.now()
    secure = event.handshake is None or event.handshake.scheme == "https"
    known = {
        "aws:SourceIp": event.source_ip,
        "aws:SecureTransport": "true" if secure else "false",
        "aws:CurrentTime": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "aws:EpochTime": str(int(now)),
    }
    agent = event.identity.user_agent
    return known if agent is None else known | {"aws:UserAgent": agent}


def _shown(json: bytes | msgspec.Raw) -> str:
    """What kind of value it is; the value itself may be a secret."""
    return _KINDS.get(bytes(json).lstrip()[:1], "a number or no JSON")
