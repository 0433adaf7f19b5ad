"""TLS for this machine alone: a certificate authority of its own, known to nobody but the functions that run here."""

from __future__ import annotations

import contextlib
import importlib
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    import trustme

__all__ = ["Certificates", "local_certificates"]

_KEY, _CERTIFICATE, _BUNDLE = "ca-key.pem", "ca.pem", "ca-bundle.pem"


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a gateway speaks TLS with, and what its clients trust in.

    Attributes:
        context: the server's, with a certificate made for this run.
        ca: file with the authority's certificate.
        bundle: file with it and with those that clients of AWS usually trust in.
    """

    context: ssl.SSLContext
    ca: Path
    bundle: Path


def local_certificates(folder: Path, names: Sequence[str]) -> Certificates:
    """Certificates of the authority that is kept in a folder; it is made the first time. Its files are 0600.

    Args:
        names: names and addresses that the server has, such as `localhost`, `127.0.0.1` and `*.example.com`.

    Raises:
        ConfigurationError: trustme is not installed, or what is kept there is no authority.
    """
    try:
        import trustme  # noqa: F401
    except ImportError:
        raise ConfigurationError("TLS on this machine needs trustme: pip install 'trunkline[aws]'") from None
    authority = _authority(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    _keep(folder / _BUNDLE, _usual() + b"\n" + authority.cert_pem.bytes())
    return Certificates(context, folder / _CERTIFICATE, folder / _BUNDLE)


def _authority(folder: Path) -> trustme.CA:
    import trustme

    key, certificate = folder / _KEY, folder / _CERTIFICATE
    try:
        if key.exists() and certificate.exists():
            return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = trustme.CA(organization_name="Trunkline", organization_unit_name="this machine only")
        _keep(certificate, made.cert_pem.bytes())
        _keep(key, made.private_key_pem.bytes())
    except ValueError as error:
        raise ConfigurationError(
            f"{folder} holds no certificate authority: {error}; remove it, and one is made"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot keep a certificate authority: {error}") from None
    return made


def _usual() -> bytes:
    """The authorities that AWS's clients trust in."""
    try:
        return Path(importlib.import_module("certifi").where()).read_bytes()
    except ImportError:  # botocore has a copy of it
        return (Path(importlib.import_module("botocore").__file__ or "").parent / "cacert.pem").read_bytes()


def _keep(file: Path, content: bytes) -> None:
    """Whole or not at all, and readable by its owner alone."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(content)
        Path(name).replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
