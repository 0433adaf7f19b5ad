"""Settings: defaults < `[tool.trunkline]` of pyproject.toml < TRUNKLINE_* < flags."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.model.addresses import check_origin, parse_network
from trunkline.model.api import Limits, Rate

__all__ = ["Rate", "Settings", "parse_address", "parse_limits", "parse_rates", "settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a node runs.

    Attributes:
        host: address to listen at.
        port: port to listen at; 0 lets the system choose.
        store: where documents live: "sqlite:", "sqlite:///FILE", "dynamodb://REGION/PREFIX" or "memory:".
        web: folder of static files; None for none.
        admin: "HOST:PORT" of /live and /ready, "off", or None: 127.0.0.1, the port above.
        limit: limits that differ from those a program declares, by name.
        rate: how often something may happen, by name: "connects" and "requests" of the node, "address.connects" and
            "address.messages" of one address, "socket.NAME" and "socket.NAME.ROUTE" of a socket and of a route.
        quotas: "aws" for the rates of an AWS account where `rate` says nothing else; "none".
        like: "aws" for what API Gateway promises, and no more than that; "none" for all that Trunkline does.
        log_format: "text" for people or "json", one object a line.
        log_level: the least that is logged: "debug", "info", "warning" or "error".
        grace: seconds after SIGTERM in which new clients are still taken, while /ready says 503.
        drain: seconds after that in which handlers finish and every client is closed with 1001.
        max_connections: sockets at a time; None for no cap.
        max_per_address: sockets at a time of one IPv4 address or one IPv6 /64; None for no cap.
        trust_proxy: addresses and networks whose X-Forwarded-For is believed.
        origin: origins whose pages may connect besides those of the same host, and of this machine to this machine.
        verify_signatures: calls to @connections must be signed, from this machine, too; elsewhere they always must.
        keys: file of the keys that they may be signed with; None for none.
        host_name: names under which @connections may be called, besides those of this machine and of API Gateway.
        region: AWS Region that signatures are for and that ARNs name.
        account: AWS account that ARNs name.
        record_usage: file in which it is noted which permissions the program uses; None for none.
        parameter: values of a template's parameters, by name.
        import_value: what other stacks export to a template, by name.
        code_root: folder that a template's code is in, or further down; None for the template's own.
        dynamodb: URL of the DynamoDB that a template's functions use; dynalite or moto starts that for the run, None
            what there is.
        node_modules: folder of npm packages for a template's functions in Node, and for the DynamoDB that is started.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    store: str = "sqlite:"
    web: str | None = None
    admin: str | None = None
    limit: Mapping[str, float] = field(default_factory=dict)
    log_format: str = "text"
    log_level: str = "info"
    grace: float = 0.0
    drain: float = 30.0
    max_connections: int | None = None
    max_per_address: int | None = None
    trust_proxy: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    verify_signatures: bool = False
    keys: str | None = None
    host_name: tuple[str, ...] = ()
    region: str = "us-east-1"
    account: str = "000000000000"
    rate: Mapping[str, Rate] = field(default_factory=dict)
    quotas: str = "none"
    like: str = "none"
    record_usage: str | None = None
    parameter: Mapping[str, str] = field(default_factory=dict)
    import_value: Mapping[str, str] = field(default_factory=dict)
    code_root: str | None = None
    dynamodb: str | None = None
    node_modules: str | None = None


def _check_host_name(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", text):
        raise ConfigurationError(f"host_name {text!r}: expected a name without a port, such as api.example")


_LISTS = ("limit", "trust_proxy", "origin", "host_name", "rate", "parameter", "import_value")
_VALUES = ("parameter", "import_value")
_SECONDS = ("grace", "drain")
_COUNTS = ("max_connections", "max_per_address")
_SWITCHES = ("verify_signatures",)
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_LONGEST = 3600.0
_CHECKS: dict[str, Callable[[str], object]] = {
    "origin": check_origin,
    "trust_proxy": parse_network,
    "host_name": _check_host_name,
}
_FORMS = {
    "region": (re.compile(r"[a-z0-9]+(-[a-z0-9]+)+"), "an AWS Region, such as us-east-1"),
    "account": (re.compile(r"[0-9]{12}"), "the 12 digits of an AWS account"),
    "dynamodb": (
        re.compile(r"https?://[^/\s]+/?|dynalite|moto"),
        "a URL such as http://127.0.0.1:8000, dynalite or moto",
    ),
}
_CHOICES = {
    "log_format": ("text", "json"),
    "log_level": ("debug", "info", "warning", "error"),
    "quotas": ("none", "aws"),
    "like": ("none", "aws"),
}
_RATES = ("connects", "requests", "address.connects", "address.messages")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/([0-9]+))?")


def settings(folder: Path, flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force for a program in `folder`; a flag that is None was not given.

    Raises:
        ConfigurationError: a name or a value is wrong.
    """
    known = {f.name for f in fields(Settings)}
    merged = Settings()
    for source, values in (
        ("[tool.trunkline] of pyproject.toml", _from_pyproject(folder)),
        ("the environment", _from_environment(os.environ if environ is None else environ, known)),
        ("the command line", {name: value for name, value in flags.items() if value is not None}),
    ):
        for name, value in values.items():
            if name not in known:
                raise ConfigurationError(f"{source} sets {name!r}; known are {', '.join(sorted(known))}")
            merged = replace(merged, **{name: _typed(source, name, value, merged)})
    return merged


