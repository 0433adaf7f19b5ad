"""SAM's shorthand, written out by AWS's own transform.

The transform is made for a template whose code is in S3 already, and for whole stacks. So it is given what runs here:
local code is given an address that `code` knows again, and what makes other resources (events, policies, other Apis)
is taken out beforehand, so that it cannot stop a template for what is not run.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.model.deployment import Warned
from trunkline.templates.code import LOCAL_BUCKET
from trunkline.templates.document import Document
from trunkline.templates.loader import needed
from trunkline.templates.sections import resource_path, section

__all__ = ["RUN", "TRANSFORM", "is_sam", "transformed"]

_SERVERLESS = "AWS::Serverless::"
TRANSFORM = "AWS::Serverless-2016-10-31"
RUN = {_SERVERLESS + name for name in ("Function", "WebSocketApi", "SimpleTable", "LayerVersion")}
_LEFT_OUT = ("Events", "Policies", "DeploymentPreference")
# What SAM makes of events, which other resources may name.
_IMPLICIT = {
    "Api": {
        "ServerlessRestApi": "AWS::ApiGateway::RestApi",
        "ServerlessRestApiDeployment": "AWS::ApiGateway::Deployment",
        "ServerlessRestApiProdStage": "AWS::ApiGateway::Stage",
    },
    "HttpApi": {"ServerlessHttpApi": "AWS::ApiGatewayV2::HttpApi"},
}


def is_sam(document: Document) -> bool:
    """Whether a template asks for SAM's transform."""
    asked = document.data.get("Transform")
    return TRANSFORM in (asked if isinstance(asked, list) else [asked])


def transformed(document: Document, parameters: dict[str, Any], region: str, warnings: list[Warned]) -> dict[str, Any]:
    """The template in CloudFormation's words.

    Raises:
        ConfigurationError: the transform finds an error, or its package is not installed.
    """
    data = _copied(document.data)
    resources = section(document, data, "Resources")
    kept_aside = {}
    left = False
    for logical_id, resource in list(resources.items()):
        kind = resource.get("Type") if isinstance(resource, dict) else None
        if isinstance(kind, str) and kind.startswith(_SERVERLESS):
            if kind in RUN:
                left = True
                kept_aside.update(_prepare(document, logical_id, resource, data, warnings))
            else:
                kept_aside[logical_id] = {"Type": kind}
                del resources[logical_id]
    _prepare_globals(data)
    made = _run(document, data, parameters, region) if left else data
    made["Resources"] = {**kept_aside, **made.get("Resources", {})}
    return made


def _copied(value: Any) -> Any:
    """A copy in which aliases are written out, as the transform changes what it is given."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _prepare(
    document: Document, logical_id: str, resource: dict[str, Any], data: dict[str, Any], warnings: list[Warned]
) -> dict[str, Any]:
    properties = resource.setdefault("Properties", {})
    if not isinstance(properties, dict):
        raise document.error(f"{logical_id} has no mapping Properties; expected one", "Resources", logical_id)
    resource.pop("Connectors", None)
    implied: dict[str, Any] = {}
    if resource["Type"] == _SERVERLESS + "Function":
        implied = _events(document, logical_id, properties, warnings)
        for name in _LEFT_OUT:
            properties.pop(name, None)
        _with_code(properties, _shared(data, "Function"))
    metadata = resource.get("Metadata")
    # sam build leaves it in what it writes, with the id of the resource that it has built.
    if isinstance(metadata, dict) and "BuildMethod" in metadata and "SamResourceId" not in metadata:
        text = f"{logical_id} has a BuildMethod; its code is run as it is: sam build writes the built template"
        warnings.append(Warned(document.where("Resources", logical_id, "Metadata", "BuildMethod"), text))
    _localise(properties, "CodeUri")
    _localise(properties, "ContentUri")
    return implied


def _events(
    document: Document, logical_id: str, properties: dict[str, Any], warnings: list[Warned]
) -> dict[str, dict[str, str]]:
    events = properties.get("Events")
    implied: dict[str, dict[str, str]] = {}
    for name, event in (events if isinstance(events, dict) else {}).items():
        kind = event.get("Type") if isinstance(event, dict) else None
        path = ("Resources", logical_id, "Properties", "Events", name)
        warnings.append(Warned(document.where(*path), f"event {name} ({kind}) of {logical_id} does not happen here"))
        if isinstance(kind, str):
            implied.update({key: {"Type": made} for key, made in _IMPLICIT.get(kind, {}).items()})
    return implied


def _shared(data: dict[str, Any], kind: str) -> dict[str, Any]:
    """What Globals says of all resources of a kind."""
    found = data.get("Globals")
    found = found.get(kind) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _with_code(properties: dict[str, Any], shared: dict[str, Any]) -> None:
    if "Image" in (properties.get("PackageType"), shared.get("PackageType")):
        properties.setdefault("ImageUri", "image:local")  # sam build would make it
    elif not any(name in given for name in ("CodeUri", "InlineCode", "ImageUri") for given in (properties, shared)):
        properties["CodeUri"] = "."


def _localise(properties: dict[str, Any], name: str) -> None:
    code = properties.get(name)
    if (isinstance(code, str) and not code.startswith("s3://")) or (isinstance(code, dict) and len(code) == 1):
        properties[name] = {"Bucket": LOCAL_BUCKET, "Key": code}


def _prepare_globals(data: dict[str, Any]) -> None:
    _localise(_shared(data, "Function"), "CodeUri")
    _localise(_shared(data, "LayerVersion"), "ContentUri")


def _run(document: Document, data: dict[str, Any], parameters: dict[str, Any], region: str) -> dict[str, Any]:
    try:
        from samtranslator.model.exceptions import ExceptionWithMessage  # type: ignore[import-untyped]
        from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
        from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
        from samtranslator.utils.py27hash_fix import (  # type: ignore[import-untyped]
            to_py27_compatible_template,
            undo_mark_unicode_str_in_template,
        )
    except ImportError:
        raise needed("aws-sam-translator") from None
    try:
        to_py27_compatible_template(data, parameters)
        # It asks a boto3 session for its region and for nothing else; a real one would read the user's profiles.
        session: Any = SimpleNamespace(region_name=region)
        translator = Translator({}, Parser(), boto_session=session)
        try:
            made = translator.translate(data, parameters, passthrough_metadata=True)
        finally:
            translator.metrics.publish()  # to nobody; it complains on stderr otherwise
        return undo_mark_unicode_str_in_template(made)  # type: ignore[no-any-return]
    except ExceptionWithMessage as error:
        raise _invalid(document, error) from None
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - it trips over what it does not expect
        text = f"SAM's transform fails with {type(error).__name__}: {error}; expected a SAM template"
        raise document.error(text, "Resources") from None


def _invalid(document: Document, error: Any) -> ConfigurationError:
    causes = getattr(error, "causes", None) or [error]
    lines = []
    for cause in causes:
        logical_id = getattr(cause, "_logical_id", None)
        path = resource_path(document, logical_id) if isinstance(logical_id, str) else ("Resources",)
        lines.append(f"{document.where(*path)}: {cause.message}")
    return ConfigurationError("\n".join(lines))
