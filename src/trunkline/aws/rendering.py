"""A template as a text: YAML with CloudFormation's short tags, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from trunkline.errors import ConfigurationError

__all__ = ["render", "render_json"]

_WIDE = 1 << 20  # no text is broken
_TAGS = {"Ref": "!Ref", "Fn::Sub": "!Sub", "Fn::GetAtt": "!GetAtt"}
_RESOURCE = re.compile(r" {2}\S.*:")


def render(template: dict[str, Any]) -> str:
    """YAML, the same on every Python, an empty line before each resource.

    Raises:
        ConfigurationError: pyyaml is not installed.
    """
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            "a template in YAML needs pyyaml: pip install 'trunkline[aws]'; --json does without"
        ) from None
    text: str = yaml.dump(template, Dumper=_dumper(yaml), sort_keys=False, width=_WIDE, allow_unicode=True)
    return "\n".join(_spaced(text.splitlines())) + "\n"


def render_json(template: dict[str, Any]) -> str:
    """JSON, in the same order."""
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def _spaced(lines: list[str]) -> Iterator[str]:
    above = ""
    for line in lines:
        section = not line.startswith(" ") and line.endswith(":")
        if (section and above) or (_RESOURCE.fullmatch(line) and above.startswith(" ")):
            yield ""
        yield line
        above = line


def _dumper(yaml: Any) -> Any:
    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, False)

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def choose_scalar_style(self) -> Any:
            style = super().choose_scalar_style()
            # Without quotes behind a tag, as people write it.
            return "" if self.event.tag in _TAGS.values() and self.analysis.allow_block_plain else style

    Dumper.add_representer(dict, _mapping)
    return Dumper


def _mapping(dumper: Any, value: dict[str, Any]) -> Any:
    """`!Ref x` for `{"Ref": "x"}`, and so on."""
    if len(value) == 1 and (tag := _TAGS.get(*value)) is not None:
        (argument,) = value.values()
        return dumper.represent_scalar(tag, argument if isinstance(argument, str) else ".".join(argument))
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items())
