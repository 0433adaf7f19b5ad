"""The account and Region of AWS that a program goes to, and AWS's refusals as one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trunkline.errors import ConfigurationError

__all__ = ["Account", "code_of", "open_account", "refusals"]

_NO_CREDENTIALS = (
    "there are no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a --profile, or log in "
    "with aws configure or aws sso login"
)
_NO_REGION = "there is no AWS Region: give --region, set AWS_DEFAULT_REGION, or write it into the profile"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"}
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 10, 60, 6


@dataclass(frozen=True, slots=True)
class Account:
    """An account of AWS in one Region.

    Attributes:
        id: its twelve digits.
    """

    id: str
    region: str
    _session: Any = field(repr=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"account {self.id}, {self.region}"

    def client(self, service: str) -> Any:
        """boto3's client of a service, the same one each time."""
        if service not in self._clients:
            self._clients[service] = _client(self._session, service)
        return self._clients[service]


def open_account(profile: str | None, region: str | None) -> Account:
    """The account that the credentials belong to, as boto3 finds them.

    Raises:
        ConfigurationError: there are none, no Region, or AWS does not know them.
    """
    try:
        import boto3
        from botocore.exceptions import ProfileNotFound
    except ImportError:
        raise ConfigurationError("deploying needs boto3: pip install 'trunkline[aws]'") from None
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
    except ProfileNotFound as error:
        raise ConfigurationError(f"{error}; aws configure list-profiles lists them") from None
    with refusals():
        if session.region_name is None:
            raise ConfigurationError(_NO_REGION)
        if session.get_credentials() is None:
            raise ConfigurationError(_NO_CREDENTIALS)
        identity = _client(session, "sts").get_caller_identity()
    return Account(identity["Account"], session.region_name, session)


def _client(session: Any, service: str) -> Any:
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries=retries)
    return session.client(service, config=config)


def code_of(error: Any) -> str:
    """AWS's word for what was wrong with a call, of a ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def refusals() -> Iterator[None]:
    """Say what AWS refuses, and that it cannot be reached, in one line.

    Raises:
        ConfigurationError: in place of the errors of boto3.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except NoCredentialsError:
        raise ConfigurationError(_NO_CREDENTIALS) from None
    except NoRegionError:
        raise ConfigurationError(_NO_REGION) from None
    except ClientError as error:
        raise ConfigurationError(_refusal(error)) from None
    except (BotoCoreError, Boto3Error) as error:
        raise ConfigurationError(f"AWS: {_one_line(error)}") from None


def _refusal(error: Any) -> str:
    code, said = code_of(error), _one_line(error.response.get("Error", {}).get("Message", ""))
    if code in _EXPIRED:
        return f"the credentials for AWS have expired: log in again ({said})"
    if code in _UNKNOWN:
        return f"AWS does not know these credentials: {said}"
    return f"AWS refused {error.operation_name}: {code}{': ' if said else ''}{said}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
