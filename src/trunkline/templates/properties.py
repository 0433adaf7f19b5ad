"""The properties of a resource, resolved as far as something here reads them."""

from __future__ import annotations

from typing import Any

from trunkline.model.deployment import Warned
from trunkline.templates.intrinsics import ElsewhereError, Resolver

__all__ = ["resolved"]

# Of networks, keys, roles and logs, which only AWS has: whatever they say, what runs here runs the same.
_UNREAD = {
    "AccessLogSettings", "AuthorizerCredentialsArn", "CodeSigningConfigArn", "ConnectionId", "CredentialsArn",
    "DeadLetterConfig", "Description", "FileSystemConfigs", "KinesisStreamSpecification", "KmsKeyArn", "LoggingConfig",
    "Role", "SSESpecification", "Tags", "TracingConfig", "VpcConfig",
}  # fmt: skip


def resolved(resolver: Resolver, given: Any, path: tuple[Any, ...], warnings: list[Warned]) -> Any:
    """What stands under `Properties`, its functions replaced by what they give.

    What another stack says is no error where nothing here needs it: a property that is not read stays as it is
    written, and a layer is left out with a warning.

    Raises:
        ConfigurationError: with file and line.
    """
    if not isinstance(given, dict) or any(name == "Ref" or name.startswith("Fn::") for name in given):
        return resolver.resolve(given, *path)
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key == "Layers" and isinstance(value, list):
            made[key] = _layers(resolver, value, (*path, key), warnings)
            continue
        try:
            made.update(resolver.resolve({key: value}, *path))
        except ElsewhereError:
            if key not in _UNREAD:
                raise
            made[key] = value
    return made


def _layers(resolver: Resolver, given: list[Any], path: tuple[Any, ...], warnings: list[Warned]) -> list[Any]:
    layers: list[Any] = []
    for index, layer in enumerate(given):
        try:
            layers += resolver.resolve([layer], *path[:-1], path[-1])
        except ElsewhereError:
            where = resolver.document.where(*path, index)
            warnings.append(Warned(where, "a layer is left out: Fn::ImportValue reads another stack, and none is here"))
    return layers
