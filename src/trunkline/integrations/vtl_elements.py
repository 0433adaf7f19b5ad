"""What the elements of airspeed do in a mapping template: API Gateway's doing, and nothing beyond plain data.

API Gateway was seen to do this: an undefined reference prints nothing and is true, strings know no escapes but a
doubled quote, macros are text, what a loop sets is there after it.

`self` is an element of airspeed, which has its module as `airspeed`. It imports nothing of trunkline but its like: the
worker of templates runs it.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from typing import Any

from trunkline.integrations.vtl_expressions import (
    OPERATORS,
    calculate_expression,
    calculate_range,
    negate,
    read_expression,
)
from trunkline.integrations.vtl_methods import call
from trunkline.integrations.vtl_values import Literal, Output, Refused, is_true, item, member, text

__all__ = ["AROUND", "CHANGES", "Stopped", "line_of"]

_NAME = re.compile(r"([a-z_][\w-]*)", re.IGNORECASE | re.ASCII)
_ROOT = re.compile(r"\s*\$([a-z_][\w-]*)", re.IGNORECASE | re.ASCII)
_MEMBER = re.compile(r"\.([a-z_][\w-]*)", re.IGNORECASE | re.ASCII)
_LOOP_VARIABLE = re.compile(r"\$([a-z_][\w-]*)", re.IGNORECASE | re.ASCII)
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"]|"")*)"')
_LOOP_END = re.compile(r"\s*\)(?:[ \t]*\r?\n)?")
_BREAK = re.compile(r"#(?:break\b|\{break\})", re.IGNORECASE)
_UNPARSED = re.compile(r"#\[\[(.*?)\]\]#", re.DOTALL)
_BROKEN = re.compile(r"#(if|foreach|set|define|macro)\b", re.IGNORECASE)


_BEGINS = {
    "ArrayLiteral": "[", "BooleanLiteral": "tTfF", "Comment": "#", "DefineDefinition": "#", "DictionaryLiteral": "{",
    "EvaluateDirective": "#", "FallthroughHashText": "#", "FloatingPointLiteral": "-.0123456789",
    "ForeachDirective": "#", "FormalReference": "$", "IfDirective": "#", "IncludeDirective": "#",
    "IntegerLiteral": "-0123456789", "InterpolatedStringLiteral": '"', "MacroCall": "#", "MacroDefinition": "#",
    "NullLiteral": "nN", "ParenthesizedExpression": "(", "ParseDirective": "#", "SetDirective": "#",
    "StopDirective": "#", "StringLiteral": "'", "UserDefinedDirective": "",
}  # fmt: skip


class Stopped(BaseException):
    """`#stop`: what was made until there is all. No Exception, so that nobody on the way takes it for an error."""


class _Broken(Stopped):
    """`#break`: the loop ends, or the template outside of any."""


def _parse_or_text(parse: Callable[[Any], None]) -> Callable[[Any], None]:
    """What is no directive is text, however it goes on."""

    def parsed(self: Any) -> None:
        try:
            parse(self)
        except self.airspeed.TemplateSyntaxError:
            raise self.airspeed.NoMatch from None

    return parsed


def _refusal(element: Any, what: str) -> Refused:
    return Refused(f"line {line_of(element.full_text(), element.start)}: {what}")


def line_of(template: str, at: int) -> int:
    """The number of the line of a position."""
    return template.count("\n", 0, at) + 1


def _check_name(element: Any, name: str) -> None:
    if name.startswith("_") or "__" in name:
        raise _refusal(element, f"the name {name} is refused; .get('{name}') reads a member that has it")


def _next_element(self: Any, kinds: Any) -> Any:
    """As airspeed's, but what cannot begin with the next character is not tried: that takes most of the time."""
    if callable(kinds):
        element = kinds(self.filename, self.full_text(), self.end)
        self.end = element.end
        return element
    following = self.full_text()[self.end : self.end + 1]
    for kind in kinds:
        begins = _BEGINS.get(kind.__name__)
        if begins is None or following in begins:
            try:
                return _next_element(self, kind)
            except self.airspeed.NoMatch:
                continue
    raise self.airspeed.NoMatch


# References.


def _parse_name(self: Any) -> None:
    (self.name,) = self.identity_match(_NAME)
    _check_name(self, self.name)
    following = self.full_text()[self.end : self.end + 1]
    if following == "(":
        self.parameters = self.next_element(self.airspeed.ParameterList)
    elif following == "[":
        self.index = self.next_element(self.airspeed.ArrayIndex)


