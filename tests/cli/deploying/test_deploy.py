"""`trunkline deploy` against an AWS of this machine: what it says, and what is there afterwards.

That AWS has no WebSocket Apis: it skips them. That those come about is not said here.
"""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

BUCKET = "trunkline-123456789012-eu-west-1"
CHAT = """from trunkline import collection, websocket

people = collection("people").allow("reading")
socket = websocket("socket")

@socket.on("message")
async def message(ctx):
    return await people.doc("a").get()
"""
ADMIN = """
from trunkline import collection, websocket

audit = collection("audit").allow("writing")
socket = websocket("socket")

@socket.on("message", route="audit")
async def write(ctx):
    await audit.doc("a").set({})
"""


def keys_in(aws):
    return [one["Key"] for one in aws.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def status_of(aws, stack="trunkline-chat"):
    return aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]


def section(text, title):
    """The lines below a title of a plan."""
    return re.search(rf"^{title}\n((?:  .*\n)*)", text, re.M)[1]


# A program's life: each command once, with what is there after it.


class Step:
    """What a command said, and what there is now."""

    def __init__(self, told, aws):
        self.told = told
        self.lines = told.splitlines()
        stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
        self.status = next((one["StackStatus"] for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"), None)
        self.functions = aws.client("lambda").list_functions()["Functions"]
        self.tables = aws.client("dynamodb").list_tables()["TableNames"]
        self.buckets = [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"]]
        self.keys = keys_in(aws) if self.buckets else []


@pytest.fixture(scope="module")
def life(story):
    """What a program's commands say, one after another."""
    aws, folder, deploy = story
    file = folder / "chat.py"
    file.write_text(CHAT)

    def step(*arguments, code=0):
        return Step(deploy(*arguments, code=code), aws)

    found = SimpleNamespace(asked=step("chat.py", code=3), made=step("chat.py", "--yes"), again=step("chat.py"))
    found.bucket = bucket_of(aws)
    file.write_text(CHAT.replace('"reading"', '"writing"').replace(".get()", ".set({})"))
    found.changed = step("chat.py", "--yes", "--memory", "512")
    file.write_text("import no_such_module")
    found.doomed = step("chat.py", "--destroy", code=3)
    found.gone = step("chat.py", "--destroy", "--yes")
    found.none = step("chat.py", "--destroy")
    return found


def bucket_of(aws):
    s3 = aws.client("s3")
    return SimpleNamespace(
        closed=s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"],
        encrypted=s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"],
        policy=json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"],
        owned=s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"],
    )


def test_without_a_terminal_and_without_yes_the_plan_is_all(life):
    assert life.asked.lines[-1] == "trunkline: not deployed: there is no terminal to ask at, and no --yes"
    assert re.search(r"^\d+ made", life.asked.told, re.M)
    assert (life.asked.status, life.asked.buckets, life.asked.tables) == (None, [], [])


def test_a_program_becomes_a_stack_of_its_name(life):
    assert life.made.lines[0] == "trunkline-chat in account 123456789012, eu-west-1"
    assert life.made.lines[-1] == "deployed: trunkline-chat is as the program says"
    assert life.made.status == "CREATE_COMPLETE"
    (function,) = life.made.functions
    assert function["Handler"] == "trunkline.aws.lambda_handler.handler"
    assert life.made.tables[0].startswith("trunkline-chat-PeopleTable-")


def test_the_plan_has_each_resource_with_its_line_each_permission_and_what_aws_weakens(life):
    told = life.made.told
    assert "  + PeopleTable                 the documents of people, chat.py:3\n" in section(told, "resources")
    assert "  + Chat  dynamodb:GetItem on table of people  chat.py:3\n" in section(told, "permissions")
    assert "connection  chat.py:4" in section(told, "permissions")
    assert "chat.py:4  websocket('socket') is ordered" in section(told, "on AWS it is otherwise")
    assert re.search(r"^\d+ made, 5 permissions more$", told, re.M)


def test_the_bucket_is_made_for_nobody_else_encrypted_and_with_tls_alone(life):
    assert f"  + bucket  {BUCKET} is made: private, encrypted, with TLS alone\n" in section(life.made.told, "code")
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    assert life.bucket.closed == dict.fromkeys(names, True)
    assert life.bucket.encrypted[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (statement,) = life.bucket.policy
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert life.bucket.owned == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_a_zip_is_uploaded_under_its_content(life):
    (key,) = life.made.keys
    assert re.fullmatch(r"chat-[0-9a-f]{16}\.zip", key)
    assert f"  + upload  {key}" in section(life.made.told, "code")
    assert life.made.functions[0]["CodeSize"] > 100_000


def test_what_has_not_changed_is_not_deployed(life):
    assert life.again.lines[1:] == ["nothing to do: everything is as the program says"]
    assert (life.again.status, life.again.keys) == ("CREATE_COMPLETE", life.made.keys)


def test_an_update_shows_what_changes_and_which_permissions_come_and_go(life):
    told = life.changed.told
    assert {line.split()[1] for line in section(told, "resources").splitlines()} == {"ChatFunction", "ChatRole"}
    assert section(told, "permissions").splitlines() == [
        "  + Chat  dynamodb:PutItem on table of people  chat.py:3",
        "  - Chat  dynamodb:GetItem on table of people  chat.py:3",
        "  - Chat  dynamodb:Query on table of people  chat.py:3",
    ]
    assert "2 changed, 1 permission more, 2 permissions fewer" in told


def test_an_update_changes_what_is_there(life):
    assert life.changed.status == "UPDATE_COMPLETE"
    assert life.changed.functions[0]["MemorySize"] == 512
    assert life.changed.tables == life.made.tables
    assert len(life.changed.keys) == 2


def test_destroying_shows_what_goes_and_what_stays_and_asks(life):
    told = life.doomed.told
    assert "  - ChatFunction  " in section(told, "is deleted")
    assert "PeopleTable" not in section(told, "is deleted")
    assert "PeopleTable" in section(told, "stays, with its documents, and costs what it costs")
    assert life.doomed.lines[-1] == "trunkline: not deleted: there is no terminal to ask at, and no --yes"
    assert life.doomed.status == "UPDATE_COMPLETE"


def test_what_is_destroyed_is_gone_and_kept_tables_are_named_even_if_the_program_is_broken_by_now(life):
    (table,) = life.gone.tables
    assert life.gone.lines[-2:] == [
        "deleted: trunkline-chat is gone",
        f"kept: table {table}; a new deployment makes another, which is empty",
    ]
    assert (life.gone.functions, life.gone.status) == ([], None)


def test_what_is_not_there_is_destroyed_without_a_question(life):
    assert life.none.lines[-1] == "there is no such stack, so nothing to delete"


# At a terminal.


def test_at_a_terminal_somebody_is_asked_and_no_is_no(terminal, aws):
    code, told = terminal("chat.py", answers=["n"])
    assert code == 3
    assert told.rstrip().endswith("not deployed")
    assert aws.client("s3").list_buckets()["Buckets"] == []


# The bucket.


def test_a_bucket_that_was_only_half_made_is_finished(deploy, aws):
    where = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    assert f"{BUCKET} is finished" in deploy("chat.py", "--yes")
    assert aws.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"]


def test_a_bucket_that_is_given_is_left_as_it_is_and_a_zip_is_uploaded_once(deploy, aws):
    where = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket="mine", CreateBucketConfiguration=where)
    first = deploy("chat.py", "--yes", "--bucket", "mine")
    second = deploy("chat.py", "--yes", "--bucket", "mine", "--stack", "another")
    assert "+ bucket" not in first + second
    assert (first.count("+ upload"), second.count("+ upload")) == (1, 0)
    assert [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"]] == ["mine"]
    assert (status_of(aws), status_of(aws, "another")) == ("CREATE_COMPLETE", "CREATE_COMPLETE")


def test_a_bucket_that_is_given_and_missing_is_an_error(deploy):
    told = deploy("chat.py", "--yes", "--bucket", "mine", code=2)
    assert told.splitlines()[-1] == "trunkline: there is no bucket mine; leave --bucket out, and one is made"


def test_several_files_are_functions_of_one_stack(deploy, aws, write):
    write("admin.py", ADMIN)
    deploy("chat.py", "admin.py", "--yes")
    assert len(aws.client("lambda").list_functions()["Functions"]) == 2
    assert [key.split("-")[0] for key in keys_in(aws)] == ["admin", "chat"]


ROUTES = "\n".join(
    f'@socket.on("message", route="r{number}")\nasync def r{number}(ctx):\n    return None\n' for number in range(52)
)


def test_a_long_template_goes_through_the_bucket(deploy, aws, write):
    write(text=write.text + ROUTES)
    told = deploy("chat.py", "--yes")
    assert re.search(r"the template has [\d,]+ bytes, so its plan goes through bucket", told)
    assert any(re.fullmatch(r"trunkline-chat-[0-9a-f]{16}\.template\.yaml", key) for key in keys_in(aws))
    assert status_of(aws) == "CREATE_COMPLETE"


def test_a_long_template_needs_somebody_to_agree_to_the_bucket(deploy, aws, write):
    write(text=write.text + ROUTES)
    assert "not deployed" in deploy("chat.py", code=3)
    assert aws.client("s3").list_buckets()["Buckets"] == []


# The account.


def test_without_a_role_for_it_no_access_log_is_written_and_that_is_said(life):
    assert "no access log is written: API Gateway has no role for that" in life.made.told
    assert "SocketAccessLogs" not in life.made.told


def test_with_a_role_for_it_there_is_an_access_log(deploy, aws):
    role = "arn:aws:iam::123456789012:role/logs"
    aws.client("apigateway").update_account(
        patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    )
    told = deploy("chat.py", "--yes")
    assert "no access log" not in told
    assert "+ SocketAccessLogs" in told


def test_tables_that_are_not_kept_go_with_their_stack(deploy, aws):
    deploy("chat.py", "--yes", "--delete-tables")
    assert "kept: " not in deploy("chat.py", "--destroy", "--yes")
    assert aws.client("dynamodb").list_tables()["TableNames"] == []


# What is refused, and what is described.


@pytest.mark.parametrize("destroy", [(), ("--destroy",)])
def test_a_stack_of_somebody_else_is_left_alone(deploy, aws, destroy):
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    aws.client("cloudformation").create_stack(StackName="trunkline-chat", TemplateBody=json.dumps(topic))
    told = deploy("chat.py", "--yes", *destroy, code=2)
    assert told.splitlines()[-1] == (
        "trunkline: stack trunkline-chat was not made by trunkline, so it is left alone; "
        "expected another name: --stack NAME"
    )
    assert status_of(aws) == "CREATE_COMPLETE"


def test_a_program_that_cannot_be_loaded_is_not_deployed(deploy, aws, write):
    write(text="import no_such_module\n")
    told = deploy("chat.py", "--yes", code=2)
    assert told.splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert aws.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_program_that_aws_would_refuse_is_not_deployed(deploy, aws, write):
    write(text=write.text.replace('websocket("socket")', 'websocket("socket", binary=True)'))
    told = deploy("chat.py", "--yes", code=2)
    assert told.startswith("trunkline: chat.py:4: ")
    assert aws.client("cloudformation").list_stacks()["StackSummaries"] == []


@pytest.mark.parametrize(
    ("without", "error"),
    [
        (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            "there are no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a --profile, or log in with aws configure or aws sso login",
        ),
        (
            ("AWS_DEFAULT_REGION",),
            "there is no AWS Region: give --region, set AWS_DEFAULT_REGION, or write it into the profile",
        ),
    ],
)
def test_what_is_missing_of_an_account_is_one_line(deploy, aws, without, error):
    for name in without:
        del aws.environment[name]
    assert deploy("chat.py", "--yes", code=2) == f"trunkline: {error}"


def test_a_stack_has_a_name_that_cloudformation_takes(deploy):
    told = deploy("chat.py", "--stack", "live_scores", code=2)
    assert told == (
        "trunkline: the stack's name is 'live_scores'; expected a letter, then letters, digits and '-', "
        "128 at most: --stack NAME"
    )


def test_every_option_is_described(deploy):
    told = deploy("--help", env={"COLUMNS": "200"})
    text = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
    described = text.split("\n## trunkline deploy\n")[1].split("\n## ")[0]
    found = set(re.findall(r"(?<![\w-])--[a-z-]+", told))
    assert len(found) > 15
    assert [option for option in sorted(found) if f"`{option}`" not in described] == []
