"""The keys that management calls are signed with: who may call, and what.

A file of keys is JSON: a list of objects with the names that AWS gives these things. Only its owner may read it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trunkline.config import Settings
from trunkline.errors import ConfigurationError
from trunkline.model.addresses import is_loopback
from trunkline.model.policies import MalformedPolicy, evaluate

__all__ = ["Key", "keys_of", "load_keys"]

_NAMES = ("AccessKeyId", "Arn", "Policy", "SecretAccessKey", "SessionToken")
_TEXT = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Key:
    """Who may call.

    Attributes:
        access_key_id: the name of the key.
        secret: what signatures are made with.
        session_token: what must come with a signature of it; None for a key that has none.
        arn: who its owner is, for messages.
        policy: the IAM policy of what it may do; None lets it do everything.
    """

    access_key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    arn: str = ""
    policy: Mapping[str, Any] | None = None


def keys_of(settings: Settings) -> list[Key] | None:
    """The keys that a node's settings name; None if they name none.

    Raises:
        ConfigurationError: the file cannot be used, or there is none where calls must be signed.
    """
    if settings.keys is not None:
        return load_keys(settings.keys, settings.account)
    if settings.verify_signatures:
        raise ConfigurationError("signatures cannot be verified without keys; pass --keys FILE")
    if not is_loopback(settings.host):
        raise needs_keys(settings.host)
    return None


def needs_keys(host: str) -> ConfigurationError:
    """For a node that others than this machine can reach."""
    return ConfigurationError(
        f"others than this machine can reach {host or 'every address'}, so calls to @connections must be signed; "
        "pass --keys FILE, with [] in it to let nobody call"
    )


def load_keys(file: str, account: str) -> list[Key]:
    """The keys of a JSON file: a list of objects, with the names that AWS gives these things.

    Args:
        account: whose users the owners of keys without an Arn are.

    Raises:
        ConfigurationError: it cannot be read, others may read it, or it holds something else.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as opened:
            if os.name == "posix" and stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                raise ConfigurationError(f"keys {file}: others may read it; type chmod 600 {Path(file).name}")
            found = json.loads(opened.read())
    except OSError as error:
        raise ConfigurationError(f"keys {file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"keys {file} is no JSON") from None
    if not isinstance(found, list):
        raise ConfigurationError(f"keys {file}: expected a list of objects with AccessKeyId and SecretAccessKey")
    keys = [_key(f"keys {file}: key {number}", entry, account) for number, entry in enumerate(found, 1)]
    if len({key.access_key_id for key in keys}) != len(keys):
        raise ConfigurationError(f"keys {file}: an AccessKeyId is there twice")
    return keys


def _key(where: str, entry: Any, account: str) -> Key:
    # No value is told: whatever it is, it may be a secret.
    if not isinstance(entry, dict) or not entry.keys() >= {"AccessKeyId", "SecretAccessKey"}:
        raise ConfigurationError(f"{where}: expected an object with AccessKeyId and SecretAccessKey")
    if unknown := sorted(entry.keys() - set(_NAMES)):
        raise ConfigurationError(f"{where} has {unknown[0]!r}; known are {', '.join(_NAMES)}")
    for name in set(entry) - {"Policy"}:
        if not isinstance(entry[name], str) or not _TEXT.fullmatch(entry[name]):
            raise ConfigurationError(f"{where}: {name} must be a text of visible ASCII characters")
    name = entry["AccessKeyId"]
    return Key(
        name,
        entry["SecretAccessKey"],
        entry.get("SessionToken"),
        entry.get("Arn", f"arn:aws:iam::{account}:user/{name}"),
        _policy(where, entry.get("Policy")),
    )


def _policy(where: str, policy: Any) -> Any:
    if policy is not None:
        try:
            evaluate(policy, "execute-api:ManageConnections", "arn:aws:execute-api:::")
        except MalformedPolicy as error:
            raise ConfigurationError(f"{where}: Policy: {error}") from None
    return policy
