"""What a template says: Apis with their routes and stages, functions, tables, and what is not run here. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from trunkline import limits
from trunkline.model.api import Rate
from trunkline.model.functions import FunctionDefinition
from trunkline.model.tables import TableDefinition

__all__ = [
    "ApiDefinition",
    "AuthorizerDefinition",
    "Deployment",
    "IntegrationDefinition",
    "ResponseDefinition",
    "RouteDefinition",
    "StageDefinition",
    "Warned",
    "is_template",
]

_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".template"})


def is_template(file: str) -> bool:
    """Whether it names a template, by its suffix."""
    return PurePath(file).suffix in _SUFFIXES


@dataclass(frozen=True, slots=True)
class ResponseDefinition:
    """What becomes of the answers of a backend that are like this one.

    Attributes:
        key: `$default`, or what the answer's status or a function's error message must be: a text, or a regular
            expression between slashes.
        select: its template selection expression; empty for none.
        templates: mapping templates by key.
        where: file and line of its declaration.
    """

    key: str
    select: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, slots=True)
class IntegrationDefinition:
    """What is behind a route.

    Attributes:
        kind: `AWS_PROXY`, `AWS`, `HTTP`, `HTTP_PROXY` or `MOCK`. What follows `seconds` is not for `AWS_PROXY`.
        function: of `AWS_PROXY` and `AWS`, the physical name of the function; it may hold `${stageVariables.NAME}`,
            which each stage resolves. Empty for none.
        seconds: how long it may take.
        action: of `AWS`, the action of another service, such as `dynamodb:PutItem`; empty for none.
        uri: of `HTTP` and `HTTP_PROXY`, the URL; it may hold `${stageVariables.NAME}` and `{NAME}` of the path.
        method: the HTTP method.
        parameters: what goes into headers, query and path of the request, by `integration.request.PLACE.NAME`.
        select: its template selection expression; empty for none.
        templates: mapping templates by key.
        passthrough: `WHEN_NO_MATCH`, `WHEN_NO_TEMPLATES` or `NEVER`.
        responses: its integration responses.
        where: file and line of its declaration.
    """

    kind: str
    function: str = ""
    seconds: float = limits.HANDLER_SECONDS
    action: str = ""
    uri: str = ""
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)
    select: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    passthrough: str = "WHEN_NO_MATCH"
    responses: tuple[ResponseDefinition, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class RouteDefinition:
    """One route of an Api.

    Attributes:
        key: the route key.
        integration: what is behind it.
        two_way: it has a route response, so its answers go to the sender.
        where: file and line of its declaration.
        required: what a handshake must have: `route.request.header.NAME` and `route.request.querystring.NAME`.
        model_select: its model selection expression; empty for none.
        models: JSON schemas, as texts, by the key that the expression gives.
    """

    key: str
    integration: IntegrationDefinition
    two_way: bool = False
    where: str = ""
    required: tuple[str, ...] = ()
    model_select: str = ""
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuthorizerDefinition:
    """The authorizer of an Api's `$connect`.

    Attributes:
        function: physical name of its function; see `IntegrationDefinition.function`.
        identity: its identity sources, as AWS writes them.
        where: file and line of its declaration.
    """

    function: str
    identity: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class StageDefinition:
    """A stage of an Api.

    Attributes:
        name: the URL's first path segment.
        variables: its stage variables.
        rate: of all its requests, from its default route settings; None for none.
        route_rates: by route key.
        where: file and line of its declaration.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    rate: Rate | None = None
    route_rates: Mapping[str, Rate] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, slots=True)
class ApiDefinition:
    """A WebSocket Api.

    Attributes:
        logical_id: what its template calls it.
        name: its name.
        api_id: ten letters and digits; the same for the same template and logical id.
        select: its route selection expression.
        where: file and line of its declaration.
    """

    logical_id: str
    name: str
    api_id: str
    select: str
    routes: tuple[RouteDefinition, ...] = ()
    authorizer: AuthorizerDefinition | None = None
    stages: tuple[StageDefinition, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a template says and that is not done here.

    Attributes:
        where: file and line.
        text: what it is, and what happens instead.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A template, resolved.

    Attributes:
        not_run: logical id and type of every resource that is accepted and not run here.
        outputs: the template's outputs, those that can be resolved.
        warnings: what it says and is not done here.
    """

    apis: tuple[ApiDefinition, ...] = ()
    functions: tuple[FunctionDefinition, ...] = ()
    tables: tuple[TableDefinition, ...] = ()
    not_run: tuple[tuple[str, str], ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
