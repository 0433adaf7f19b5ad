"""Airspeed as API Gateway's Velocity: it reads templates and walks through them; `vtl_elements` says what that does.

Its classes are changed in a copy of the module that is ours alone, so that nobody else in the process sees it.

It imports nothing of trunkline but its like: the worker of templates runs it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from trunkline.integrations.vtl_elements import AROUND, CHANGES, Stopped, line_of
from trunkline.integrations.vtl_services import namespace_of
from trunkline.integrations.vtl_values import Output, Refused

__all__ = ["Templates", "load"]

_ELEMENTS = frozenset({
    "AlternateValue", "ArrayIndex", "ArrayLiteral", "BinaryOperator", "Block", "BooleanLiteral", "Comment", "Condition",
    "DefineDefinition", "DictionaryLiteral", "ElseBlock", "ElseifBlock", "End", "EvaluateDirective", "Expression",
    "FallthroughHashText", "FloatingPointLiteral", "ForeachDirective", "FormalReference", "IfDirective",
    "IncludeDirective", "IntegerLiteral", "InterpolatedStringLiteral", "MacroCall", "MacroDefinition", "NameOrCall",
    "NullLiteral", "ParameterList", "ParenthesizedExpression", "ParseDirective", "Range", "SetDirective",
    "StopDirective", "StringLiteral", "SubExpression", "TemplateBody", "Text", "UnaryOperatorValue",
    "UserDefinedDirective", "Value", "ValueList", "VariableExpression", "_Element", "_FunctionDefinition",
})  # fmt: skip
_TOO_DEEP = "it goes too deep, or has something within itself"
_KEPT = 128  # parsed templates
_KEPT_CHARACTERS = 2 * 1024 * 1024  # of them all; each is some ten times that when parsed


class Templates:
    """Renders templates; those that it has read it keeps."""

    def __init__(self) -> None:
        self._airspeed = load()
        self._read: dict[str, Any] = {}

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """The text that a template gives for what `Values` holds.

        Raises:
            Refused: the template is wrong, or does what it may not; the text says where.
            MemoryError: it needs more than there is.
        """
        output = Output()
        try:
            self._parsed(template).evaluate(output, namespace_of(values), None)
        except Stopped:
            pass
        except RecursionError:
            raise Refused(_TOO_DEEP) from None
        except (self._airspeed.TemplateError, Refused) as error:
            raise Refused(self._said(error, template)) from None
        return output.getvalue()

    def _parsed(self, template: str) -> Any:
        body = self._read.pop(template, None)
        if body is None:
            body = self._airspeed.TemplateBody("template", template)
        self._read[template] = body  # the last is the newest
        while len(self._read) > _KEPT or sum(map(len, self._read)) > _KEPT_CHARACTERS:
            del self._read[next(iter(self._read))]
        return body

    def _said(self, error: Any, template: str) -> str:
        if not isinstance(error, self._airspeed.TemplateExecutionError):
            return str(error)
        cause = error.__cause__
        if isinstance(cause, MemoryError):
            raise cause
        if isinstance(cause, RecursionError):
            cause = Refused(_TOO_DEEP)
        elif not isinstance(cause, Refused):
            cause = Refused(f"{type(cause).__name__}: {cause}")
        return f"line {line_of(template, error.element.start)}: {cause}"


def load() -> ModuleType:
    """A copy of airspeed with what is ours in it.

    Raises:
        ImportError: it is not there, or another than the one that this was written for.
    """
    spec = importlib.util.find_spec("airspeed")
    if spec is None or spec.loader is None:
        raise ImportError("airspeed is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base = module._Element
    elements = {name for name, one in vars(module).items() if isinstance(one, type) and issubclass(one, base)}
    if elements != _ELEMENTS:  # what we do not know would not be kept from anything
        raise ImportError(f"this airspeed has other elements: {', '.join(sorted(elements ^ _ELEMENTS))}")
    _change(module)
    return module


def _change(module: Any) -> None:
    module._Element.airspeed = module
    for name, attributes in CHANGES.items():
        changed = getattr(module, name)
        for attribute, value in attributes.items():
            getattr(changed, attribute)  # it must have been there
            setattr(changed, attribute, value)
    for name, around in AROUND.items():
        changed = getattr(module, name)
        changed.parse = around(changed.parse)
