"""The variables that make a function's calls to AWS reach this machine."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.functions.shims import NODE_PRELOAD, PYTHON_FOLDER

__all__ = ["variables"]

_ONE_SERVICE = re.compile(r"AWS_ENDPOINT_URL_[A-Z0-9_]+")


def variables(
    *,
    host: str,
    port: int,
    region: str,
    stages: Sequence[tuple[str, str]],
    dynamodb: str | None = None,
    names: Sequence[str] = (),
    ca: Path | None = None,
    bundle: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """What a worker's environment gets. PYTHONPATH and NODE_OPTIONS are to be joined with what is there already.

    The global AWS_ENDPOINT_URL is never among them: it would lead every service here.

    Args:
        host, port: where the gateway listens.
        region: where the functions believe to be.
        stages: id of the Api and name of each stage; a call without an endpoint means the first.
        dynamodb: URL of the tables; None leaves calls to them alone.
        names: further domain names whose connections are led to the gateway.
        ca: the certificate of this machine's own authority, if the gateway speaks TLS.
        bundle: the authorities of the world, and ours.
        environment: ours, where a user may have said where the services are that are not here.
    """
    address = f"{_reachable(host)}:{port}"
    found = {name: url for name, url in environment.items() if _ONE_SERVICE.fullmatch(name)}
    found |= {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL_LAMBDA": f"http://{address}",
        "TRUNKLINE_LEAD_TO": address,
        "TRUNKLINE_LEAD_NAMES": ",".join(names),
        "PYTHONPATH": str(PYTHON_FOLDER),
        "NODE_OPTIONS": f"--require {_quoted(NODE_PRELOAD)}",
    }
    for _, stage in stages[:1]:
        found["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = f"http://{address}/{stage}"
    if dynamodb is not None:
        found["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb
    if ca is not None:
        found |= {"NODE_EXTRA_CA_CERTS": str(ca), "TRUNKLINE_LEAD_CA": str(ca)}
    if bundle is not None:
        found["AWS_CA_BUNDLE"] = str(bundle)
    return found


def _reachable(host: str) -> str:
    """How this machine reaches what listens at an address, as it stands in a URL."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"  # what listens at all of IPv6 takes IPv4 too, unless the system says otherwise
    return f"[{host}]" if address.version == 6 else host


def _quoted(path: Path) -> str:
    """A path in NODE_OPTIONS, where a space parts options."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
