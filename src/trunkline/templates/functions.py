"""Lambda functions of a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trunkline.model.deployment import Warned
from trunkline.model.functions import FunctionDefinition
from trunkline.templates.code import NoCodeError, local_code
from trunkline.templates.layers import Layers
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text

__all__ = ["make_function"]


_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_RUN_HERE = ("python", "nodejs", "provided")


def make_function(resource: Resource, name: str, layers: Layers, warnings: list[Warned]) -> FunctionDefinition | None:
    """A function; None, with a warning, where it is a container image, or of another language and not built.

    Raises:
        NotHere: its code is in S3.
        ConfigurationError: a property is wrong, or its code is not there.
    """
    if resource.text("PackageType", "Zip") == "Image":
        text = (
            f"function {resource.logical_id} is a container image and is not run here; expected PackageType Zip with "
            "the CodeUri, Handler and Runtime of what its Dockerfile copies"
        )
        warnings.append(Warned(resource.where, text))
        return None
    runtime = resource.text("Runtime")
    try:
        code, inline = _code(resource)
    except NoCodeError:
        if runtime.startswith(_RUN_HERE):
            raise
        text = f"function {resource.logical_id} is not run here: {runtime} cannot be, and its code is not built"
        warnings.append(Warned(resource.where, text))
        return None
    return FunctionDefinition(
        name=name,
        logical_id=resource.logical_id,
        runtime=runtime,
        handler=resource.text("Handler", "bootstrap" if runtime.startswith("provided") else None),
        code=code,
        inline=inline,
        layers=layers.of(resource),
        environment=_environment(resource, warnings),
        seconds=resource.number("Timeout", 3.0),
        memory_mb=int(resource.number("MemorySize", 128)),
        concurrency=_concurrency(resource),
        log_level=_log_level(resource),
        log_group=as_text(resource.mapping("LoggingConfig").get("LogGroup")) or "",
        where=resource.where,
    )


def _code(resource: Resource) -> tuple[Path | None, str | None]:
    code = resource.properties.get("Code")
    if code is None:
        raise resource.error("Code is missing; expected ZipFile, a folder or a zip file")
    inline = code.get("ZipFile") if isinstance(code, dict) else None
    if inline is None:
        return local_code(resource, "Code"), None
    if not isinstance(inline, str):
        raise resource.error("ZipFile is no text; expected the function's source", "Code", "ZipFile")
    return None, inline


def _log_level(resource: Resource) -> str | None:
    logging = resource.mapping("LoggingConfig")
    if logging.get("LogFormat", "Text") == "Text":
        return None
    level = as_text(logging.get("ApplicationLogLevel", "INFO"))
    if logging["LogFormat"] != "JSON" or level not in _LEVELS:
        expected = f"LogFormat Text or JSON, and with JSON an ApplicationLogLevel of {', '.join(_LEVELS)}"
        raise resource.error(f"LoggingConfig is {logging!r}; expected {expected}", "LoggingConfig")
    return level


def _environment(resource: Resource, warnings: list[Warned]) -> dict[str, str]:
    variables: Any = resource.mapping("Environment").get("Variables")
    if variables is None:
        return {}
    if not isinstance(variables, dict):
        raise resource.error("Environment has no mapping Variables; expected names with texts", "Environment")
    texts = {name: _variable(resource, name, value) for name, value in variables.items()}
    for name, text in texts.items():
        if "{{resolve:" in text:
            told = f"variable {name} of {resource.logical_id} has a dynamic reference, which it gets as it is written"
            warnings.append(Warned(resource.where_of("Environment", "Variables", name), told))
    return texts


def _variable(resource: Resource, name: str, value: Any) -> str:
    text = as_text(value)
    path = ("Environment", "Variables", name)
    if text is None:
        raise resource.error(f"variable {name} is {value!r}; expected a text", *path)
    if "\0" in text or "\0" in name or "=" in name or not name:
        raise resource.error(f"variable {name!r} cannot be in an environment; expected letters and digits", *path)
    return text


def _concurrency(resource: Resource) -> int | None:
    given = resource.number("ReservedConcurrentExecutions", -1)
    return None if given < 0 else int(given)
