"""What AWS refuses is one line, which says what to do where that is known."""

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    SSOTokenLoadError,
)

from trunkline.aws.account import Account, open_account, refusals
from trunkline.errors import ConfigurationError


def refused(code, message="It is so.\n  Really."):
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (refused("AccessDenied"), "AWS refused DescribeStacks: AccessDenied: It is so. Really."),
        (refused("Throttling", ""), "AWS refused DescribeStacks: Throttling"),
        (refused("ExpiredToken"), "the credentials for AWS have expired: log in again (It is so. Really.)"),
        (refused("InvalidClientTokenId"), "AWS does not know these credentials: It is so. Really."),
        (EndpointConnectionError(endpoint_url="https://x"), 'AWS: Could not connect to the endpoint URL: "https://x"'),
        (SSOTokenLoadError(error_msg="none"), "AWS: Error loading SSO Token: none"),
        (S3UploadFailedError("Failed to upload"), "AWS: Failed to upload"),
    ],
)
def test_an_error_of_aws_is_one_line(error, line):
    with pytest.raises(ConfigurationError) as told, refusals():
        raise error
    assert str(told.value) == line


@pytest.mark.parametrize("error", [NoCredentialsError(), NoRegionError()])
def test_what_is_only_missed_later_is_told_like_what_is_missed_at_once(error):
    with pytest.raises(ConfigurationError, match=r"^there (are|is) no "), refusals():
        raise error


def test_an_error_of_ours_is_left_as_it_is():
    with pytest.raises(ConfigurationError, match="^ours$"), refusals():
        raise ConfigurationError("ours")


def test_an_account_is_shown_with_its_region_and_without_its_keys():
    session = boto3.Session("AKIA", "secret", region_name="eu-west-1")
    account = Account("123456789012", "eu-west-1", session)
    assert str(account) == "account 123456789012, eu-west-1"
    assert repr(account) == "Account(id='123456789012', region='eu-west-1')"
    assert account.client("s3") is account.client("s3")


def test_a_profile_says_the_region(tmp_path, monkeypatch):
    file = tmp_path / "config"
    file.write_text("[profile work]\nregion = eu-north-1\n")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match="there are no credentials for AWS"):
        open_account("work", None)
    with pytest.raises(ConfigurationError, match=r"profile \(home\) could not be found; aws configure list-profiles"):
        open_account("home", None)
