"""A template, read and compiled: what a gateway serves of it, at which path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline import limits
from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.gateway.authorizers import LambdaAuthorizer
from trunkline.integrations.lambda_function import LambdaIntegration
from trunkline.integrations.validated import ValidatedIntegration
from trunkline.model.api import (
    CONNECT_ROUTE,
    DISCONNECT_ROUTE,
    CompiledApi,
    CompiledAuthorizer,
    CompiledRoute,
    Limits,
    execute_arn,
)
from trunkline.model.expressions import compile_selector
from trunkline.model.functions import Invocation, InvocationRefused, Invoker
from trunkline.model.identity_sources import parse_identity_sources
from trunkline.templates import load_template

if TYPE_CHECKING:
    from trunkline.backends import Backends
    from trunkline.config import Settings
    from trunkline.gateway.throttling import Throttling
    from trunkline.integrations.base import Integration
    from trunkline.model.deployment import (
        ApiDefinition,
        AuthorizerDefinition,
        Deployment,
        IntegrationDefinition,
        RouteDefinition,
        StageDefinition,
    )

__all__ = ["compile_deployment", "load_deployment"]

_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")


def load_deployment(file: Path, settings: Settings) -> Deployment:
    """What a template says, with at least one Api.

    Raises:
        ConfigurationError: it cannot be read, or has none.
    """
    deployment = load_template(
        file,
        settings.parameter,
        region=settings.region,
        account=settings.account,
        imports=settings.import_value,
        code_root=None if settings.code_root is None else Path(settings.code_root),
    )
    if not deployment.apis:
        elsewhere = next((f"; {one}" for one in deployment.warnings if "not in this template" in one.text), "")
        raise ConfigurationError(
            f"{file} has no WebSocket Api; expected an AWS::ApiGatewayV2::Api with ProtocolType WEBSOCKET, or an "
            f"AWS::Serverless::WebSocketApi{elsewhere}"
        )
    return deployment


def compile_deployment(
    deployment: Deployment,
    functions: Mapping[str, Invoker],
    settings: Settings,
    throttling: Throttling,
    backends: Backends,
) -> dict[str, CompiledApi]:
    """What is served, by the path that it is served at: `{stage}`, or `{stage}-{logical id}` for a second of that name.

    Args:
        functions: by physical name.
        backends: makes what is behind integrations that are not `AWS_PROXY`.

    Raises:
        ConfigurationError: an expression of the template cannot be.
    """
    served: dict[str, CompiledApi] = {}
    for api in deployment.apis:
        for stage in api.stages:
            path = f"{stage.name}-{api.logical_id}" if stage.name in served else stage.name
            served[path] = throttling.applied(_compiled(api, stage, functions, settings, backends))
    return served


def _compiled(
    api: ApiDefinition, stage: StageDefinition, functions: Mapping[str, Invoker], settings: Settings, backends: Backends
) -> CompiledApi:
    routes = {route.key: _route(route, stage, functions, backends) for route in api.routes}
    connect, disconnect = routes.pop(CONNECT_ROUTE, None), routes.pop(DISCONNECT_ROUTE, None)
    try:
        select = compile_selector(api.select)
    except DeclarationError as error:
        raise ConfigurationError(f"{api.where}: {error}") from None
    return CompiledApi(
        name=api.logical_id,
        api_id=api.api_id,
        stage=stage.name,
        select=select,
        routes=routes,
        connect=connect,
        disconnect=disconnect,
        authorizer=None if api.authorizer is None else _authorizer(api.authorizer, stage, functions),
        ordered=False,  # Lambda runs the messages of one connection side by side
        best_effort=True,
        limits=replace(Limits(), **settings.limit),  # type: ignore[arg-type]
        execute_arn=execute_arn(settings.region, settings.account),
        stage_variables=stage.variables,
        header_bytes=limits.AWS_HEADER_BYTES,
        rate=stage.rate,
        domain_name=f"{api.api_id}.execute-api.{settings.region}.amazonaws.com",
    )


def _route(
    route: RouteDefinition, stage: StageDefinition, functions: Mapping[str, Invoker], backends: Backends
) -> CompiledRoute:
    integration = _integration(route.integration, stage, functions, backends)
    try:
        if route.models:
            integration = ValidatedIntegration(integration, route.model_select, route.models)
        required = parse_identity_sources(route.required)
    except DeclarationError as error:
        raise ConfigurationError(f"{route.where}: {error}") from None
    rate = stage.route_rates.get(route.key)
    return CompiledRoute(
        route.key, integration.invoke, route.where, two_way=route.two_way, rate=rate, required=required
    )  # fmt: skip


def _integration(
    definition: IntegrationDefinition, stage: StageDefinition, functions: Mapping[str, Invoker], backends: Backends
) -> Integration:
    function = _function(definition.function, stage, functions) if definition.function else None
    if definition.kind == "AWS_PROXY" and function is not None:
        return LambdaIntegration(function, seconds=definition.seconds)
    try:
        return backends.integration(replace(definition, uri=_url(definition, stage)), function)
    except DeclarationError as error:
        raise ConfigurationError(f"{definition.where}: {error}") from None


def _url(definition: IntegrationDefinition, stage: StageDefinition) -> str:
    for name in _VARIABLE.findall(definition.uri):
        if name not in stage.variables:
            told = f"IntegrationUri has ${{stageVariables.{name}}}, and stage {stage.name} has no variable {name}"
            raise DeclarationError(told)
    return _resolved(definition.uri, stage)


def _authorizer(
    authorizer: AuthorizerDefinition, stage: StageDefinition, functions: Mapping[str, Invoker]
) -> CompiledAuthorizer:
    try:
        identity = parse_identity_sources(authorizer.identity)
    except DeclarationError as error:
        raise ConfigurationError(f"{authorizer.where}: {error}") from None
    function = _function(authorizer.function, stage, functions)
    return CompiledAuthorizer(LambdaAuthorizer(function).decide, authorizer.where, identity)


def _function(name: str, stage: StageDefinition, functions: Mapping[str, Invoker]) -> Invoker:
    resolved = _resolved(name, stage)
    function = functions.get(resolved)
    return _Missing(resolved) if function is None else function


def _resolved(text: str, stage: StageDefinition) -> str:
    return _VARIABLE.sub(lambda found: stage.variables.get(found[1], ""), text)


class _Missing:
    """A function that the template names and does not have."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def invoke(self, payload: bytes) -> Invocation:
        raise InvocationRefused(f"{self.name!r} is no function of the template that can be run here")
