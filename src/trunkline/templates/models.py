"""Models of a template's Apis, and what its routes require of messages and handshakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from trunkline.errors import DeclarationError
from trunkline.model.api import CONNECT_ROUTE, DEFAULT_ROUTE, DISCONNECT_ROUTE
from trunkline.model.expressions import compile_selector
from trunkline.model.schemas import Schema
from trunkline.templates.loader import needed
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text

__all__ = ["Models", "required_by"]

_Warn: TypeAlias = Callable[[Resource, str, str], None]
_REQUIRED = re.compile(r"route\.request\.(?:header|querystring)\.[a-zA-Z0-9._-]+")


class Models:
    """The models of a template, each read when a route names it.

    Args:
        models: those of the template.
        ref: what Ref gives of a resource.
        warn: takes what is not done here: the resource, the text, the property.
    """

    def __init__(self, models: Iterable[Resource], ref: Callable[[str], str], warn: _Warn) -> None:
        self._warn = warn
        self._models: dict[tuple[str, str], Resource] = {}
        for model in models:
            for name in (model.text("Name"), ref(model.logical_id)):
                self._models[model.text("ApiId"), name] = model
        self._read: dict[str, str] = {}

    def of(self, route: Resource, key: str) -> tuple[str, dict[str, str]]:
        """A route's model selection expression, and its schemas by the key that it gives.

        Args:
            key: of the route.

        Returns:
            Neither, where the route validates nothing, as in AWS: without an expression, or without a model.

        Raises:
            ConfigurationError: with file and line.
        """
        select = route.text("ModelSelectionExpression", "")
        named = route.mapping("RequestModels")
        if key in {CONNECT_ROUTE, DISCONNECT_ROUTE} or not named:
            return "", {}
        if not select:
            text = f"route {key} has no ModelSelectionExpression: its models check nothing, in AWS neither"
            self._warn(route, text, "RequestModels")
            return "", {}
        _check_expression(route, select)
        return select, {name: self._schema(route, name, model) for name, model in named.items()}

    def _schema(self, route: Resource, key: str, name: Any) -> str:
        model = self._models.get((route.text("ApiId"), as_text(name) or ""))
        if model is None:
            text = f"RequestModels of {key} is {name!r}; expected the Name of a model of this Api"
            raise route.error(text, "RequestModels", key)
        if model.logical_id not in self._read:
            self._read[model.logical_id] = _checked(model)
        return self._read[model.logical_id]


def required_by(route: Resource, key: str, warn: _Warn) -> tuple[str, ...]:
    """What a handshake must have, by a route's `RequestParameters`.

    Raises:
        ConfigurationError: with file and line.
    """
    required = [name for name, given in route.mapping("RequestParameters").items() if _is_required(given)]
    if required and key != CONNECT_ROUTE:
        warn(route, f"messages have no headers and no query: route {key} requires nothing", "RequestParameters")
        return ()
    for name in required:
        if not _REQUIRED.fullmatch(name):
            expected = "route.request.header.NAME or route.request.querystring.NAME"
            raise route.error(f"RequestParameters has {name!r}; expected {expected}", "RequestParameters", name)
    return tuple(required)


def _is_required(given: Any) -> bool:
    return (as_text(given.get("Required") if isinstance(given, Mapping) else given) or "").lower() == "true"


def _check_expression(route: Resource, select: str) -> None:
    if select != DEFAULT_ROUTE:
        try:
            compile_selector(select)
        except DeclarationError as error:
            raise route.error(f"ModelSelectionExpression: {error}", "ModelSelectionExpression") from None


def _checked(model: Resource) -> str:
    """A model's schema as a text."""
    given = model.properties.get("Schema")
    schema = given if isinstance(given, str) else json.dumps(given)
    try:
        Schema(schema)
    except DeclarationError as error:
        raise model.error(f"Schema is no JSON schema of draft 4: {error}", "Schema") from None
    except ImportError:
        raise needed("jsonschema") from None
    return schema
