"""Resolving Ref and the Fn:: functions of a template to values."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.conditions import Conditions, UnderWay
from trunkline.templates.document import Document
from trunkline.templates.physical import NAMED_BY, Names
from trunkline.templates.sections import as_text, resource_path, section

__all__ = ["NO_VALUE", "ElsewhereError", "Resolver"]

NO_VALUE = object()  # what AWS::NoValue means: the property is not there
MAX_TEXT = 16 * 1024 * 1024  # of all texts that are put together, for names that double from one to the next
_PLACEHOLDER = re.compile(r"\$\{(!?)([^${}]*)\}")


class ElsewhereError(ConfigurationError):
    """A value is that of another stack."""


class Resolver:
    """Values of one template: its parameters, mappings, conditions and resources.

    Args:
        document: what was written, for lines.
        data: what is resolved: the document's data, or what a transform made of it.
        parameters: the values of parameters, pseudo parameters among them.
        imports: what other stacks export, by name.
    """

    def __init__(
        self,
        document: Document,
        data: dict[str, Any],
        parameters: Mapping[str, Any],
        stack: str,
        imports: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.document = document
        self.data = data
        self._parameters = parameters
        self._imports = imports
        self._resources = section(document, data, "Resources")
        self._under_way = UnderWay(document)
        self._conditions = Conditions(document, section(document, data, "Conditions"), self.resolve, self._under_way)
        self._named: dict[str, str | None] = {}
        self._left = MAX_TEXT
        self._names = Names(
            stack,
            parameters["AWS::Region"],
            parameters["AWS::AccountId"],
            parameters["AWS::Partition"],
            parameters["AWS::URLSuffix"],
            self._name_of,
        )
        self._functions: dict[str, Callable[[Any, tuple[Any, ...]], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._if,
            "Fn::Base64": self._base64,
            "Fn::GetAZs": self._zones,
            "Fn::Length": self._length,
            "Fn::ToJsonString": self._to_json,
        }

    def resolve(self, value: Any, *path: Any) -> Any:
        """A value with every function in it replaced by what it gives.

        Args:
            path: where it stands in the template.

        Raises:
            ConfigurationError: with file and line.
        """
        if isinstance(value, dict):
            if len(value) == 1:
                (name,) = value
                if name == "Ref" or name.startswith("Fn::"):
                    return self._call(name, value[name], (*path, name))
            resolved = {key: self.resolve(each, *path, key) for key, each in value.items()}
            return {key: each for key, each in resolved.items() if each is not NO_VALUE}
        if isinstance(value, list):
            items = [self.resolve(each, *path, index) for index, each in enumerate(value)]
            return [each for each in items if each is not NO_VALUE]
        return value

    def text(self, value: Any, *path: Any) -> str:
        """A value as a text."""
        resolved = self.resolve(value, *path)
        text = as_text(resolved)
        if text is None:
            raise self.document.error(f"this is {_described(resolved)}; expected a text", *path)
        return text

    def condition(self, name: Any, *path: Any) -> bool:
        """Whether a condition of the template holds."""
        return self._conditions.holds(name, *path)

    def exists(self, logical_id: str) -> bool:
        """Whether the template has a resource, under its conditions."""
        resource = self._resources.get(logical_id)
        condition = resource.get("Condition") if isinstance(resource, dict) else None
        return resource is not None and (
            condition is None or self.condition(condition, "Resources", logical_id, "Condition")
        )

    def missing(self, logical_id: str) -> bool:
        """Whether a resource's condition does not hold."""
        return logical_id in self._resources and not self.exists(logical_id)

    def ref(self, logical_id: str) -> str:
        """What Ref gives of a resource."""
        return self._names.ref(self._kind(logical_id), logical_id)

    def name(self, logical_id: str) -> str:
        """A resource's physical name."""
        return self._names.name(self._kind(logical_id), logical_id)

    def arn(self, logical_id: str) -> str:
        """A resource's ARN."""
        return self._names.arn(self._kind(logical_id), logical_id)

    def _kind(self, logical_id: str) -> str:
        resource = self._resources[logical_id]
        kind = resource.get("Type") if isinstance(resource, dict) else None
        return kind if isinstance(kind, str) else ""

    def _name_of(self, logical_id: str) -> str | None:
        if logical_id not in self._named:
            with self._under_way.once(logical_id, *resource_path(self.document, logical_id)):
                self._named[logical_id] = self._given_name(logical_id)
        return self._named[logical_id]

    def _given_name(self, logical_id: str) -> str | None:
        kind = self._kind(logical_id)
        if kind in {"AWS::Lambda::Version", "AWS::Lambda::Alias"}:
            return self._function_of(logical_id)
        properties = self._resources[logical_id].get("Properties")
        key = NAMED_BY.get(kind)
        if key is None or not isinstance(properties, dict) or key not in properties:
            return None
        path = (*resource_path(self.document, logical_id), "Properties", key)
        resolved = self.resolve(properties[key], *path)
        return None if resolved is NO_VALUE or resolved is None else self.text(resolved, *path)

    def _function_of(self, logical_id: str) -> str | None:
        properties = self._resources[logical_id].get("Properties")
        if not isinstance(properties, dict) or "FunctionName" not in properties:
            return None
        return self.text(properties["FunctionName"], "Resources", logical_id, "Properties", "FunctionName")

    def _call(self, name: str, argument: Any, path: tuple[Any, ...]) -> Any:
        if name == "Fn::ImportValue":
            return self._import(argument, path)
        function = self._functions.get(name)
        if function is None:
            raise self.document.error(
                f"{name} is not known here; expected one of {', '.join(sorted(self._functions))}", *path
            )
        return function(argument, path)

    def _import(self, argument: Any, path: tuple[Any, ...]) -> str:
        name = self.text(self.resolve(argument, *path, "Fn::ImportValue"), *path)
        if name not in self._imports:
            expected = f"expected --import-value {name}=VALUE"
            wrong = f"Fn::ImportValue reads {name!r} of another stack, and none is here; {expected}"
            raise ElsewhereError(str(self.document.error(wrong, *path)))
        return self._imports[name]

    def _ref(self, name: Any, path: tuple[Any, ...]) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if not isinstance(name, str):
            raise self.document.error(f"Ref is given {_described(name)}; expected a name", *path)
        if name in self._parameters:
            return self._parameters[name]
        return self.ref(self._resource(name, path))

    def _resource(self, name: str, path: tuple[Any, ...]) -> str:
        if name not in self._resources:
            known = {**dict.fromkeys(self._parameters), **self._resources}
            raise self.document.unknown("parameter or resource", name, known, *path)
        if not self.exists(name):
            raise self.document.error(f"resource {name} is not there under its Condition; expected an Fn::If", *path)
        return name

    def _get_att(self, argument: Any, path: tuple[Any, ...]) -> str:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not isinstance(parts, list) or len(parts) < 2 or not isinstance(parts[0], str):
            raise self.document.error("Fn::GetAtt expected [logical id, attribute]", *path)
        attribute = ".".join(self.text(part, *path) for part in parts[1:])
        return self._attribute(parts[0], attribute, path)

    def _attribute(self, name: str, attribute: str, path: tuple[Any, ...]) -> str:
        logical_id = self._resource(name, path)
        return self._names.attribute(self._kind(logical_id), logical_id, attribute)

    def _sub(self, argument: Any, path: tuple[Any, ...]) -> str:
        form, given = argument, {}
        if isinstance(argument, list):
            if len(argument) != 2 or not isinstance(argument[1], dict):
                raise self.document.error("Fn::Sub expected a text, or [text, {name: value}]", *path)
            form, given = argument
        if not isinstance(form, str):
            raise self.document.error(f"Fn::Sub is given {_described(form)}; expected a text", *path)
        values = {name: self.resolve(value, *path, 1, name) for name, value in given.items()}
        return self._counted(_PLACEHOLDER.sub(lambda found: self._filled(found, values, path), form), path)

    def _filled(self, found: re.Match[str], values: dict[str, Any], path: tuple[Any, ...]) -> str:
        literal, name = found[1], found[2].strip()
        if literal:
            return f"${{{found[2]}}}"
        if name in values:
            value = values[name]
        elif "." in name and name not in self._parameters:
            logical_id, attribute = name.split(".", 1)
            value = self._attribute(logical_id, attribute, path)
        else:
            value = self._ref(name, path)
        text = as_text(",".join(map(str, value)) if isinstance(value, list) else value)
        if text is None:
            raise self.document.error(f"${{{name}}} in Fn::Sub is {_described(value)}; expected a text", *path)
        return self._counted(text, path)

    def _counted(self, text: str, path: tuple[Any, ...]) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise self.document.error(f"texts put together are over {MAX_TEXT} characters; expected fewer", *path)
        return text

    def _join(self, argument: Any, path: tuple[Any, ...]) -> str:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            raise self.document.error("Fn::Join expected [delimiter, [values]]", *path)
        values = self._list(argument[1], "Fn::Join", (*path, 1))
        texts = [self._counted(self.text(value, *path, 1, index), path) for index, value in enumerate(values)]
        self._counted(argument[0] * len(texts), path)
        return argument[0].join(texts)

    def _list(self, value: Any, function: str, path: tuple[Any, ...]) -> list[Any]:
        resolved = self.resolve(value, *path)
        if not isinstance(resolved, list):
            raise self.document.error(f"{function} is given {_described(resolved)}; expected a list", *path)
        return resolved

    def _select(self, argument: Any, path: tuple[Any, ...]) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            raise self.document.error("Fn::Select expected [index, [values]]", *path)
        index, values = self.text(argument[0], *path, 0), self._list(argument[1], "Fn::Select", (*path, 1))
        if not index.isdecimal() or len(index) > 9 or int(index) >= len(values):
            raise self.document.error(f"Fn::Select has index {index}; expected 0 to {len(values) - 1}", *path)
        return values[int(index)]

    def _split(self, argument: Any, path: tuple[Any, ...]) -> list[str]:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str) or not argument[0]:
            raise self.document.error("Fn::Split expected [delimiter, text]", *path)
        return self._counted(self.text(argument[1], *path, 1), path).split(argument[0])

    def _find_in_map(self, argument: Any, path: tuple[Any, ...]) -> Any:
        if not isinstance(argument, list) or len(argument) not in {3, 4}:
            raise self.document.error("Fn::FindInMap expected [map, first key, second key]", *path)
        keys = [self.text(key, *path, index) for index, key in enumerate(argument[:3])]
        found: Any = section(self.document, self.data, "Mappings")
        for depth, key in enumerate(keys):
            if not isinstance(found, dict) or key not in found:
                if len(argument) == 4 and isinstance(argument[3], dict) and "DefaultValue" in argument[3]:
                    return self.resolve(argument[3]["DefaultValue"], *path, 3, "DefaultValue")
                raise self.document.unknown(
                    "map" if depth == 0 else f"key of map {keys[0]}",
                    key,
                    found if isinstance(found, dict) else {},
                    *path,
                )
            found = found[key]
        return found

    def _if(self, argument: Any, path: tuple[Any, ...]) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            raise self.document.error("Fn::If expected [condition, value if true, value if false]", *path)
        chosen = 1 if self.condition(argument[0], *path, 0) else 2
        return self.resolve(argument[chosen], *path, chosen)

    def _base64(self, argument: Any, path: tuple[Any, ...]) -> str:
        return self._counted(base64.b64encode(self.text(argument, *path).encode()).decode(), path)

    def _zones(self, argument: Any, path: tuple[Any, ...]) -> list[str]:
        region = self.text(argument, *path) or self._parameters["AWS::Region"]
        return [f"{region}{letter}" for letter in "abc"]

    def _length(self, argument: Any, path: tuple[Any, ...]) -> int:
        return len(self._list(argument, "Fn::Length", path))

    def _to_json(self, argument: Any, path: tuple[Any, ...]) -> str:
        value = self.resolve(argument, *path)
        return self._counted(json.dumps(None if value is NO_VALUE else value, separators=(",", ":")), path)


def _described(value: Any) -> str:
    if value is None or value is NO_VALUE:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)[:80]
