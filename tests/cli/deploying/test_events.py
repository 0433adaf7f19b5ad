"""What CloudFormation tells while it works, as it is documented, and what the command makes of it."""

import io
import re
import signal
from dataclasses import replace

import boto3
import pytest
import typer
from rich.console import Console

from trunkline.aws import following
from trunkline.aws.account import Account, refusals
from trunkline.aws.options import Options
from trunkline.aws.stack import Stack
from trunkline.cli.destroying import destroyed
from trunkline.cli.settling import Job, followed, settled
from trunkline.errors import ConfigurationError

STACK, TABLE, FUNCTION = "AWS::CloudFormation::Stack", "AWS::DynamoDB::Table", "AWS::Lambda::Function"
ROLE, LOGS = "AWS::IAM::Role", "AWS::Logs::LogGroup"
NAME = "trunkline-chat"
NO_ROOM = (
    'Resource handler returned message: "The role defined for the function cannot be assumed by Lambda. (Service: '
    'Lambda, Status Code: 400, Request ID: 9d0c)" (RequestToken: 1f2e, HandlerErrorCode: InvalidRequest)'
)
TEMPLATE = """
Description: chat, made by trunkline synth of chat.py
Resources:
  PeopleTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Metadata: {Comment: "the documents of people, chat.py:3"}
  ChatFunction:
    Type: AWS::Lambda::Function
    Metadata: {Comment: the handlers of chat.py and of what it imports}
    Properties: {Role: !GetAtt ChatRole.Arn}
"""
URLS = {"SocketUrl": "wss://a1b2c3.execute-api.eu-west-1.amazonaws.com/socket"}

# Scripts: what a look at the stack finds, one after another.

