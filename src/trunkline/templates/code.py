"""Where a function's code is: beside its template, or below a folder that somebody names, and nowhere else."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.resource import Resource

__all__ = ["LOCAL_BUCKET", "NoCodeError", "NotHere", "local_code"]

LOCAL_BUCKET = "trunkline-local-code"  # stands for the template's folder while SAM's transform wants an S3 address


class NoCodeError(ConfigurationError):
    """There is no such folder or zip file."""


class NotHere(Exception):  # noqa: N818
    """The code is in S3. The text says where."""


def local_code(resource: Resource, key: str) -> Path:
    """The folder or zip file that a resource's `Code` or `Content` means.

    Raises:
        NotHere: it is in S3, and nothing beside the template is it.
        NoCodeError: there is no such folder or zip file.
        ConfigurationError: it leaves the folder that code may be in.
    """
    code = resource.properties.get(key)
    if isinstance(code, str) and not code.startswith("s3://"):
        return _confined(resource, key, code)
    if isinstance(code, dict) and code.get("S3Bucket") == LOCAL_BUCKET:
        return _confined(resource, key, code.get("S3Key"))
    asset = resource.metadata.get("aws:asset:path")
    if isinstance(asset, str):
        return _confined(resource, key, asset)
    return _beside(resource, key, code)


def _beside(resource: Resource, key: str, code: Any) -> Path:
    address = code.get("S3Key") if isinstance(code, dict) else code
    if not isinstance(address, str):
        raise resource.error(f"{key} is {code!r}; expected a folder or a zip file", key)
    name = address.rsplit("/", 1)[-1]
    # The Serverless Framework leaves its zip files there by their names, CDK its folders by their hashes.
    for beside in (name, f"asset.{name}", f"asset.{name.removesuffix('.zip')}"):
        if name.endswith(".zip") and _is_there(resource.document.file.parent / beside):
            return _confined(resource, key, beside)
    raise NotHere(f"its code is in S3, {address}, and there is no {name} beside the template")


def _leaves(text: str, folder: Path, root: Path) -> str:
    if root == folder:
        return (
            f"code {text!r} leaves the template's folder; expected a path inside it, or --code-root with a folder that "
            "holds both"
        )
    return f"code {text!r} leaves {root}, which --code-root says; expected a path inside it"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _confined(resource: Resource, key: str, text: Any) -> Path:
    if not isinstance(text, str) or "\0" in text:
        raise resource.error(f"{key} is {text!r}; expected a folder or a zip file", key)
    folder = resource.document.file.parent.resolve()
    root = resource.document.root.resolve()
    try:
        path = (folder / text).resolve()
        if not path.is_relative_to(root):
            raise resource.error(_leaves(text, folder, root), key)
        if path.is_dir() or zipfile.is_zipfile(path):
            return path
    except (OSError, RuntimeError):  # a name that is too long, or symbolic links in a circle
        pass
    wrong = f"there is no code at {text!r}; expected a folder or a zip file beside the template"
    raise NoCodeError(str(resource.error(wrong, key)))
