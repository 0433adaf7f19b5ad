"""Integrations of a template: what is behind them, their data mappings and templates."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from trunkline import limits
from trunkline.errors import DeclarationError
from trunkline.model.deployment import IntegrationDefinition, ResponseDefinition
from trunkline.model.mapping import compile_key, compile_parameters, compile_selection
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text
from trunkline.templates.uris import function_name

__all__ = ["Integrations"]

_Warn: TypeAlias = Callable[[Resource, str, str], None]
_KINDS = ("AWS", "HTTP", "HTTP_PROXY", "MOCK")
_ACTION = re.compile(r"arn:[^:]+:apigateway:[^:]*:(?P<service>[a-z0-9.-]+):action/(?P<action>[A-Za-z]+)\Z")
_SERVICE = re.compile(r"arn:[^:]+:apigateway:[^:]*:(?P<service>[^:]+):")
_SERVICES = {"dynamodb"}
_URL = re.compile(r"(?:https?://|\$\{stageVariables\.[A-Za-z0-9_]+\})")
_PASSTHROUGH = ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")


class Integrations:
    """Reads integrations.

    Args:
        responses: the integration responses of the template.
        ref: what Ref gives of a resource.
        warn: takes what is not done here: the resource, the text, the property.
    """

    def __init__(self, responses: Iterable[Resource], ref: Callable[[str], str], warn: _Warn) -> None:
        self._ref = ref
        self._warn = warn
        self._responses: dict[str, list[Resource]] = {}
        for response in responses:
            self._responses.setdefault(response.text("IntegrationId"), []).append(response)

    def read(self, integration: Resource, key: str) -> IntegrationDefinition | None:
        """What is behind a route; None, and a warning, where nothing here can be.

        Args:
            key: of the route.

        Raises:
            ConfigurationError: with file and line.
        """
        kind = integration.text("IntegrationType")
        if kind == "AWS_PROXY":
            return self._proxy(integration, key)
        if kind not in _KINDS:
            raise integration.error(
                f"IntegrationType is {kind}; expected one of AWS_PROXY, {', '.join(_KINDS)}", "IntegrationType"
            )
        behind = self._behind(integration, kind, key)
        if behind is None:
            return None
        function, action, uri = behind
        method = integration.text("IntegrationMethod", "POST").upper()
        return IntegrationDefinition(
            kind=kind,
            function=function,
            action=action,
            uri=uri,
            method="POST" if method == "ANY" else method,
            seconds=_seconds(integration),
            parameters=_parameters(integration),
            select=_selection(integration),
            templates=_texts(integration, "RequestTemplates"),
            passthrough=_passthrough(integration),
            responses=self._responses_of(integration),
            where=integration.where,
        )

    def _proxy(self, integration: Resource, key: str) -> IntegrationDefinition | None:
        function = self._function(integration, integration.text("IntegrationUri"), key)
        if function is None:
            return None
        return IntegrationDefinition("AWS_PROXY", function, _seconds(integration), where=integration.where)

    def _function(self, integration: Resource, uri: str, key: str) -> str | None:
        function = function_name(uri)
        if function is None:
            self._warn(integration, f"{uri!r} names no Lambda function: route {key} is left out", "IntegrationUri")
        return function

    def _behind(self, integration: Resource, kind: str, key: str) -> tuple[str, str, str] | None:
        """Function, action of a service, or URL."""
        if kind == "MOCK":
            return "", "", ""
        uri = integration.text("IntegrationUri")
        if kind == "AWS":
            return self._service(integration, uri, key)
        is_url = _URL.match(uri) is not None
        if integration.text("ConnectionType", "INTERNET") == "VPC_LINK" and not is_url:
            self._warn(integration, f"nothing here is behind a VPC link: route {key} is left out", "ConnectionType")
            return None
        if not is_url:
            raise integration.error(f"IntegrationUri is {uri!r}; expected an http or https URL", "IntegrationUri")
        return "", "", uri

    def _service(self, integration: Resource, uri: str, key: str) -> tuple[str, str, str] | None:
        action = _ACTION.match(uri)
        if action is not None and action["service"] in _SERVICES:
            return "", f"{action['service']}:{action['action']}", ""
        service = _SERVICE.match(uri)
        if service is not None and service["service"] != "lambda":
            self._warn(integration, f"nothing here is behind {uri!r}: route {key} is left out", "IntegrationUri")
            return None
        function = self._function(integration, uri, key)
        return None if function is None else (function, "", "")

    def _responses_of(self, integration: Resource) -> tuple[ResponseDefinition, ...]:
        made: dict[str, ResponseDefinition] = {}
        for response in self._responses.get(self._ref(integration.logical_id), []):
            key = response.text("IntegrationResponseKey")
            if key in made:
                text = f"integration response {key} is at {made[key].where} already; expected another key"
                raise response.error(text, "IntegrationResponseKey")
            with _errors_of(response, "IntegrationResponseKey"):
                compile_key(key)
            select = _selection(response, of_response=True)
            made[key] = ResponseDefinition(key, select, _texts(response, "ResponseTemplates"), response.where)
        return tuple(made.values())


def _seconds(integration: Resource) -> float:
    milliseconds = integration.number("TimeoutInMillis", limits.HANDLER_SECONDS * 1000)
    if milliseconds <= 0:
        raise integration.error("TimeoutInMillis is 0; expected 50 to 29000", "TimeoutInMillis")
    return milliseconds / 1000


def _parameters(integration: Resource) -> dict[str, str]:
    parameters = _texts(integration, "RequestParameters")
    for target, source in parameters.items():
        with _errors_of(integration, "RequestParameters", target):
            compile_parameters({target: source})
    return parameters


def _selection(resource: Resource, *, of_response: bool = False) -> str:
    expression = resource.text("TemplateSelectionExpression", "")
    with _errors_of(resource, "TemplateSelectionExpression"):
        compile_selection(expression, of_response=of_response)
    return expression


@contextlib.contextmanager
def _errors_of(resource: Resource, *keys: str) -> Iterator[None]:
    """What is wrong inside is an error of a property."""
    try:
        yield
    except DeclarationError as error:
        raise resource.error(str(error), *keys) from None


def _texts(resource: Resource, name: str) -> dict[str, str]:
    given: Mapping[str, object] = resource.mapping(name)
    made: dict[str, str] = {}
    for key, value in given.items():
        text = as_text(value)
        if text is None:
            raise resource.error(f"{name} of {key} is a {type(value).__name__}; expected a text", name, key)
        made[key] = text
    return made


def _passthrough(integration: Resource) -> str:
    given = integration.text("PassthroughBehavior", _PASSTHROUGH[0])
    if given not in _PASSTHROUGH:
        known = ", ".join(_PASSTHROUGH)
        raise integration.error(f"PassthroughBehavior is {given!r}; expected one of {known}", "PassthroughBehavior")
    return given
