"""The bucket for code, as far as S3 has to answer what moto never does: whose it is, and where."""

import json

import boto3
import pytest
from botocore.stub import ANY, Stubber

from trunkline.aws.account import Account, refusals
from trunkline.aws.bucket import State, bucket_of
from trunkline.errors import ConfigurationError

NAME, OWNER = "trunkline-123456789012-eu-west-1", {"ExpectedBucketOwner": "123456789012"}


@pytest.fixture
def s3():
    """S3, which answers what a test says, and nothing else."""
    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    with Stubber(session.client("s3")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def bucket(s3, given=None, region="eu-west-1"):
    return bucket_of(Account("123456789012", region, None, {"s3": s3.client}), given)


def test_our_bucket_is_only_used_if_it_is_the_accounts_own(s3):
    s3.add_client_error("head_bucket", "403", http_status_code=403, expected_params={"Bucket": NAME, **OWNER})
    with pytest.raises(ConfigurationError, match=f"bucket {NAME} is not one of account 123456789012"):
        bucket(s3).state()


def test_a_bucket_in_another_region_is_refused(s3):
    s3.add_response("head_bucket", {"BucketRegion": "us-east-1"}, {"Bucket": "mine"})
    with pytest.raises(ConfigurationError, match="bucket mine is in us-east-1; Lambda needs it in eu-west-1"):
        bucket(s3, "mine").state()


@pytest.mark.parametrize("code", ["404", "NoSuchBucket"])
def test_our_bucket_may_be_missing_and_one_that_is_given_may_not(s3, code):
    for _ in range(2):
        s3.add_client_error("head_bucket", code, http_status_code=404)
    assert bucket(s3).state() is State.MISSING
    with pytest.raises(ConfigurationError, match="there is no bucket mine"):
        bucket(s3, "mine").state()


def test_another_refusal_is_told_as_it_is(s3):
    s3.add_client_error("head_bucket", "503", "Slow down", http_status_code=503)
    with pytest.raises(ConfigurationError, match="AWS refused HeadBucket: 503: Slow down"), refusals():
        bucket(s3).state()


def test_our_bucket_is_ready_when_it_has_its_policy_which_comes_last(s3):
    s3.add_response("head_bucket", {})
    s3.add_response("get_bucket_policy", {"Policy": "{}"}, {"Bucket": NAME, **OWNER})
    s3.add_response("head_bucket", {})
    s3.add_client_error("get_bucket_policy", "NoSuchBucketPolicy", http_status_code=404)
    assert bucket(s3).state() is State.READY
    assert bucket(s3).state() is State.UNFINISHED


@pytest.mark.parametrize(("region", "where"), [("us-east-1", None), ("eu-west-1", {"LocationConstraint": "eu-west-1"})])
def test_a_bucket_is_made_where_the_functions_are(s3, region, where):
    name = f"trunkline-123456789012-{region}"
    made = {"Bucket": name, "ObjectOwnership": "BucketOwnerEnforced"}
    s3.add_response("create_bucket", {}, made | ({"CreateBucketConfiguration": where} if where else {}))
    for call, more in (
        ("put_public_access_block", "PublicAccessBlockConfiguration"),
        ("put_bucket_encryption", "ServerSideEncryptionConfiguration"),
        ("put_bucket_policy", "Policy"),
    ):
        s3.add_response(call, {}, {"Bucket": name, more: ANY, **OWNER})
    bucket(s3, region=region).make()


def test_a_bucket_that_we_made_before_is_made_whole(s3):
    s3.add_client_error("create_bucket", "BucketAlreadyOwnedByYou", http_status_code=409)
    for call in ("put_public_access_block", "put_bucket_encryption", "put_bucket_policy"):
        s3.add_response(call, {})
    bucket(s3).make()


def test_a_bucket_whose_name_somebody_else_took_is_not_ours(s3):
    s3.add_client_error("create_bucket", "BucketAlreadyExists", "It is taken", http_status_code=409)
    with pytest.raises(ConfigurationError, match="AWS refused CreateBucket: BucketAlreadyExists"), refusals():
        bucket(s3).make()


def test_what_is_under_a_name_already_is_not_uploaded_again(s3):
    s3.add_response("head_object", {}, {"Bucket": NAME, "Key": "a.zip", **OWNER})
    s3.add_client_error("head_object", "404", http_status_code=404)
    assert bucket(s3).has("a.zip")
    assert not bucket(s3).has("b.zip")


def test_a_template_in_the_bucket_has_an_address(s3):
    sent = {"Bucket": NAME, "Key": "a.yaml", "Body": json.dumps({}).encode(), "ChecksumAlgorithm": "SHA256", **OWNER}
    s3.add_response("put_object", {}, sent)
    assert bucket(s3).put("{}", "a.yaml") == f"https://s3.eu-west-1.amazonaws.com/{NAME}/a.yaml"
