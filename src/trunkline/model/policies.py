"""IAM policies: what a document allows of an action on a resource.

The language is IAM's as far as identity policies of API Gateway use it: Effect, Action or NotAction, Resource
or NotResource, and Condition with the operators of the table below. `*` and `?` match within one of an ARN's six
parts, between colons; within the last part `*` matches slashes too, as IAM has it. An explicit Deny wins.

What cannot be evaluated fails closed: an unknown operator, a policy variable or a value of the wrong kind makes
an Allow not apply and a Deny apply.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

__all__ = ["Decision", "MalformedPolicy", "evaluate"]

_ARN_PARTS = 6
_VERSIONS = ("2012-10-17", "2008-10-17")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_Test: TypeAlias = Callable[[str, str], bool]


class MalformedPolicy(ValueError):  # noqa: N818
    """The document is no policy; the message says what was expected."""


class Decision(Enum):
    """What a policy says: it allows, it forbids, or it does not say."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


def evaluate(policy: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str] = _NOTHING) -> Decision:
    """What a policy says of an action, such as "execute-api:Invoke", on the resource of an ARN.

    Args:
        context: what conditions may ask for, such as "aws:SourceIp"; the case of a key does not count.

    Raises:
        MalformedPolicy: the document is no policy, in whatever part of it.
    """
    known = {key.lower(): value for key, value in context.items()}
    applying = {part.effect for part in _statements(policy) if part.applies(action, resource, known)}
    if "Deny" in applying:
        return Decision.EXPLICIT_DENY
    return Decision.ALLOW if "Allow" in applying else Decision.IMPLICIT_DENY


@dataclass(frozen=True, slots=True)
class _Statement:
    effect: str
    actions: tuple[str, ...]
    all_actions_but: bool
    resources: tuple[str, ...]
    all_resources_but: bool
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]  # operator, key, values

    def applies(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        if any(_action_matches(text, action) for text in self.actions) == self.all_actions_but:
            return False
        try:
            if any(_resource_matches(text, resource) for text in self.resources) == self.all_resources_but:
                return False
            return all(_holds(operator, values, context.get(key)) for operator, key, values in self.conditions)
        except _Unknown:
            return self.effect == "Deny"


class _Unknown(Exception):  # noqa: N818
    """It cannot be evaluated."""


# Reading the document.


def _statements(policy: Mapping[str, Any]) -> list[_Statement]:
    if not isinstance(policy, Mapping):
        raise MalformedPolicy(f"a policy is an object; got {type(policy).__name__}")
    _check_names(policy, {"Version", "Id", "Statement"}, "a policy")
    if policy.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise MalformedPolicy(f"Version is {policy['Version']!r}; expected {' or '.join(_VERSIONS)}")
    found = policy.get("Statement")
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, list | tuple):
        raise MalformedPolicy("a policy has a Statement, which is an object or a list of them")
    return [_statement(part) for part in found]


def _statement(part: Any) -> _Statement:
    if not isinstance(part, Mapping):
        raise MalformedPolicy(f"a Statement is an object; got {type(part).__name__}")
    _check_names(
        part, {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}, "a Statement"
    )  # fmt: skip
    if part.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Effect is {part.get('Effect')!r}; expected Allow or Deny")
    actions, all_actions_but = _one_of(part, "Action", "NotAction")
    resources, all_resources_but = _one_of(part, "Resource", "NotResource")
    for text in resources:
        if text.strip("*") and not text.startswith("arn:"):
            raise MalformedPolicy(f"a Resource is {text!r}; expected an ARN or *")
    return _Statement(
        part["Effect"], actions, all_actions_but, resources, all_resources_but, _conditions(part.get("Condition", {}))
    )


def _check_names(part: Mapping[str, Any], known: set[str], what: str) -> None:
    # A name with a slip, such as Conditions, would else allow what it was to forbid.
    if unknown := [name for name in part if name not in known]:
        raise MalformedPolicy(f"{what} has {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _one_of(part: Mapping[str, Any], plain: str, negated: str) -> tuple[tuple[str, ...], bool]:
    given = [name for name in (plain, negated) if name in part]
    if len(given) != 1:
        raise MalformedPolicy(f"a Statement has {plain} or {negated}, and not both")
    return _texts(part[given[0]], given[0]), given[0] == negated


def _texts(value: Any, what: str) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(t, str) and t for t in texts):
        raise MalformedPolicy(f"{what} is {value!r}; expected a text or a list of texts")
    return tuple(texts)


