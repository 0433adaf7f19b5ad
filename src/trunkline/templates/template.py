"""From a template's file to what it says: the one way into this room."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.model.api import partition
from trunkline.model.deployment import ApiDefinition, Deployment, Warned
from trunkline.model.functions import FunctionDefinition
from trunkline.templates import sam
from trunkline.templates.apis import API_TYPES, Apis, is_websocket
from trunkline.templates.code import NotHere
from trunkline.templates.dependencies import check_dependencies
from trunkline.templates.document import Document
from trunkline.templates.functions import make_function
from trunkline.templates.intrinsics import Resolver
from trunkline.templates.layers import Layers
from trunkline.templates.loader import load_document
from trunkline.templates.parameters import parameters_of
from trunkline.templates.physical import stack_name
from trunkline.templates.properties import resolved
from trunkline.templates.providers import only_providers
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text, resource_path, section
from trunkline.templates.tables import make_table
from trunkline.templates.undone import CALLERS, warn_of_undone

__all__ = ["load_template"]

_FUNCTION, _LAYER = "AWS::Lambda::Function", "AWS::Lambda::LayerVersion"
_TABLES = {"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"}
_RUN = {_FUNCTION, _LAYER} | _TABLES | API_TYPES
# Nothing is missed without them.
_MOST_RESOURCES = 1000  # AWS takes 500 in a stack
_SILENT = {"AWS::Lambda::Permission", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::CDK::Metadata"}
_V2 = "AWS::ApiGatewayV2::"
_NESTED = "what is in a nested stack is not run here, and its outputs are made up; its own template can be run"
_NOT_DONE = {
    _V2 + "DomainName": "custom domain names are not served here",
    _V2 + "ApiMapping": "custom domain names are not served here",
    "AWS::Lambda::EventInvokeConfig": "failed events are not tried again, nor sent anywhere",
    "AWS::Lambda::Url": "functions have no URLs here",
    "AWS::Lambda::EventSourceMapping": "its events do not happen here",
    "AWS::Events::Rule": "its events do not happen here",
    "AWS::Scheduler::Schedule": "its events do not happen here",
    "AWS::SNS::Subscription": "its events do not happen here",
    "AWS::CloudFormation::Stack": _NESTED,
    "AWS::Serverless::Application": _NESTED,
}


def load_template(
    file: Path,
    parameters: Mapping[str, str],
    *,
    region: str,
    account: str,
    imports: Mapping[str, str] = MappingProxyType({}),
    code_root: Path | None = None,
) -> Deployment:
    """What a SAM or CloudFormation template says.

    Args:
        imports: what other stacks export, by name.
        code_root: the folder that code is in, or further down; None for the template's own.

    Raises:
        ConfigurationError: file, line, what is wrong and what was expected.
    """
    document = load_document(file)
    if code_root is not None:
        document.root = _above(file, code_root)
    try:
        return _Template(document, parameters, region, account, imports).deployment()
    except RecursionError:
        raise ConfigurationError(f"{file}:1: its resources name each other too deeply; expected fewer steps") from None


def _above(file: Path, root: Path) -> Path:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise ConfigurationError(f"--code-root {root} {what}; expected a folder that holds {file}")
    if not file.resolve().is_relative_to(root.resolve()):
        raise ConfigurationError(f"--code-root {root} does not hold {file}; expected a folder that does")
    return root


class _Template:
    def __init__(
        self, document: Document, given: Mapping[str, str], region: str, account: str, imports: Mapping[str, str]
    ) -> None:
        if "Resources" not in document.data:
            raise document.error("there are no Resources; expected a SAM or CloudFormation template")
        self._document = document
        self._warnings: list[Warned] = []
        values = parameters_of(document, given, self._warnings)
        stack = stack_name(document.file)
        values.update(_pseudo(region, account, stack))
        if len(section(document, document.data, "Resources")) > _MOST_RESOURCES:
            raise document.error(f"there are over {_MOST_RESOURCES} resources; expected fewer", "Resources")
        _check_loops(document)
        self._warn_of_transforms()
        data = document.data
        if sam.is_sam(document):
            data = sam.transformed(document, dict(values), region, self._warnings)
        self._resolver = Resolver(document, data, values, stack, imports)
        self._data = data
        self._resources = {resource.logical_id: resource for resource in self._run_here()}
        check_dependencies(document, data, self._resolver)

    def _warn_of_transforms(self) -> None:
        asked = self._document.data.get("Transform")
        for name in asked if isinstance(asked, list) else [asked]:
            if isinstance(name, str) and name not in {sam.TRANSFORM, "AWS::LanguageExtensions"}:
                text = f"transform {name} is not done here"
                self._warnings.append(Warned(self._document.where("Transform"), text))

    def deployment(self) -> Deployment:
        """The whole."""
        resolver = self._resolver
        parts = Apis(self._of(*API_TYPES), resolver.ref, self._warnings)
        apis = parts.all()
        parts.warn_of_strays({resolver.ref(name) for name in section(self._document, self._data, "Resources")})
        functions, away = self._functions(apis)
        tables = tuple(make_table(table, resolver.name(name)) for name, table in self._of(*_TABLES).items())
        self._check_names(apis, functions)
        warn_of_undone([*self._resources.values(), *self._callers()], self._warnings)
        self._warn_of_made()
        return Deployment(apis, functions, tables, self._not_run(away), self._outputs(), tuple(self._warnings))

    def _of(self, *kinds: str) -> dict[str, Resource]:
        return {name: resource for name, resource in self._resources.items() if resource.kind in kinds}

    def _run_here(self) -> Iterator[Resource]:
        for logical_id, resource in section(self._document, self._data, "Resources").items():
            path = resource_path(self._document, logical_id)
            kind = _kind(self._document, logical_id, resource, path)
            if kind in _RUN and self._resolver.exists(logical_id):
                yield self._resource(logical_id, kind, resource, path)

    def _callers(self) -> Iterator[Resource]:
        """Resources that are not run, as they are written."""
        for logical_id, resource in section(self._document, self._data, "Resources").items():
            given = resource.get("Properties")
            if resource["Type"] in CALLERS and isinstance(given, dict) and self._resolver.exists(logical_id):
                path = resource_path(self._document, logical_id)
                yield Resource(logical_id, resource["Type"], given, {}, self._document, path)

    def _resource(self, logical_id: str, kind: str, resource: dict[str, Any], path: tuple[Any, ...]) -> Resource:
        metadata = resource.get("Metadata")
        properties = resolved(self._resolver, resource.get("Properties") or {}, (*path, "Properties"), self._warnings)
        if not isinstance(properties, dict):
            raise self._document.error(f"Properties of {logical_id} are no mapping; expected one", *path, "Properties")
        metadata = metadata if isinstance(metadata, dict) else {}
        return Resource(logical_id, kind, properties, metadata, self._document, path)

    def _functions(self, apis: tuple[ApiDefinition, ...]) -> tuple[tuple[FunctionDefinition, ...], set[str]]:
        used = {route.integration.function for api in apis for route in api.routes}
        used |= {api.authorizer.function for api in apis if api.authorizer is not None}
        layer_resources = self._of(_LAYER)
        arns = {name: self._resolver.arn(name) for name in layer_resources}
        layers = Layers(layer_resources, arns, self._warnings)
        functions: dict[str, FunctionDefinition] = {}
        away = set()
        idle = self._idle(used)
        for logical_id, resource in self._of(_FUNCTION).items():
            name = self._resolver.name(logical_id)
            made = None if name in idle else self._function(resource, name, layers, needed=name in used)
            if made is None:
                away.add(logical_id)
            elif name in functions:
                raise resource.error(f"name {name} is that of {functions[name].logical_id} too; expected another")
            else:
                functions[name] = made
        layers.warn()
        return tuple(functions.values()), away

    def _idle(self, used: set[str]) -> set[str]:
        functions = {self._resolver.name(name): resource for name, resource in self._of(_FUNCTION).items()}
        return only_providers(section(self._document, self._data, "Resources"), functions, used, self._resolver)

    def _function(self, resource: Resource, name: str, layers: Layers, *, needed: bool) -> FunctionDefinition | None:
        try:
            return make_function(resource, name, layers, self._warnings)
        except NotHere as reason:
            if needed:
                raise resource.error(f"{reason}; expected code beside the template", "Code") from None
            text = f"function {resource.logical_id} is not run here: {reason}"
            self._warnings.append(Warned(resource.where, text))
            return None

    def _check_names(self, apis: tuple[ApiDefinition, ...], functions: tuple[FunctionDefinition, ...]) -> None:
        known = {function.name for function in functions}
        for api in apis:
            for route in api.routes:
                name = route.integration.function
                if name and name not in known and "$" not in name:
                    text = f"route {route.key} has function {name}, which is not run here: it answers an error"
                    self._warnings.append(Warned(route.where, text))

    def _not_run(self, away: set[str]) -> tuple[tuple[str, str], ...]:
        found = []
        for logical_id, resource in section(self._document, self._document.data, "Resources").items():
            kind = resource["Type"]
            here = self._resources.get(logical_id)
            serverless = kind in sam.RUN and logical_id not in away
            http = here is not None and here.kind == "AWS::ApiGatewayV2::Api" and not is_websocket(here)
            if self._resolver.missing(logical_id) or serverless or kind in _SILENT:
                continue
            if here is None or logical_id in away or http:
                found.append((logical_id, kind))
                if kind in _NOT_DONE:
                    where = self._document.where("Resources", logical_id)
                    self._warnings.append(Warned(where, f"{logical_id}: {_NOT_DONE[kind]}"))
        return tuple(found)

    def _warn_of_made(self) -> None:
        """What SAM makes of a property is listed nowhere."""
        written = section(self._document, self._document.data, "Resources")
        for logical_id, resource in section(self._document, self._data, "Resources").items():
            if logical_id not in written and resource["Type"] in _NOT_DONE:
                where = self._document.where(*resource_path(self._document, logical_id))
                self._warnings.append(Warned(where, f"{logical_id}: {_NOT_DONE[resource['Type']]}"))

    def _outputs(self) -> dict[str, str]:
        outputs = {}
        for name, output in section(self._document, self._data, "Outputs").items():
            try:
                value = self._output(name, output)
            except ConfigurationError:
                continue  # it may be of what is not run here
            if value is not None:
                outputs[name] = value
        return outputs

    def _output(self, name: str, output: Any) -> str | None:
        if not isinstance(output, dict):
            return None
        condition = output.get("Condition")
        if condition is not None and not self._resolver.condition(condition, "Outputs", name, "Condition"):
            return None
        return as_text(self._resolver.resolve(output.get("Value"), "Outputs", name, "Value"))


def _check_loops(document: Document) -> None:
    for name in section(document, document.data, "Resources"):
        if name.startswith("Fn::"):
            raise document.error(f"{name} is not done here; expected resources", "Resources", name)


def _kind(document: Document, logical_id: str, resource: Any, path: tuple[Any, ...]) -> str:
    kind = resource.get("Type") if isinstance(resource, dict) else None
    if not isinstance(kind, str) or not re.match(r"[A-Za-z0-9]+::", kind):
        raise document.error(f"resource {logical_id} has no Type; expected one such as AWS::Lambda::Function", *path)
    return kind


def _pseudo(region: str, account: str, stack: str) -> dict[str, Any]:
    part = partition(region)
    return {
        "AWS::Region": region,
        "AWS::AccountId": account,
        "AWS::Partition": part,
        "AWS::URLSuffix": "amazonaws.com.cn" if part == "aws-cn" else "amazonaws.com",
        "AWS::StackName": stack,
        "AWS::StackId": f"arn:{part}:cloudformation:{region}:{account}:stack/{stack}/local",
        "AWS::NotificationARNs": [],
    }