CREATED = [
    ("CREATE_IN_PROGRESS", [(NAME, STACK, "CREATE_IN_PROGRESS", "User Initiated")]),
    ("CREATE_IN_PROGRESS", [
        ("PeopleTable", TABLE, "CREATE_IN_PROGRESS"), ("ChatRole", ROLE, "CREATE_IN_PROGRESS"),
        ("PeopleTable", TABLE, "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("ChatRole", ROLE, "CREATE_IN_PROGRESS", "Resource creation Initiated"), ("ChatRole", ROLE, "CREATE_COMPLETE"),
    ]),
    ("CREATE_COMPLETE", [
        ("PeopleTable", TABLE, "CREATE_COMPLETE"), ("ChatFunction", FUNCTION, "CREATE_IN_PROGRESS"),
        ("ChatFunction", FUNCTION, "CREATE_COMPLETE"), (NAME, STACK, "CREATE_COMPLETE"),
    ]),
]  # fmt: skip
# Two things fail at a time; what was under way is broken off; and everything is taken back.
ROLLED_BACK = [
    CREATED[0],
    ("CREATE_IN_PROGRESS", [
        ("PeopleTable", TABLE, "CREATE_IN_PROGRESS"), ("ChatRole", ROLE, "CREATE_IN_PROGRESS"),
        ("ChatRole", ROLE, "CREATE_COMPLETE"), ("ChatFunction", FUNCTION, "CREATE_IN_PROGRESS"),
    ]),
    ("ROLLBACK_IN_PROGRESS", [
        ("ChatFunction", FUNCTION, "CREATE_FAILED", NO_ROOM),
        ("PeopleTable", TABLE, "CREATE_FAILED", "Resource creation cancelled"),
        (NAME, STACK, "ROLLBACK_IN_PROGRESS",
         "The following resource(s) failed to create: [PeopleTable, ChatFunction]. Rollback requested by user."),
    ]),
    ("ROLLBACK_COMPLETE", [
        ("ChatFunction", FUNCTION, "DELETE_COMPLETE"), ("PeopleTable", TABLE, "DELETE_COMPLETE"),
        ("ChatRole", ROLE, "DELETE_IN_PROGRESS"), ("ChatRole", ROLE, "DELETE_COMPLETE"),
        (NAME, STACK, "ROLLBACK_COMPLETE"),
    ]),
]  # fmt: skip
UPDATED = [
    ("UPDATE_IN_PROGRESS", [(NAME, STACK, "UPDATE_IN_PROGRESS", "User Initiated")]),
    ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", [
        ("ChatFunction", FUNCTION, "UPDATE_IN_PROGRESS"), ("ChatFunction", FUNCTION, "UPDATE_COMPLETE"),
        (NAME, STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), ("OldTable", TABLE, "DELETE_SKIPPED"),
    ]),
    ("UPDATE_COMPLETE", [(NAME, STACK, "UPDATE_COMPLETE")]),
]  # fmt: skip
UPDATE_ROLLED_BACK = [
    UPDATED[0],
    ("UPDATE_ROLLBACK_IN_PROGRESS", [
        ("ChatRole", ROLE, "UPDATE_FAILED", "Resource update cancelled"),
        ("ChatFunction", FUNCTION, "UPDATE_FAILED", NO_ROOM),
        (NAME, STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [ChatRole, ChatFunction]."),
    ]),
    ("UPDATE_ROLLBACK_COMPLETE", [
        ("ChatRole", ROLE, "UPDATE_COMPLETE"), ("ChatFunction", FUNCTION, "UPDATE_COMPLETE"),
        (NAME, STACK, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"), (NAME, STACK, "UPDATE_ROLLBACK_COMPLETE"),
    ]),
]  # fmt: skip
DELETED = [
    ("DELETE_IN_PROGRESS", [(NAME, STACK, "DELETE_IN_PROGRESS", "User Initiated")]),
    ("DELETE_COMPLETE", [
        ("ChatFunction", FUNCTION, "DELETE_IN_PROGRESS"), ("ChatFunction", FUNCTION, "DELETE_COMPLETE"),
        ("PeopleTable", TABLE, "DELETE_SKIPPED"), (NAME, STACK, "DELETE_COMPLETE"),
    ]),
]  # fmt: skip
NOT_DELETED = [
    DELETED[0],
    ("DELETE_FAILED", [
        ("ChatRole", ROLE, "DELETE_FAILED", "Cannot delete entity, must detach all policies first."),
        (NAME, STACK, "DELETE_FAILED", "The following resource(s) failed to delete: [ChatRole]. "),
    ]),
]  # fmt: skip
ADDED = [
    {"Action": "Add", "LogicalResourceId": name, "ResourceType": kind}
    for name, kind in (("PeopleTable", TABLE), ("ChatRole", ROLE), ("ChatFunction", FUNCTION))
]


# The whole command.


def test_each_resource_is_told_as_it_is_made_and_the_url_at_the_end(deploy, cloud):
    cloud.changes, cloud.script, cloud.outputs = ADDED, CREATED[:], URLS
    told = deploy("chat.py", "--yes", env=cloud.environment)
    assert "\n".join(told.splitlines()[-5:]) == (
        "  made     ChatRole\n"
        "  made     PeopleTable\n"
        "  made     ChatFunction\n"
        "deployed: trunkline-chat is as the program says\n"
        "socket  wss://a1b2c3.execute-api.eu-west-1.amazonaws.com/socket"
    )


def test_a_failure_is_the_reason_of_what_failed_first_and_the_rollback_is_awaited(deploy, cloud):
    cloud.changes, cloud.script = ADDED, ROLLED_BACK[:]
    told = deploy("chat.py", "--yes", code=1, env=cloud.environment)
    assert told[told.index("  made     ChatRole") :] == (
        "  made     ChatRole\n"
        "  failed   ChatFunction\n"
        "taking back what was done\n"
        "  deleted  ChatFunction\n"
        "  deleted  PeopleTable\n"
        "  deleted  ChatRole\n"
        "failed: ChatFunction (Lambda::Function), the handlers of chat.py and of what it imports\n"
        f"  {NO_ROOM}\n"
        "the stack is in ROLLBACK_COMPLETE: nothing of it is left but its events; to deploy it again deletes those first"
    )


def test_interrupted_it_says_how_to_come_back_and_the_same_command_does(deploying, cloud):
    cloud.changes, cloud.script, cloud.outputs = ADDED, CREATED[:], URLS
    cloud.held.clear()
    running = deploying("chat.py", "--yes", env=cloud.environment)
    running.says("  made     ChatRole")
    code, told = running.stop(signal.SIGINT)
    assert code == 130
    assert told.endswith(
        "stopped waiting; what AWS has begun goes on. To see what becomes of it:\n  trunkline deploy chat.py --yes\n"
    )
    assert cloud.status == "CREATE_IN_PROGRESS"
    cloud.changes, cloud.reason = [], "The submitted information didn't contain changes. Submit different information"
    again = deploying("chat.py", "--yes", env=cloud.environment)
    again.says("it is in CREATE_IN_PROGRESS: what was begun before is awaited")
    cloud.held.set()
    code, told = again.ended()
    assert (code, told.splitlines()) == (0, [
        "  made     ChatRole",
        "  made     PeopleTable",
        "  made     ChatFunction",
        "nothing to do: everything is as the program says",
        "socket  wss://a1b2c3.execute-api.eu-west-1.amazonaws.com/socket",
    ])  # fmt: skip


def test_sigterm_ends_the_waiting_too(deploying, cloud):
    cloud.changes, cloud.script = ADDED, CREATED[:]
    cloud.held.clear()
    running = deploying("chat.py", "--yes", env=cloud.environment)
    running.says("  made     ChatRole")
    assert running.stop(signal.SIGTERM)[0] == 143


def test_after_a_yes_a_terminal_says_what_goes_on_and_how_far_it_is(terminal, cloud):
    cloud.changes, cloud.script = ADDED, CREATED[:]
    code, told = terminal("chat.py", answers=["y"], env=cloud.environment)
    assert code == 0
    assert told.count("Deploy this? [y/N]") == 1
    assert re.search(r"PeopleTable  \(1 of 3, 0:\d\d\)", told)


def test_interrupted_at_the_question_nothing_is_left(terminal, cloud):
    cloud.changes = ADDED
    code, told = terminal("chat.py", answers=["\x03"], env=cloud.environment)
    assert code == 130
    assert told.rstrip().endswith("stopped: nothing of the stack was changed")
    assert cloud.status == "DELETE_COMPLETE"
    assert "ExecuteChangeSet" not in cloud.calls
    assert "DeleteChangeSet" in cloud.calls


def test_a_template_that_cloudformation_does_not_take_is_an_error_and_nothing_is_left(deploy, cloud):
    cloud.reason = "Template format error: Unresolved resource dependencies [X] in the Resources block of the template"
    told = deploy("chat.py", "--yes", code=2, env=cloud.environment)
    assert told.splitlines()[-1] == f"trunkline: CloudFormation does not take the template: {cloud.reason}"
    assert cloud.status == "DELETE_COMPLETE"


def test_what_an_update_cannot_clear_away_is_told_and_the_update_is_done(deploy, cloud):
    cloud.status, cloud.template = "CREATE_COMPLETE", TEMPLATE
    cloud.event(NAME, STACK, "CREATE_COMPLETE")
    cloud.changes = [
        {
            "Action": "Remove",
            "LogicalResourceId": "PeopleTable",
            "ResourceType": TABLE,
            "PolicyAction": "Delete",
            "PhysicalResourceId": "x-People",
        }
    ]
    cloud.script = [UPDATED[0], ("UPDATE_COMPLETE", [("PeopleTable", TABLE, "DELETE_FAILED", "It is in use.")])]
    told = deploy("chat.py", "--yes", env=cloud.environment)
    assert "  - PeopleTable  the documents of people, chat.py:3\n" in told
    assert "table  PeopleTable is no longer the program's; it is deleted with its documents: x-People\n" in told
    assert told.splitlines()[-3:] == [
        "failed: PeopleTable (DynamoDB::Table), the documents of people, chat.py:3",
        "  It is in use.",
        "deployed: trunkline-chat is as the program says",
    ]


# Its parts.


@pytest.fixture
def job(cloud, monkeypatch):
    """A job whose output is in `screen`."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    monkeypatch.setattr(Job, "open", lambda job: Stack(job.stack, Account("123456789012", "eu-west-1", session)))
    monkeypatch.setattr(following, "_FIRST_SECONDS", 0.01)
    cloud.template = TEMPLATE
    out = Console(file=io.StringIO(), width=80, soft_wrap=True, highlight=False)
    return Job(("chat.py",), Options(), NAME, None, None, None, out, yes=True, again="trunkline deploy chat.py")


def said(job):
    return [line.rstrip() for line in job.out.file.getvalue().splitlines()]


def test_an_update_that_fails_is_as_before_and_says_why(job, cloud):
    cloud.status, cloud.script = "UPDATE_COMPLETE", UPDATE_ROLLED_BACK[:]
    cloud.event(NAME, STACK, "UPDATE_COMPLETE")
    stack = job.open()
    standing, operation = followed(job, stack, cloud.id, cloud.begin)
    assert standing.status == "UPDATE_ROLLBACK_COMPLETE"
    assert (operation.failed.logical_id, operation.failed.reason) == ("ChatFunction", NO_ROOM)
    assert said(job)[:2] == ["  failed   ChatFunction", "taking back what was done"]


def test_an_update_ends_when_what_it_no_longer_needs_is_cleared_away(job, cloud):
    cloud.status, cloud.script = "CREATE_COMPLETE", UPDATED[:]
    cloud.event(NAME, STACK, "CREATE_COMPLETE")
    standing, _ = followed(job, job.open(), cloud.id, cloud.begin)
    assert standing.status == "UPDATE_COMPLETE"
    assert said(job) == ["  changed  ChatFunction", "  kept     OldTable"]


def test_what_goes_on_already_is_awaited_from_where_it_began(job, cloud):
    cloud.event(NAME, STACK, "CREATE_IN_PROGRESS", "User Initiated")
    cloud.event("ChatRole", ROLE, "CREATE_COMPLETE")
    cloud.event(NAME, STACK, "CREATE_COMPLETE")
    cloud.event(NAME, STACK, "UPDATE_IN_PROGRESS", "User Initiated")
    cloud.status, cloud.script = "UPDATE_IN_PROGRESS", UPDATED[1:]
    cloud.begin()
    assert settled(job, job.open()).status == "UPDATE_COMPLETE"
    assert said(job) == [
        "it is in UPDATE_COMPLETE_CLEANUP_IN_PROGRESS: what was begun before is awaited",
        "  changed  ChatFunction",
        "  kept     OldTable",
    ]


def test_what_a_failed_first_deployment_left_is_told_and_deleted(job, cloud):
    for _, events in ROLLED_BACK:
        for event in events:
            cloud.event(*event)
    cloud.status, cloud.script = "ROLLBACK_COMPLETE", DELETED[:]
    assert settled(job, job.open()) is None
    assert cloud.status == "DELETE_COMPLETE"
    assert said(job)[:2] == [
        "it is in ROLLBACK_COMPLETE: its first deployment failed, so it can only be deleted",
        "failed: ChatFunction (Lambda::Function), the handlers of chat.py and of what it imports",
    ]


def test_what_a_failed_first_deployment_left_is_not_deleted_unasked(job, cloud):
    cloud.status = "ROLLBACK_COMPLETE"
    with pytest.raises(typer.Exit):
        settled(replace(job, yes=False), job.open())
    assert "DeleteStack" not in cloud.calls


def test_a_stack_that_nobody_ever_carried_out_is_made(job, cloud):
    cloud.status = "REVIEW_IN_PROGRESS"
    assert settled(job, job.open()) is None


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("UPDATE_ROLLBACK_FAILED", "mend what its events name, then: aws cloudformation continue-update-rollback --stack-name trunkline-chat"),
        ("DELETE_FAILED", "mend what its events name, then delete it once more, with --destroy"),
    ],
)  # fmt: skip
def test_of_a_stack_that_is_stuck_it_is_told_what_to_do(job, cloud, status, advice):
    cloud.status = status
    with pytest.raises(ConfigurationError, match=re.escape(f"stack trunkline-chat is in {status}: {advice}")):
        settled(job, job.open())


def test_destroying_tells_what_goes_and_what_is_kept(job, cloud):
    cloud.status, cloud.script = "CREATE_COMPLETE", DELETED[:]
    cloud.resources = [("ChatFunction", FUNCTION), ("PeopleTable", TABLE)]
    destroyed(job)
    assert said(job) == [
        "is deleted",
        "  - ChatFunction  the handlers of chat.py and of what it imports",
        "stays, with its documents, and costs what it costs",
        "  - PeopleTable  the documents of people, chat.py:3",
        "1 deleted, 1 kept; the bucket with the code stays, too",
        "  deleted  ChatFunction",
        "  kept     PeopleTable",
        "deleted: trunkline-chat is gone",
        "kept: table x-PeopleTable; a new deployment makes another, which is empty",
    ]


def test_what_cannot_be_deleted_is_told_with_its_reason(job, cloud):
    cloud.status, cloud.script = "CREATE_COMPLETE", NOT_DELETED[:]
    with pytest.raises(typer.Exit) as ended:
        destroyed(job)
    assert ended.value.exit_code == 1
    assert said(job)[-3:] == [
        "failed: ChatRole (IAM::Role)",
        "  Cannot delete entity, must detach all policies first.",
        "the stack is in DELETE_FAILED: mend what its events name, then delete it once more, with --destroy",
    ]


def test_destroying_what_was_never_made_frees_its_name(job, cloud):
    cloud.status = "REVIEW_IN_PROGRESS"
    destroyed(job)
    assert said(job) == ["nothing had been made of it; its name is free again"]
    assert cloud.status == "DELETE_COMPLETE"


def test_when_aws_can_no_longer_be_asked_it_is_told_that_it_goes_on(job, cloud):
    cloud.status = "UPDATE_IN_PROGRESS"
    cloud.refuses = ("DescribeStackEvents", "ExpiredToken", "The security token expired")
    with pytest.raises(ConfigurationError, match="the credentials for AWS have expired: log in again"), refusals():
        settled(job, job.open())
    assert said(job)[1:] == [
        "what AWS has begun goes on, whatever happens here. To see what becomes of it:",
        "  trunkline deploy chat.py",
    ]
