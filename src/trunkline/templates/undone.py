"""What a template says of a resource that is not done here, though the resource is run or could call what is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from trunkline.model.deployment import Warned
from trunkline.templates.resource import Resource

__all__ = ["CALLERS", "warn_of_undone"]


class _Undone(NamedTuple):
    """What is not done, and whether a property asks for it."""

    text: str
    is_asked: Callable[[Any], bool] = bool


def _says(name: str, *expected: str) -> Callable[[Any], bool]:
    """Whether a mapping has one of some texts."""
    return lambda value: isinstance(value, dict) and value.get(name) in expected


def _logs(settings: Any) -> bool:
    """Whether the settings of a stage's routes ask for a log."""
    if not isinstance(settings, dict):
        return False
    is_traced = str(settings.get("DataTraceEnabled", False)).lower() == "true"
    return is_traced or settings.get("LoggingLevel") in {"ERROR", "INFO"}


def _log_somewhere(settings: Any) -> bool:
    return isinstance(settings, dict) and any(_logs(each) for each in settings.values())


def _calls_functions(subscriptions: Any) -> bool:
    return isinstance(subscriptions, list) and any(_says("Protocol", "lambda")(one) for one in subscriptions)


_EVENTS = "its events do not happen here"
_LOG = "execution logs are not written here"
_STREAM = "no function is called with its records here"
_TABLE = {
    "ImportSourceSpecification": _Undone("its items are not brought here"),
    "KinesisStreamSpecification": _Undone(_STREAM),
    "StreamSpecification": _Undone(_STREAM),
}
_CALLERS = {
    "AWS::Cognito::UserPool": {"LambdaConfig": _Undone(_EVENTS)},
    "AWS::S3::Bucket": {
        "NotificationConfiguration": _Undone(_EVENTS, lambda v: isinstance(v, dict) and "LambdaConfigurations" in v)
    },
    "AWS::SNS::Topic": {"Subscription": _Undone(_EVENTS, _calls_functions)},
}
CALLERS = frozenset(_CALLERS)
"""Kinds of resources that are not run and call functions by a property of their own."""
_UNDONE: dict[str, dict[str, _Undone]] = {
    "AWS::ApiGatewayV2::Integration": {
        "ContentHandlingStrategy": _Undone(
            "what is sent is not converted here", lambda value: value == "CONVERT_TO_BINARY"
        ),
        "TlsConfig": _Undone("the name in a certificate is that of the URL here"),
    },
    "AWS::ApiGatewayV2::IntegrationResponse": {
        "ContentHandlingStrategy": _Undone(
            "what is answered is not converted here", lambda value: value in {"CONVERT_TO_BINARY", "CONVERT_TO_TEXT"}
        ),
        "ResponseParameters": _Undone("they are not set here"),
    },
    "AWS::ApiGatewayV2::RouteResponse": {
        "ResponseModels": _Undone("answers are not checked here"),
        "ResponseParameters": _Undone("they are not checked here"),
    },
    "AWS::ApiGatewayV2::Stage": {
        "ClientCertificateId": _Undone("client certificates are not sent here"),
        "DefaultRouteSettings": _Undone(_LOG, _logs),
        "RouteSettings": _Undone(_LOG, _log_somewhere),
    },
    "AWS::DynamoDB::GlobalTable": _TABLE,
    "AWS::DynamoDB::Table": _TABLE,
    "AWS::Lambda::Function": {
        "CapacityProviderConfig": _Undone("functions run on this machine here"),
        "DeadLetterConfig": _Undone("events that failed are not kept here"),
        "DurableConfig": _Undone("executions are not durable here"),
        "EphemeralStorage": _Undone("the room for temporary files is not bounded here"),
        "FileSystemConfigs": _Undone("file systems are not mounted here"),
        "TenancyConfig": _Undone("tenants share workers here"),
        "TracingConfig": _Undone("traces are not kept here", _says("Mode", "Active")),
    },
    **_CALLERS,
}


def warn_of_undone(resources: Iterable[Resource], warnings: list[Warned]) -> None:
    """Say what is not done, once for all resources that ask for the same, at the line of the first."""
    asking: dict[tuple[str, str], list[Resource]] = {}
    for resource in resources:
        for name, undone in _UNDONE.get(resource.kind, {}).items():
            if undone.is_asked(resource.properties.get(name)):
                asking.setdefault((name, undone.text), []).append(resource)
    for (name, text), those in asking.items():
        which = ", ".join(resource.logical_id for resource in those)
        warnings.append(Warned(those[0].where_of(name), f"{name} of {which}: {text}"))