def _calculate_name(self: Any, current: Any, loader: None, namespace: Any) -> Any:
    if isinstance(current, self.airspeed.LocalNamespace):
        value = _variable(self, current)
    elif current is None:
        return None
    elif self.parameters is not None:
        value = call(current, self.name, self.parameters.calculate(namespace, loader))
    else:
        value = member(current, self.name)
    return value if self.index is None else item(value, self.index.calculate(namespace, loader))


def _variable(self: Any, namespace: Any) -> Any:
    try:
        value = namespace[self.name]
    except KeyError:
        return None
    shown = "" if self.parameters is None else self.parameters.my_text()
    if isinstance(value, self.airspeed.DefineDefinition):
        output = Output()
        value.block.evaluate_raw(output, self.airspeed.LocalNamespace(namespace), None)
        return output.getvalue() + shown
    if shown:
        raise Refused(f"${self.name} is no function")
    return value


def _calculate_sub(self: Any, current: Any, loader: None, namespace: Any) -> Any:
    if not isinstance(self.expression, self.airspeed.ArrayIndex):
        return self.expression.calculate(current, loader, namespace)
    found = item(current, self.expression.calculate(namespace, loader))
    return found if self.subexpression is None else self.subexpression.calculate(found, loader, namespace)


def _print_reference(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    if self.expression is None:
        stream.write(self.my_text())
        return
    value = self.expression.calculate(namespace, loader)
    if value is None and self.alternate is not None:
        value = self.alternate.calculate(namespace, loader)
    stream.write(text(value))


# Values.


def _parse_string(self: Any) -> None:
    (value,) = self.identity_match(_SINGLE)
    self.value = value.replace("''", "'")


def _parse_interpolated(self: Any) -> None:
    (value,) = self.identity_match(_DOUBLE)
    self.value = value.replace('""', '"')
    self.block = None
    if "$" in value or "#" in value:
        try:
            self.block = self.airspeed.TemplateBody(self.filename, self.value).block
        except (self.airspeed.TemplateSyntaxError, Refused) as error:
            raise _refusal(self, f"in the string {self.my_text()[:40]}: {error}") from None


def _calculate_interpolated(self: Any, namespace: Any, loader: None) -> str:
    if self.block is None:
        return str(self.value)
    output = Output()
    try:
        self.block.evaluate_raw(output, namespace, loader)
    except self.airspeed.TemplateExecutionError as error:
        raise error.__cause__ from None  # its place is one in the string; whoever has the string adds ours
    return output.getvalue()


def _parse_array(self: Any) -> None:
    self.identity_match(self.START)
    with contextlib.suppress(self.airspeed.NoMatch):
        self.values = self.next_element((self.airspeed.Range, self.airspeed.ValueList))
    self.require_match(self.END, "]")
    self.calculate = functools.partial(_calculate_array, self)


def _calculate_array(self: Any, namespace: Any, loader: None) -> Any:
    found = self.values.calculate(namespace, loader)
    return Literal(found) if isinstance(found, list) else found


def _calculate_range(self: Any, namespace: Any, loader: None) -> Any:
    return calculate_range(self.value1.calculate(namespace, loader), self.value2.calculate(namespace, loader))


def _parse_expression(self: Any) -> None:
    terms = [self.next_element(self.airspeed.Value)]
    while True:
        try:
            found = self.next_element(self.airspeed.BinaryOperator)
        except self.airspeed.NoMatch:
            break
        terms += [found, self.require_next_element(self.airspeed.Value, "value")]
    self.tree = read_expression(terms)


def _calculate_expression(self: Any, namespace: Any, loader: None) -> Any:
    return calculate_expression(self.tree, namespace)


# Directives.


def _if(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    for branch in (self, *self.elseifs):
        if is_true(branch.condition.calculate(namespace, loader)):
            branch.block.evaluate(stream, namespace, loader)
            return
    self.else_block.evaluate(stream, namespace, loader)


def _parse_foreach(parse: Callable[[Any], None]) -> Callable[[Any], None]:
    def parsed(self: Any) -> None:
        parse(self)
        _check_name(self, self.loop_var_name)

    return parsed


def _foreach(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    values = _looped(self.value.calculate(namespace, loader))
    for count, value in enumerate(values, 1):
        more = count < len(values)
        inside = self.airspeed.LocalNamespace(namespace)
        inside["foreach"] = {
            "count": count, "index": count - 1, "hasNext": more, "first": count == 1, "last": not more,
        }  # fmt: skip
        inside["velocityCount"], inside["velocityHasNext"] = count, more
        inside[self.loop_var_name] = value
        try:
            self.block.evaluate(stream, inside, loader)
        except _Broken:
            break


def _looped(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, range) else list(value) if isinstance(value, list) else ()


def _parse_set(self: Any) -> None:
    self.identity_match(self.START)
    (name,) = self.require_match(_ROOT, "a reference")
    names = [name]
    self.root, self.steps = name, []
    while True:
        found = self.next_match(_MEMBER)
        if found is not None:
            names += found
            self.steps.append(found[0])
            continue
        try:
            self.steps.append(self.next_element(self.airspeed.ArrayIndex))
        except self.airspeed.NoMatch:
            break
    for name in names:
        _check_name(self, name)
    self.require_match(self.EQUALS, "=")
    self.value = self.require_next_element(self.airspeed.Expression, "expression")
    self.require_match(self.END, "closing paren")


def _set(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    value = self.value.calculate(namespace, loader)
    if not self.steps:
        _home(self, namespace)[self.root] = value
        return
    *steps, last = [step if isinstance(step, str) else step.calculate(namespace, loader) for step in self.steps]
    try:
        holder = namespace[self.root]
    except KeyError:
        holder = None
    for step in steps:
        holder = item(holder, step)
    if not isinstance(holder, dict | list):
        raise Refused(f"{last} of what is neither an object nor a list cannot be set")
    call(holder, "put" if isinstance(holder, dict) else "set", [last, value])


def _home(self: Any, namespace: Any) -> Any:
    """Where a variable is, or will be: what a loop sets is there after it."""
    found = namespace.find_outermost(self.root)
    while found is None:
        if not isinstance(namespace.parent, self.airspeed.LocalNamespace):
            return namespace
        namespace = namespace.parent
    return found


def _stop(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    raise Stopped


def _nothing(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    """Macros are not there: neither is their definition."""


def _as_written(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    stream.write(self.my_text())


def _parse_unavailable(self: Any) -> None:
    self.identity_match(self.START)
    raise _refusal(self, "#parse and #include are not available in a mapping template")


def _parse_hash(parse: Callable[[Any], None]) -> Callable[[Any], None]:
    def parsed(self: Any) -> None:
        if self.next_match(_BREAK) is not None:
            self.text = None
            return
        found = self.next_match(_BROKEN)
        if found is not None:
            raise _refusal(self, f"this #{found[0]} cannot be read: {self.next_text()[:40].strip()}")
        parse(self)

    return parsed


def _hash(self: Any, stream: Any, namespace: Any, loader: None) -> None:
    if self.text is None:
        raise _Broken
    stream.write(self.text)


def _parse_text(parse: Callable[[Any], None]) -> Callable[[Any], None]:
    def parsed(self: Any) -> None:
        found = self.next_match(_UNPARSED)
        if found is None:
            parse(self)
        else:
            (self.text,) = found

    return parsed


CHANGES: dict[str, dict[str, Any]] = {
    "ArrayLiteral": {"parse": _parse_array},
    "BinaryOperator": {"OPERATORS": OPERATORS},
    "EvaluateDirective": {"evaluate_raw": _as_written},
    "Expression": {"parse": _parse_expression, "calculate": _calculate_expression},
    "FallthroughHashText": {"evaluate_raw": _hash},
    "ForeachDirective": {"CLOSE_PAREN": _LOOP_END, "LOOP_VAR_NAME": _LOOP_VARIABLE, "evaluate_raw": _foreach},
    "FormalReference": {"evaluate_raw": _print_reference},
    "IfDirective": {"evaluate_raw": _if},
    "IncludeDirective": {"parse": _parse_unavailable},
    "InterpolatedStringLiteral": {"parse": _parse_interpolated, "calculate": _calculate_interpolated},
    "MacroCall": {"evaluate_raw": _as_written},
    "MacroDefinition": {"evaluate_raw": _nothing},
    "NameOrCall": {"parse": _parse_name, "calculate": _calculate_name},
    "ParseDirective": {"parse": _parse_unavailable},
    "Range": {"calculate": _calculate_range},
    "SetDirective": {"parse": _parse_set, "evaluate_raw": _set},
    "StopDirective": {"evaluate_raw": _stop},
    "StringLiteral": {"parse": _parse_string},
    "SubExpression": {"calculate": _calculate_sub},
    "_Element": {"next_element": _next_element},
    "UnaryOperatorValue": {"OPERATORS": {"!": negate, "not": negate}},
}
"""By class of airspeed: attributes that are ours instead."""
AROUND: dict[str, Callable[[Callable[[Any], None]], Callable[[Any], None]]] = {
    "EvaluateDirective": _parse_or_text,
    "FallthroughHashText": _parse_hash,
    "ForeachDirective": _parse_foreach,
    "MacroCall": _parse_or_text,
    "Text": _parse_text,
}
"""By class of airspeed: what is put around its `parse`."""
