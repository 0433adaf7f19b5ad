"""`trunkline run --store dynamodb://...`: a process whose documents are elsewhere."""

import pytest
from websockets.sync.client import connect

NOTES = """
    from trunkline import StoreUnavailable, collection, websocket

    notes = collection("notes").allow("reading", "writing")
    people = collection("people").allow("reading")
    socket = websocket("socket")

    @socket.on("message")
    async def note(ctx):
        try:
            before = await notes.doc("last").get()
            await notes.doc("last").set(ctx.req.data)
        except StoreUnavailable as error:
            return str(error)
        return f"before: {before}"
"""
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}


def answer(running, text):
    with connect(running.url("socket")) as client:
        client.send(text)
        return client.recv(timeout=10)


@pytest.fixture
def program(write):
    return write("notes.py", NOTES)


def test_the_tables_that_are_missing_are_made_and_named_in_the_log(run_trunkline, program, dynamodb_store, dynamodb):
    running = run_trunkline(program, "--store", dynamodb_store)
    assert f"documents   in DynamoDB at {dynamodb}" in running.banner
    assert answer(running, "one") == "before: None"
    code, _, log = running.stop()
    assert code == 0
    prefix = dynamodb_store.split("/")[3].partition("?")[0]
    made = sorted(line.partition(" trunkline.stores: ")[2] for line in log.splitlines())
    assert made == [f"made table {prefix}{name}, DynamoDB at {dynamodb}" for name in ("notes", "people")]


def test_documents_are_there_for_the_next_process_which_makes_nothing(run_trunkline, program, dynamodb_store):
    first = run_trunkline(program, "--store", dynamodb_store)
    assert answer(first, "one") == "before: None"
    first.stop()
    second = run_trunkline(program, env={"TRUNKLINE_STORE": dynamodb_store})
    assert answer(second, "two") == "before: one"
    assert second.stop()[::2] == (0, "")


def test_a_dynamodb_that_is_away_is_one_line_and_exit_code_2(trunkline, program, free_port):
    url = f"http://127.0.0.1:{free_port}"
    code, out, err = trunkline("run", program, "--store", f"dynamodb://us-east-1/x-?endpoint={url}", env=KEYS)
    assert (code, out) == (2, "")
    assert err == (f'trunkline: DynamoDB at {url} does not answer: Could not connect to the endpoint URL: "{url}/"\n')


def test_without_credentials_nothing_is_asked_and_one_line_says_how_to_give_them(trunkline, program, tmp_path):
    nobody = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
    code, out, err = trunkline("run", program, "--store", "dynamodb://eu-west-1/x-", env=nobody)
    assert (code, out) == (2, "")
    assert err == (
        "trunkline: DynamoDB of eu-west-1: there are no credentials of AWS; give them as boto3 takes them, such as "
        "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
    )


def test_a_collection_that_no_table_can_be_called_after_is_one_line_and_exit_code_2(trunkline, write):
    file = write("cafe.py", NOTES + '\n    cafés = collection("cafés")\n')
    code, _, err = trunkline("run", file, "--store", "dynamodb://eu-west-1/x-")
    assert code == 2
    assert err == (
        "trunkline: collection('cafés'): its table in DynamoDB would be 'x-cafés'; expected 3 to 255 of A-Z, a-z, 0-9, "
        "'_', '-' and '.': change the prefix in --store, or the collection's name\n"
    )
