"""Reading a template's file: YAML with only CloudFormation's tags, or JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.document import MAX_BYTES, MAX_DEPTH, Builder, Built, Document

__all__ = ["load_document", "needed"]

_FUNCTIONS = ["Base64", "Cidr", "FindInMap", "GetAtt", "GetAZs", "ImportValue", "Join", "Select", "Split", "Sub"]
_FUNCTIONS += ["If", "Equals", "Not", "And", "Or", "Transform", "Length", "ToJsonString"]
_TAGS = {"!Ref": "Ref", "!Condition": "Condition", **{f"!{name}": f"Fn::{name}" for name in _FUNCTIONS}}
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_TEXT_TAG = "tag:yaml.org,2002:str"

# YAML 1.1, as CloudFormation reads it; 0123 and 1:30 are left as the texts that their writers mean.
_TRUE = re.compile(r"(?:true|True|TRUE|yes|Yes|YES|on|On|ON)\Z")
_FALSE = re.compile(r"(?:false|False|FALSE|no|No|NO|off|Off|OFF)\Z")
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,20}\.[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,2})?\Z")
_JSON_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+|\n')


def needed(module: str) -> ConfigurationError:
    """That a package is not installed."""
    return ConfigurationError(f"running a template needs {module}; it needs: pip install 'trunkline[aws]'")


def load_document(file: Path) -> Document:
    """Read a template.

    Raises:
        ConfigurationError: with file and line: it cannot be read, is not YAML or JSON, or is over a limit.
    """
    text = _text(file)
    if file.suffix == ".json" or text.lstrip().startswith("{"):
        try:
            return _json(file, text)
        except json.JSONDecodeError as error:
            # A mapping of YAML may begin like JSON.
            if file.suffix == ".json":
                raise ConfigurationError(f"{file}:{error.lineno}: {error.msg}; expected JSON") from None
    return _yaml(file, text)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{file} cannot be read: {reason}; expected a template") from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{file}:1: the template is over {MAX_BYTES} bytes; expected a smaller one")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: this is no text; expected UTF-8") from None


def _json(file: Path, text: str) -> Document:
    builder = Builder(file)
    try:
        json.loads(text, parse_int=str)  # what it takes is well-formed, so the tokens below need no grammar
    except RecursionError:
        raise builder.error(1, f"values are nested more than {MAX_DEPTH} deep; expected fewer") from None
    line = 1
    for match in _JSON_LEXEME.finditer(text):
        lexeme = match[0]
        if lexeme == "\n":
            line += 1
        elif lexeme in "{[":
            builder.open({} if lexeme == "{" else [], line)
        elif lexeme in "}]":
            builder.close()
        elif lexeme not in ":,":
            _json_scalar(builder, lexeme, line)
    return builder.document()


def _json_scalar(builder: Builder, lexeme: str, line: int) -> None:
    if builder.wants_key:
        builder.key(json.loads(lexeme), line)
    else:
        builder.add(Built(json.loads(lexeme, parse_int=_whole)), line)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < 20 else digits


def _yaml(file: Path, text: str) -> Document:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise needed("pyyaml") from None
    builder = Builder(file)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            _event(yaml, builder, event)
    except yaml.YAMLError as error:
        raise _malformed(builder, error) from None
    return builder.document()


def _malformed(builder: Builder, error: Any) -> ConfigurationError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
    return builder.error(1 if mark is None else mark.line + 1, f"{problem}; expected YAML")


def _event(yaml: Any, builder: Builder, event: Any) -> None:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent):
        builder.alias(event.anchor, line)
    elif isinstance(event, yaml.ScalarEvent):
        _yaml_scalar(builder, event, line)
    elif isinstance(event, yaml.MappingStartEvent):
        builder.open({}, line, _function(builder, event.tag, line), event.anchor)
    elif isinstance(event, yaml.SequenceStartEvent):
        builder.open([], line, _function(builder, event.tag, line), event.anchor)
    elif isinstance(event, yaml.CollectionEndEvent):
        builder.close()
    elif isinstance(event, yaml.DocumentStartEvent) and builder.root is not None:
        raise builder.error(line, "a second document begins; expected one template in the file")


def _yaml_scalar(builder: Builder, event: Any, line: int) -> None:
    function = _function(builder, event.tag, line)
    if builder.wants_key:
        if function is not None:
            raise builder.error(line, f"{event.tag} is a key; expected a text")
        if event.anchor is not None:
            builder.name(event.anchor, Built(event.value))
        builder.key(event.value, line)
        return
    value: Any = event.value
    if function == "Fn::GetAtt":
        value = event.value.split(".", 1)
    elif function is None and event.implicit[0] and event.tag != _TEXT_TAG:
        value = _plain(event.value)
    builder.add(Built(value), line, function, event.anchor)


def _function(builder: Builder, tag: str | None, line: int) -> str | None:
    if tag is None or tag == "!" or tag in _PLAIN_TAGS:
        return None
    if tag not in _TAGS:
        raise builder.error(line, f"tag {tag} is not known; expected one of {', '.join(sorted(_TAGS))}")
    return _TAGS[tag]


def _plain(text: str) -> Any:
    if _TRUE.match(text):
        return True
    if _FALSE.match(text):
        return False
    if _NULL.match(text):
        return None
    if _INT.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text
