"""The file of keys: what it may hold, who may read it, and what is said of a wrong one."""

import json

import pytest

from trunkline import ConfigurationError
from trunkline.config import Settings
from trunkline.gateway.keys import Key, keys_of, load_keys

ACCOUNT = "123456789012"
POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
ONE = {"AccessKeyId": "AKIDONE", "SecretAccessKey": "a-secret"}


@pytest.fixture
def keys(tmp_path):
    """Write a file of keys."""

    def write(content, mode=0o600):
        file = tmp_path / "keys.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        file.chmod(mode)
        return str(file)

    return write


def test_a_key_has_what_aws_calls_it(keys):
    arn = "arn:aws:sts::123456789012:assumed-role/sender/me"
    more = {"AccessKeyId": "AKIDTWO", "SecretAccessKey": "b", "SessionToken": "t", "Arn": arn, "Policy": POLICY}
    assert load_keys(keys([ONE, more]), ACCOUNT) == [
        Key("AKIDONE", "a-secret", None, "arn:aws:iam::123456789012:user/AKIDONE", None),
        Key("AKIDTWO", "b", "t", arn, POLICY),
    ]


def test_nobody_may_be_in_it(keys):
    assert load_keys(keys([]), ACCOUNT) == []


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_its_owner_alone_may_read_it(keys, mode):
    assert len(load_keys(keys([ONE], mode), ACCOUNT)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601, 0o644, 0o666])
def test_one_that_others_may_read_or_change_is_refused(keys, mode):
    with pytest.raises(ConfigurationError, match=r"keys .*keys\.json: others may read it; type chmod 600 keys\.json"):
        load_keys(keys([ONE], mode), ACCOUNT)


def test_one_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"keys .*none\.json cannot be read: No such file or directory"):
        load_keys(str(tmp_path / "none.json"), ACCOUNT)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load_keys(str(tmp_path), ACCOUNT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no JSON"), ("[" * 100_000, "is no JSON"), ("[{}", "is no JSON"), ("{}", "expected a list of objects with AccessKeyId"),
        ("5", "expected a list of objects"), ([ONE, 5], "key 2: expected an object with AccessKeyId and SecretAccessKey"),
        ([{"AccessKeyId": "a"}], "key 1: expected an object with AccessKeyId and SecretAccessKey"),
        ([{"SecretAccessKey": "a"}], "key 1: expected an object with AccessKeyId and SecretAccessKey"),
        ([ONE | {"Polcy": POLICY}], "key 1 has 'Polcy'; known are AccessKeyId, Arn, Policy, SecretAccessKey, SessionToken"),
        ([ONE | {"SecretAccessKey": ""}], "key 1: SecretAccessKey must be a text of visible ASCII characters"),
        ([ONE | {"AccessKeyId": 5}], "key 1: AccessKeyId must be a text"), ([ONE | {"SessionToken": None}], "key 1: SessionToken must be a text"),
        ([ONE | {"Arn": "a b"}], "key 1: Arn must be a text"), ([ONE | {"SecretAccessKey": "é"}], "key 1: SecretAccessKey must be a text"),
        ([ONE | {"Policy": {}}], "key 1: Policy: a policy has a Statement"), ([ONE | {"Policy": "*"}], "key 1: Policy: a policy is an object"),
        ([ONE, ONE], "an AccessKeyId is there twice"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_keys_is_told_without_what_it_holds(keys, content, message):
    with pytest.raises(ConfigurationError, match=message) as told:
        load_keys(keys(content), ACCOUNT)
    assert "a-secret" not in str(told.value)


def test_a_key_that_is_shown_shows_no_secret():
    shown = repr(Key("AKIDONE", "a-secret", "a-token"))
    assert "AKIDONE" in shown
    assert "a-secret" not in shown
    assert "a-token" not in shown


# What the settings ask for.


def test_a_node_of_this_machine_needs_none():
    assert keys_of(Settings()) is None
    assert keys_of(Settings(host="::1")) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "node.example"])
def test_a_node_that_others_can_reach_needs_some(host, keys):
    with pytest.raises(
        ConfigurationError, match=r"calls to @connections must be signed; pass --keys FILE, with \[\] in it"
    ):
        keys_of(Settings(host=host))
    assert keys_of(Settings(host=host, keys=keys([]))) == []


def test_signatures_are_not_verified_without_any(keys):
    with pytest.raises(ConfigurationError, match="signatures cannot be verified without keys; pass --keys FILE"):
        keys_of(Settings(verify_signatures=True))
    (key,) = keys_of(Settings(verify_signatures=True, keys=keys([ONE]), account=ACCOUNT))
    assert key.arn == "arn:aws:iam::123456789012:user/AKIDONE"