def _conditions(block: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    if not isinstance(block, Mapping) or not all(isinstance(keys, Mapping) for keys in block.values()):
        raise MalformedPolicy(f"Condition is {block!r}; expected operators, each with keys and their values")
    return tuple(
        (operator, str(key).lower(), _values(value, operator))
        for operator, keys in block.items()
        for key, value in keys.items()
    )


def _values(value: Any, operator: str) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise MalformedPolicy(f"a value of {operator} is {value!r}; expected a text, a number, true or false")
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


# Matching.


def _action_matches(text: str, action: str) -> bool:
    return _matcher(text.lower()).fullmatch(action.lower()) is not None


def _resource_matches(text: str, resource: str) -> bool:
    if "${" in text:
        raise _Unknown
    if not text.strip("*"):
        return True
    parts = text.split(":", _ARN_PARTS - 1)
    parts += ["*"] * (_ARN_PARTS - len(parts))  # IAM completes an incomplete ARN so
    given = resource.split(":", _ARN_PARTS - 1)
    return len(given) == _ARN_PARTS and all(
        _matcher(part).fullmatch(one) is not None for part, one in zip(parts, given, strict=True)
    )


@lru_cache(maxsize=1024)
def _matcher(text: str) -> re.Pattern[str]:
    # What a `*` has skipped to is never tried again, so the time is linear in the text.
    first, *rest = ["".join("." if c == "?" else re.escape(c) for c in part) for part in text.split("*")]
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(first + middle + (".*" + rest[-1] if rest else ""), re.DOTALL)


# Conditions.


def _holds(operator: str, values: tuple[str, ...], given: str | None) -> bool:
    name = operator.removesuffix("IfExists")
    if name == "Null" and name == operator:
        return any((given is None) == (value.lower() == "true") for value in values)
    if name not in _OPERATORS:
        raise _Unknown
    test, negated = _OPERATORS[name]
    if given is None:
        return negated or name != operator
    try:
        return (True in [test(given, value) for value in values]) != negated  # each value is looked at
    except ValueError:
        raise _Unknown from None


def _like(given: str, value: str) -> bool:
    if "${" in value:
        raise _Unknown
    return _matcher(value).fullmatch(given) is not None


def _equal(given: str, value: str) -> bool:
    if "${" in value:
        raise _Unknown
    return given == value


def _is_in(given: str, value: str) -> bool:
    return ipaddress.ip_address(given) in ipaddress.ip_network(value, strict=False)


def _time(text: str) -> datetime:
    if re.fullmatch(r"\d+", text):
        return datetime.fromtimestamp(int(text), UTC)
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


_OPERATORS: dict[str, tuple[_Test, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (lambda given, value: _equal(given.lower(), value.lower()), False),
    "StringNotEqualsIgnoreCase": (lambda given, value: _equal(given.lower(), value.lower()), True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "Bool": (lambda given, value: given.lower() == value.lower(), False),
    "IpAddress": (_is_in, False),
    "NotIpAddress": (_is_in, True),
    "NumericEquals": (lambda given, value: float(given) == float(value), False),
    "NumericNotEquals": (lambda given, value: float(given) == float(value), True),
    "NumericLessThan": (lambda given, value: float(given) < float(value), False),
    "NumericLessThanEquals": (lambda given, value: float(given) <= float(value), False),
    "NumericGreaterThan": (lambda given, value: float(given) > float(value), False),
    "NumericGreaterThanEquals": (lambda given, value: float(given) >= float(value), False),
    "DateEquals": (lambda given, value: _time(given) == _time(value), False),
    "DateNotEquals": (lambda given, value: _time(given) == _time(value), True),
    "DateLessThan": (lambda given, value: _time(given) < _time(value), False),
    "DateLessThanEquals": (lambda given, value: _time(given) <= _time(value), False),
    "DateGreaterThan": (lambda given, value: _time(given) > _time(value), False),
    "DateGreaterThanEquals": (lambda given, value: _time(given) >= _time(value), False),
}
