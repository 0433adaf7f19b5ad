"""The bucket that functions' code is uploaded to: one that is given, or one of ours for each account and Region."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from trunkline.aws.account import Account, code_of
from trunkline.errors import ConfigurationError

__all__ = ["Bucket", "State", "bucket_of"]

_ABSENT = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}
_FOREIGN = {"403", "AccessDenied"}
_FIRST_REGION = "us-east-1"  # where S3 takes no LocationConstraint


class State(Enum):
    """What there is of a bucket."""

    MISSING = "missing"
    UNFINISHED = "unfinished"  # somebody stopped us while we made it
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of an account.

    Attributes:
        ours: it is made when it is missing, and must belong to the account.
    """

    name: str
    account: Account
    ours: bool

    def state(self) -> State:
        """What there is of it.

        Raises:
            ConfigurationError: it is somebody else's, in another Region, or missing though it was given.
        """
        from botocore.exceptions import ClientError

        try:
            found = self._s3.head_bucket(Bucket=self.name, **self._owner)
        except ClientError as error:
            return self._missing(error)
        if (region := found.get("BucketRegion", self.account.region)) != self.account.region:
            raise ConfigurationError(f"bucket {self.name} is in {region}; Lambda needs it in {self.account.region}")
        return State.READY if not self.ours or self._has_policy() else State.UNFINISHED

    def make(self) -> None:
        """Make it, or finish it: private, encrypted, and for nobody without TLS. The policy comes last."""
        from botocore.exceptions import ClientError

        where = {"CreateBucketConfiguration": {"LocationConstraint": self.account.region}}
        more = {} if self.account.region == _FIRST_REGION else where
        try:
            self._s3.create_bucket(Bucket=self.name, ObjectOwnership="BucketOwnerEnforced", **more)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
        self._s3.put_public_access_block(
            Bucket=self.name, PublicAccessBlockConfiguration=dict.fromkeys(closed, True), **self._owner
        )
        self._s3.put_bucket_encryption(Bucket=self.name, ServerSideEncryptionConfiguration=encrypted, **self._owner)
        self._s3.put_bucket_policy(Bucket=self.name, Policy=json.dumps(self._policy()), **self._owner)

    def has(self, key: str) -> bool:
        """Whether something is there under this name, which says its content."""
        from botocore.exceptions import ClientError

        try:
            self._s3.head_object(Bucket=self.name, Key=key, **self._owner)
        except ClientError as error:
            if code_of(error) in _ABSENT | _FOREIGN:  # S3 also says 403 to whoever may not list
                return False
            raise
        return True

    def upload(self, path: Path, key: str, sent: Callable[[int], None] | None = None) -> None:
        """Put a file there, checked by its hash on the way.

        Args:
            sent: told of each number of bytes, by other threads.
        """
        extra = {"ChecksumAlgorithm": "SHA256", **self._owner}
        self._s3.upload_file(str(path), self.name, key, ExtraArgs=extra, Callback=sent)

    def put(self, text: str, key: str) -> str:
        """Put a text there; its address, as CloudFormation takes it."""
        self._s3.put_object(Bucket=self.name, Key=key, Body=text.encode(), ChecksumAlgorithm="SHA256", **self._owner)
        return f"{self._s3.meta.endpoint_url}/{self.name}/{key}"

    @property
    def _s3(self) -> Any:
        return self.account.client("s3")

    @property
    def _owner(self) -> dict[str, str]:
        """What keeps code from a bucket that somebody else made under the name of ours."""
        return {"ExpectedBucketOwner": self.account.id} if self.ours else {}

    def _missing(self, error: Any) -> State:
        code = code_of(error)
        if code in _FOREIGN:
            raise ConfigurationError(
                f"bucket {self.name} is not one of account {self.account.id}, or these credentials may not use it; "
                "expected one that they may: --bucket NAME"
            ) from None
        if code not in _ABSENT:
            raise error
        if not self.ours:
            raise ConfigurationError(f"there is no bucket {self.name}; leave --bucket out, and one is made") from None
        return State.MISSING

    def _has_policy(self) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._s3.get_bucket_policy(Bucket=self.name, **self._owner)
        except ClientError as error:
            if code_of(error) == "NoSuchBucketPolicy":
                return False
            raise
        return True

    def _policy(self) -> dict[str, Any]:
        arn = f"arn:{self._partition}:s3:::{self.name}"
        statement = {
            "Sid": "OnlyWithTLS", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }  # fmt: skip
        return {"Version": "2012-10-17", "Statement": [statement]}

    @property
    def _partition(self) -> str:
        return str(self._s3.meta.partition)


def bucket_of(account: Account, given: str | None) -> Bucket:
    """The bucket for code: the given one, or ours, whose name says account and Region."""
    return Bucket(given or f"trunkline-{account.id}-{account.region}", account, ours=given is None)
