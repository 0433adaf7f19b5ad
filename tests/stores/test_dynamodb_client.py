"""What goes wrong with DynamoDB, and what is said then."""

import subprocess
import sys

import pytest
from botocore.exceptions import CredentialRetrievalError

from trunkline.errors import ConfigurationError, StoreUnavailable
from trunkline.stores.dynamodb import DynamoStore

THROTTLED = "ProvisionedThroughputExceededException"


def error(code, message="", status=400):
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}


async def refused(store, operation="get"):
    """What is said when it fails."""
    with pytest.raises(StoreUnavailable) as raised:
        await (store.get(("x",), "1") if operation == "get" else store.put(("x",), "1", 1))
    await store.close()
    return str(raised.value)


async def test_a_throttled_request_is_made_again(dynamodb_says):
    dynamodb_says(error(THROTTLED), (200, {}))
    store = dynamodb_says.store()
    assert await store.get(("x",), "1") is None
    assert len(dynamodb_says.asked) == 2
    await store.close()


@pytest.mark.parametrize("code", [THROTTLED, "ThrottlingException", "RequestLimitExceeded"])
async def test_a_request_that_stays_throttled_is_said_to_be(dynamodb_says, code):
    dynamodb_says(error(code, "too fast"))
    said = await refused(dynamodb_says.store())
    assert said == f"DynamoDB at {dynamodb_says.url}, table table-x: throttled, after 2 attempts at GetItem: too fast"
    assert len(dynamodb_says.asked) == 2


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("ResourceNotFoundException", "not found", "there is no such table"),
        ("AccessDeniedException", "no", "dynamodb:PutItem on it is not allowed to these credentials: no"),
        ("UnrecognizedClientException", "who", "these credentials are not AWS's: who"),
        ("ExpiredTokenException", "old", "these credentials are no longer valid: old"),
        ("ValidationException", "what", "PutItem failed with ValidationException: what"),
    ],
)
async def test_an_error_says_what_is_wrong_with_which_table(dynamodb_says, code, message, expected):
    dynamodb_says(error(code, message))
    said = await refused(dynamodb_says.store(), "put")
    assert said == f"DynamoDB at {dynamodb_says.url}, table table-x: {expected}"
    assert len(dynamodb_says.asked) == 1


async def test_after_an_error_of_the_servers_nobody_knows_of_a_write(dynamodb_says):
    dynamodb_says(error("InternalServerError", "oh", 500))
    place = f"DynamoDB at {dynamodb_says.url}, table table-x"
    said = await refused(dynamodb_says.store(), "put")
    assert said == f"{place}: PutItem failed with InternalServerError: oh; it may have been written all the same"
    assert await refused(dynamodb_says.store()) == f"{place}: GetItem failed with InternalServerError: oh"


async def test_after_a_broken_connection_nobody_knows_of_a_write(dynamodb_says):
    dynamodb_says(None)
    place = f"DynamoDB at {dynamodb_says.url}, table table-x"
    said = await refused(dynamodb_says.store(), "put")
    assert said.startswith(f"{place}, PutItem: Connection was closed")
    assert said.endswith("; it may have been written all the same")
    said = await refused(dynamodb_says.store())
    assert said.startswith(f"{place}, GetItem: Connection was closed")
    assert "written" not in said


async def test_what_is_no_dynamodb_is_one_line(dynamodb_says):
    for status in (404, 500):
        dynamodb_says((status, b"<html>Nothing here</html>"))
        said = await refused(dynamodb_says.store())
        assert said.startswith(f"DynamoDB at {dynamodb_says.url}, table table-x: GetItem failed with {status}: ")


async def test_credentials_that_cannot_be_had_anew_are_said_to_be_what_is_wrong(dynamodb_says):
    def expired(**_):
        raise CredentialRetrievalError(provider="sso", error_msg="log in again")

    store = dynamodb_says.store()
    store._client._client().meta.events.register("before-sign", expired)
    assert await refused(store, "put") == (
        f"DynamoDB at {dynamodb_says.url}, table table-x, PutItem: Error when retrieving credentials from sso: log in again"
    )


async def test_a_dynamodb_that_is_away_is_named(free_port):
    url = f"http://127.0.0.1:{free_port}"
    store = DynamoStore({"x": "table-x"}, region="us-east-1", endpoint=url, attempts=1)
    assert await refused(store, "put") == (
        f'DynamoDB at {url} does not answer: Could not connect to the endpoint URL: "{url}/"'
    )


# Credentials.


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """An environment in which boto3 finds no credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


async def test_without_credentials_one_line_says_how_to_give_them(nobody):
    said = await refused(DynamoStore({"x": "table-x"}, region="eu-west-1"))
    assert said == (
        "DynamoDB of eu-west-1: there are no credentials of AWS; give them as boto3 takes them, such as AWS_PROFILE, or "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


async def test_half_of_the_credentials_are_none(nobody, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    store = DynamoStore({"x": "table-x"}, region="eu-west-1")
    with pytest.raises(ConfigurationError, match="cannot be used: Partial credentials found in env"):
        await store.get(("x",), "1")
    await store.close()


def key_of(store):
    credentials = store._client._client()._request_signer._credentials
    return credentials.access_key


async def test_what_is_on_this_machine_needs_no_credentials_and_takes_those_of_the_environment(nobody, monkeypatch):
    for url in ("http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"):
        store = DynamoStore({}, region="us-east-1", endpoint=url)
        assert key_of(store) == "AKIALOCALFUNCTION000"
        await store.close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine, too")
    store = DynamoStore({}, region="us-east-1", endpoint="http://127.0.0.1:8000")
    assert key_of(store) == "mine"
    await store.close()


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ({"region": "eu-west-1"}, {"AWS_PROFILE": "of nobody"}),
        ({"region": "eu-west-1", "endpoint": "nonsense"}, {}),
        ({"region": "eu-west-1", "endpoint": "http://[::1"}, {}),
        ({}, {}),
    ],
)
async def test_what_no_client_can_be_made_of_is_one_line(nobody, monkeypatch, options, environment):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = DynamoStore({"x": "table-x"}, **options)
    with pytest.raises(ConfigurationError, match=r"^DynamoDB .* cannot be used: .+"):
        await store.get(("x",), "1")
    await store.close()


# boto3.


async def test_without_boto3_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    store = DynamoStore({"x": "table-x"}, region="us-east-1")
    with pytest.raises(ConfigurationError, match=r"^documents in DynamoDB need boto3: pip install 'trunkline\[aws\]'$"):
        await store.get(("x",), "1")
    await store.close()


def test_boto3_is_not_imported_before_the_first_operation():
    code = "import sys\nfrom trunkline.stores.dynamodb import DynamoStore\nDynamoStore({'x': 'y'})\nprint('boto3' in sys.modules, 'botocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False False\n", "")