def parse_address(text: str, what: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT"."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise ConfigurationError(f"{what} is {text!r}; expected HOST:PORT, such as 127.0.0.1:8001")
    return host.strip("[]"), int(port)


def parse_limits(source: str, texts: list[str] | Mapping[str, Any]) -> dict[str, float]:
    """Limits by name, of "NAME=NUMBER" texts or of a table."""
    if not isinstance(texts, Mapping | list):
        raise ConfigurationError(f"{source} sets limit to {texts!r}; expected a table, or texts NAME=NUMBER")
    pairs = texts.items() if isinstance(texts, Mapping) else [_split(source, text) for text in texts]
    known = {f.name: f.type for f in fields(Limits)}
    parsed: dict[str, float] = {}
    for name, value in pairs:
        if name not in known:
            raise ConfigurationError(f"{source} limits {name!r}; known are {', '.join(known)}")
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0
        if isinstance(value, bool) or not 0 < number < float("inf") or (name.endswith("_bytes") and number % 1):
            raise ConfigurationError(f"{source} sets limit {name} to {value!r}; expected a {_kind(name)} above 0")
        parsed[name] = int(number) if name.endswith("_bytes") else number
    return parsed


def parse_rates(source: str, texts: list[str] | Mapping[str, Any]) -> dict[str, Rate]:
    """Rates by name, of "NAME=PER_SECOND" and "NAME=PER_SECOND/BURST" texts, or of a table and tables within it."""
    if not isinstance(texts, Mapping | list):
        raise ConfigurationError(f"{source} sets rate to {texts!r}; expected a table, or texts NAME=PER_SECOND/BURST")
    pairs = _flat(texts) if isinstance(texts, Mapping) else [_split_rate(source, str(text)) for text in texts]
    return {name.strip(): _rate(source, name.strip(), value) for name, value in pairs}


def _split_rate(source: str, text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")  # a route may have one in it
    if not equals:
        raise ConfigurationError(f"{source} has rate {text!r}; expected NAME=PER_SECOND/BURST, such as connects=20/40")
    return name, value


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """TOML takes a name with dots for tables in tables."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _rate(source: str, name: str, value: Any) -> Rate:
    if name not in _RATES and not (name.startswith("socket.") and all(name.split(".", 2)[1:])):
        raise ConfigurationError(
            f"{source} has rate {name!r}; known are {', '.join(_RATES)}, socket.NAME and socket.NAME.ROUTE"
        )
    if isinstance(value, Rate):
        return value
    found = _RATE.fullmatch(str(value).strip())
    per_second = float(found[1]) if found else 0.0
    burst = int(found[2]) if found and found[2] else math.ceil(per_second)
    if not per_second or not burst:
        raise ConfigurationError(
            f"{source} sets rate {name} to {value!r}; expected PER_SECOND or PER_SECOND/BURST above 0, such as "
            "500 or 10000/5000"
        )
    return Rate(per_second, burst)


def _values(source: str, setting: str, texts: Any) -> dict[str, str]:
    """Values by name, of "NAME=VALUE" texts or of a table."""
    if isinstance(texts, Mapping):
        return {str(name): str(value) for name, value in texts.items()}
    pairs = [str(text).partition("=") for text in (texts if isinstance(texts, list | tuple) else [texts])]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise ConfigurationError(f"{source} has {setting} {name!r}; expected NAME=VALUE, such as TableName=chat")
    return {name: value for name, _, value in pairs}


def _kind(limit: str) -> str:
    return "whole number" if limit.endswith("_bytes") else "number"


def _split(source: str, text: str) -> tuple[str, str]:
    name, equals, value = str(text).partition("=")
    if not equals:
        raise ConfigurationError(f"{source} has limit {text!r}; expected NAME=NUMBER, such as frame_bytes=65536")
    return name.strip(), value.strip()


def _from_pyproject(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
    tool = table.get("tool", {})
    found = tool.get("trunkline", {}) if isinstance(tool, dict) else {}
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file} has tool.trunkline = {found!r}; expected a table [tool.trunkline]")
    return found


def _from_environment(environ: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in known:
        value = environ.get(f"TRUNKLINE_{name.upper()}")
        if value:
            found[name] = [part.strip() for part in value.split(",")] if name in _LISTS else value
    return found


def _typed(source: str, name: str, value: Any, merged: Settings) -> Any:
    if name == "limit":
        return {**merged.limit, **parse_limits(source, value)}
    if name == "rate":
        return {**merged.rate, **parse_rates(source, value)}
    if name in _VALUES:
        return {**getattr(merged, name), **_values(source, name, value)}
    if name == "port":
        try:
            port = -1 if isinstance(value, bool | float) else int(value)
        except (TypeError, ValueError):
            port = -1
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"{source} sets port to {value!r}; expected 0 to 65535")
        return port
    if name in _SECONDS:
        return _seconds(source, name, value)
    if name in _COUNTS:
        return _count(source, name, value)
    if name in _LISTS:
        return _texts(source, name, value)
    if name in _SWITCHES:
        return _switch(source, name, value)
    if not isinstance(value, str):
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected a text")
    if name in _FORMS and not _FORMS[name][0].fullmatch(value):
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected {_FORMS[name][1]}")
    return _chosen(source, name, value) if name in _CHOICES else value


def _seconds(source: str, name: str, value: Any) -> float:
    try:
        seconds = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected seconds from 0 to {_LONGEST:g}")
    return seconds


def _count(source: str, name: str, value: Any) -> int:
    try:
        count = 0 if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected a whole number above 0")
    return count


def _texts(source: str, name: str, value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected a list of texts")
    for text in texts:
        _CHECKS[name](text)
    return tuple(texts)


def _switch(source: str, name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in _YES + _NO:
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected true or false")
    return word in _YES


def _chosen(source: str, name: str, value: str) -> str:
    if value.lower() not in _CHOICES[name]:
        raise ConfigurationError(f"{source} sets {name} to {value!r}; expected {' or '.join(_CHOICES[name])}")
    return value.lower()
