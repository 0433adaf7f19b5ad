"""AWS Signature Version 4 as a server checks it, in a header or in the query.

Nothing that a caller says of the scope is taken from it: algorithm, service and terminator are fixed, the region is
ours, the day is that of the request's own time. What is signed is what stood on the wire, the path encoded once more.
The answers are AWS's; an unknown key costs as much as a wrong signature.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from trunkline import clock
from trunkline.gateway.keys import Key

__all__ = ["SignatureError", "Verifier"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_SKEW_SECONDS = 300
_EXPIRES_SECONDS = 604_800
_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_FORM = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_ADDED_ON_THE_WAY = frozenset({"x-amz-cf-id"})  # by CloudFront, behind the signer's back
_IN_QUERY = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")

_INCOMPLETE = "IncompleteSignatureException"
_INVALID = "InvalidSignatureException"
_HASHED = "ashed with SHA-256 and encoded with Base64)"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class SignatureError(Exception):
    """Who calls is not known.

    Attributes:
        kind: AWS's name of the error.
        message: AWS's text.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Verifier:
    """Checks signatures of known keys, for one region and service.

    Args:
        keys: whose signatures are known; None where nobody has said it yet.
        region, service: the only ones that a signature may be for.
    """

    def __init__(self, keys: Iterable[Key] | None, region: str, service: str = "execute-api") -> None:
        self.is_configured = keys is not None
        self._keys = {key.access_key_id: key for key in keys or ()}
        self._region = region
        self._service = service
        self._nobody = Key("", secrets.token_hex(20), secrets.token_hex(20))

    def verify(self, method: str, path: str, query: str, headers: Sequence[tuple[str, str]], body: bytes) -> Key:
        """The key that a request is signed with.

        Args:
            path, query: raw, as they stood on the wire.

        Raises:
            SignatureError: it is not signed, or not with a key that is known here.
        """
        named = _by_name(headers)
        pairs = _pairs(query)
        claim = _claim_of_query(pairs) if any(name in _IN_QUERY for name, _ in pairs) else _claim_of_header(named)
        if claim.in_query and "authorization" in named:
            raise SignatureError(_INVALID, "Only one of the Authorization header and the query string may be signed.")
        _check_scope(claim, self._region, self._service)
        _check_time(claim, clock.now_ms() / 1000)
        key = self._keys.get(claim.access_key_id)
        token = claim.token if claim.in_query else "".join(named.get("x-amz-security-token", ()))
        right = _is_right(key or self._nobody, claim, _canonical(method, path, pairs, named, body, claim), token)
        if key is None or not right[0]:
            raise SignatureError(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if not right[1]:
            raise SignatureError(_INVALID, _MISMATCH)
        return key


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of its signature."""

    access_key_id: str
    scope: tuple[str, ...]  # day, region, service, terminator
    signed: tuple[str, ...]  # names of headers
    signature: str
    stamp: str
    token: str = ""
    expires: int = _SKEW_SECONDS
    in_query: bool = False


# What a request says.


def _claim_of_header(named: Mapping[str, list[str]]) -> _Claim:
    values = named.get("authorization", [])
    if not values:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = values[0].partition(" ")
    if algorithm != _ALGORITHM:
        raise SignatureError(_INCOMPLETE, _no_pair(values[0]))
    found: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in found:
            raise SignatureError(_INCOMPLETE, _no_pair(values[0]))
        found[name] = value
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not found.get(name)
    ]
    dates = named.get("x-amz-date", [])
    if len(dates) != 1:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        raise SignatureError(_INCOMPLETE, " ".join([*missing, f"(H{_HASHED} Authorization={_hashed(values[0])}"]))
    return _claim(found["Credential"], found["SignedHeaders"], found["Signature"], dates[0])


def _claim_of_query(pairs: Sequence[tuple[str, str]]) -> _Claim:
    found = {name: value for name, value in pairs if name.startswith("X-Amz-")}
    if len(found) != sum(name.startswith("X-Amz-") for name, _ in pairs):
        raise SignatureError(_INVALID, _MISMATCH)  # one stands there twice
    missing = [
        f"AWS query-string parameters must include '{name}'."
        for name in (*_IN_QUERY, "X-Amz-Expires")
        if not found.get(name)
    ]
    if missing:
        raise SignatureError(_INCOMPLETE, " ".join([*missing, "Re-examine the query-string parameters."]))
    if found["X-Amz-Algorithm"] != _ALGORITHM:
        raise SignatureError(_INCOMPLETE, f'X-Amz-Algorithm only supports "{_ALGORITHM}"')
    expires = found["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", expires) or not 0 < int(expires) <= _EXPIRES_SECONDS:
        raise SignatureError(_INCOMPLETE, f"X-Amz-Expires must be between 1 and {_EXPIRES_SECONDS} seconds")
    return _claim(
        found["X-Amz-Credential"], found["X-Amz-SignedHeaders"], found["X-Amz-Signature"], found["X-Amz-Date"],
        token=found.get("X-Amz-Security-Token", ""), expires=int(expires), in_query=True,
    )  # fmt: skip


def _claim(credential: str, signed: str, signature: str, stamp: str, **more: Any) -> _Claim:
    access_key_id, *scope = credential.split("/")
    if len(scope) != 4:
        raise SignatureError(
            _INCOMPLETE, "Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/term"
        )
    return _Claim(access_key_id, tuple(scope), tuple(signed.split(";")), signature, stamp, **more)


def _no_pair(header: str) -> str:
    return f"Invalid key=value pair (missing equal-sign) in Authorization header (h{_HASHED}: '{_hashed(header)}'."


def _hashed(header: str) -> str:
    # Whatever it is, it may be a secret.
    return base64.b64encode(sha256(header.encode("latin-1", "replace")).digest()).decode()


# What has to be so, whoever signed.


def _check_scope(claim: _Claim, region: str, service: str) -> None:
    day, given_region, given_service, terminator = claim.scope
    wrong = []
    if given_region != region:
        wrong.append(f"Credential should be scoped to a valid region, not '{given_region[:64]}'.")
    if given_service != service:
        wrong.append(f"Credential should be scoped to correct service: '{service}'.")
    if terminator != _TERMINATOR:
        wrong.append(f"Credential should be scoped with a valid terminator: '{_TERMINATOR}'.")
    if day != claim.stamp[:8]:
        wrong.append("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
    if wrong:
        raise SignatureError(_INVALID, " ".join(wrong))


def _check_time(claim: _Claim, now: float) -> None:
    signed_at = _seconds(claim.stamp)
    if now > signed_at + claim.expires:
        bound, sign, minutes = _stamp(now - claim.expires), "-", claim.expires // 60
        message = f"Signature expired: {claim.stamp} is now earlier than {bound} ({_stamp(now)} {sign} {minutes} min.)"
        raise SignatureError(_INVALID, message)
    if now < signed_at - _SKEW_SECONDS:
        bound = _stamp(now + _SKEW_SECONDS)
        message = f"Signature not yet current: {claim.stamp} is still later than {bound} ({_stamp(now)} + 5 min.)"
        raise SignatureError(_INVALID, message)


def _seconds(stamp: str) -> float:
    match = _STAMP_FORM.fullmatch(stamp)
    try:
        parts = [] if match is None else [int(part) for part in match.groups()]
        return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]
    except (TypeError, ValueError):
        raise SignatureError(_INCOMPLETE, "Date must be in ISO-8601 'basic format', such as 20150830T123600Z") from None


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_STAMP)


# What is signed.


def _is_right(key: Key, claim: _Claim, canonical: str, token: str) -> tuple[bool, bool]:
    """Whether token and signature are the key's; both are looked at, whatever the first is."""
    day, region, service, _ = claim.scope
    scope = "/".join(claim.scope)
    digest = sha256(canonical.encode("latin-1")).hexdigest()
    to_sign = f"{_ALGORITHM}\n{claim.stamp}\n{scope}\n{digest}".encode("latin-1")
    signature = hmac.digest(_signing_key(key.secret, day, region, service), to_sign, "sha256").hex()
    return (
        hmac.compare_digest((key.session_token or "").encode(), token.encode()),
        hmac.compare_digest(signature.encode(), claim.signature.encode()),
    )


@lru_cache(maxsize=256)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical(
    method: str,
    path: str,
    pairs: Sequence[tuple[str, str]],
    named: Mapping[str, list[str]],
    body: bytes,
    claim: _Claim,
) -> str:
    digest = sha256(body).hexdigest()
    _check_headers(named, claim, digest)
    lines = [f"{name}:{' '.join(named[name][0].split())}\n" for name in claim.signed]
    query = sorted((_encoded(name), _encoded(value)) for name, value in pairs if name != "X-Amz-Signature")
    return "\n".join(
        [
            method,
            quote(path.encode("latin-1"), safe="/~"),
            "&".join(f"{name}={value}" for name, value in query),
            "".join(lines),
            ";".join(claim.signed),
            digest,
        ]
    )


def _check_headers(named: Mapping[str, list[str]], claim: _Claim, digest: str) -> None:
    signed = set(claim.signed)
    if "host" not in signed:
        raise SignatureError(_INVALID, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name in named:
        if name.startswith("x-amz-") and name not in signed and name not in _ADDED_ON_THE_WAY:
            raise SignatureError(_INVALID, f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    once = len(signed) == len(claim.signed) and all(len(named.get(name, ())) == 1 for name in signed)
    declared = named.get("x-amz-content-sha256", [digest])
    if not once or declared != [digest]:
        raise SignatureError(_INVALID, _MISMATCH)


def _by_name(headers: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(value)
    return named


def _pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of a query, decoded to one character a byte."""
    parts = [part.partition("=") for part in query.split("&") if part]
    return [(_decoded(name), _decoded(value)) for name, _, value in parts]


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1")


def _encoded(text: str) -> str:
    return quote(text.encode("latin-1"), safe="~")
