"""From a program that is ready for AWS to a stack: what has to be known before, and what is uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.aws.account import Account, code_of
from trunkline.aws.bucket import Bucket, State
from trunkline.aws.package import Package
from trunkline.aws.rendering import render
from trunkline.aws.synthesis import Synthesis
from trunkline.aws.template import make_template

if TYPE_CHECKING:
    from trunkline.aws.options import Options
    from trunkline.config import Settings

__all__ = ["MOST_INLINE", "absent", "can_log_access", "template_for", "text_of", "without_access_log"]

MOST_INLINE = 51_200  # CloudFormation's quota: a template that is handed over with the call


def can_log_access(account: Account) -> bool:
    """Whether API Gateway has the role of the account that it writes access logs with; True if nobody may know."""
    from botocore.exceptions import ClientError

    try:
        return bool(account.client("apigateway").get_account().get("cloudwatchRoleArn"))
    except ClientError as error:
        if code_of(error) in {"AccessDeniedException", "AccessDenied"}:
            return True
        raise


def without_access_log(made: Synthesis, options: Options, settings: Settings) -> Synthesis:
    """The same program, whose sockets log no line for each request."""
    less = replace(options, access_log=False, rates={**settings.rate, **options.rates})
    keys = {name: package.path.name for name, package in made.packages.items()}
    return replace(made, template=make_template(made.program, less, keys))


def text_of(made: Synthesis) -> str:
    """The template as it is deployed: what `synth` writes."""
    return render(made.template)


def template_for(text: str, name: str, bucket: Bucket) -> Mapping[str, str]:
    """A template as CloudFormation takes it: with the call, or if it is too long, through the bucket."""
    if len(text.encode()) <= MOST_INLINE:
        return {"TemplateBody": text}
    key = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.template.yaml"
    return {"TemplateURL": bucket.put(text, key)}


def absent(bucket: Bucket, packages: Mapping[str, Package], state: State) -> list[Package]:
    """The zips that are not in the bucket; two functions may have the same."""
    found = {package.path.name: package for package in packages.values()}
    return [package for key, package in sorted(found.items()) if state is State.MISSING or not bucket.has(key)]
