"""A change set of CloudFormation, as it is documented, read as what becomes of each resource and why."""

import pytest

from trunkline.aws.plan import Kind, changes_of

TABLE = "AWS::DynamoDB::Table"


def changed(details=(), **more):
    """The one change of a change set."""
    change = {
        "Action": "Modify",
        "LogicalResourceId": "People",
        "ResourceType": TABLE,
        "Details": list(details),
        **more,
    }
    (found,) = changes_of([{"Type": "Resource", "ResourceChange": change}])
    return found


def detail(name="MemorySize", evaluation="Static", source="DirectModification", cause=None, **target):
    found = {
        "Target": {"Attribute": "Properties", "Name": name, **target},
        "Evaluation": evaluation,
        "ChangeSource": source,
    }
    return found | ({"CausingEntity": cause} if cause else {})


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"Action": "Add"}, Kind.MADE),
        ({"Action": "Modify", "Replacement": "False"}, Kind.CHANGED),
        ({"Action": "Modify", "Replacement": "True"}, Kind.REPLACED),
        ({"Action": "Modify", "Replacement": "Conditional"}, Kind.REPLACED),
        ({"Action": "Modify"}, Kind.CHANGED),
        ({"Action": "Remove"}, Kind.DELETED),
    ],
)
def test_what_becomes_of_a_resource(change, kind):
    assert changed(**change).kind is kind


def test_what_is_only_perhaps_replaced_is_not_certain():
    assert changed(Replacement="True").is_certain
    assert not changed(Replacement="Conditional").is_certain


@pytest.mark.parametrize(
    ("change", "grave", "fatal"),
    [
        ({"Action": "Add"}, False, False),
        ({"Action": "Modify", "Replacement": "False"}, False, False),
        ({"Action": "Modify", "Replacement": "True", "PolicyAction": "ReplaceAndRetain"}, True, False),
        ({"Action": "Modify", "Replacement": "True", "PolicyAction": "ReplaceAndDelete"}, True, True),
        ({"Action": "Remove", "PolicyAction": "Retain"}, True, False),
        ({"Action": "Remove", "PolicyAction": "Delete"}, True, True),
        ({"Action": "Remove", "PolicyAction": "Delete", "ResourceType": "AWS::IAM::Role"}, False, False),
    ],
)
def test_a_table_that_goes_is_grave_and_fatal_if_aws_does_not_keep_it(change, grave, fatal):
    found = changed(**change)
    assert (found.is_grave, found.is_fatal) == (grave, fatal)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (detail(), "MemorySize"),
        (detail(BeforeValue="256", AfterValue="512"), "MemorySize: 256 -> 512"),
        (detail(BeforeValue="256", AfterValue="5" * 61), "MemorySize"),
        (
            detail("Code", Path="/Properties/Code/S3Key", BeforeValue="a.zip", AfterValue="b.zip"),
            "Code.S3Key: a.zip -> b.zip",
        ),
        (detail("Role", "Dynamic", "ResourceAttribute", "ChatRole.Arn"), "Role, as ChatRole.Arn changes"),
        (
            {"Target": {"Attribute": "Metadata"}, "Evaluation": "Static", "ChangeSource": "DirectModification"},
            "Metadata",
        ),
    ],
)
def test_a_reason_is_what_changes_and_from_what_to_what_or_because_of_what(one, reason):
    assert changed([one]).reasons == (reason,)


def test_what_is_told_twice_is_said_once():
    one = detail("Environment", "Static")
    other = detail("Environment", "Dynamic")
    assert changed([one, one, other]).reasons == ("Environment",)


def test_what_is_made_comes_first_and_what_is_deleted_last_each_by_name():
    found = changes_of(
        {"Type": "Resource", "ResourceChange": {"Action": action, "LogicalResourceId": name, "ResourceType": TABLE}}
        for action, name in (("Remove", "A"), ("Modify", "B"), ("Add", "D"), ("Add", "C"))
    )
    assert [change.logical_id for change in found] == ["C", "D", "B", "A"]


def test_what_is_no_change_of_a_resource_is_left_out():
    assert changes_of([{"Type": "Hook"}]) == []
