"""What cfn-lint says of the golden templates, with rules of our own in `lint/` for what it does not see."""

import functools
import re
from pathlib import Path

import pytest
from cfnlint.api import lint
from cfnlint.core import get_rules

HERE = Path(__file__).parent
GOLDEN = sorted(file.parent.name for file in HERE.glob("golden/*/template.yaml"))
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1"]


def golden(name):
    return (HERE / "golden" / name / "template.yaml").read_text()


def found(text, regions=REGIONS[:1]):
    return [(match.rule.id, match.message) for match in lint(text, rules=rules(), regions=regions)]


@functools.cache
def rules():
    """Those of cfn-lint and ours; reading them takes longer than checking a template."""
    return get_rules([str(HERE / "lint")], [], [])


def test_there_are_golden_templates():
    assert len(GOLDEN) == 3


@pytest.mark.parametrize("name", GOLDEN)
def test_nothing_is_found_in_a_golden_template(name):
    assert found(golden(name), REGIONS) == []


def without(name):
    """Without a resource and what depends on it by name."""
    return lambda text: re.sub(rf"(?ms)^  {name}:$.*?\n\n|^ +- {name}\n", "", text)


def swapped(old, new):
    def edit(text):
        assert old in text
        return text.replace(old, new, 1)

    return edit


ANY = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${AuctionApi}"
# What is wrong, and the rules that see it.
BROKEN = {
    "a protocol that is none": (swapped("ProtocolType: WEBSOCKET", "ProtocolType: WEBSOCKETS"), {"E9101", "E9104"}),
    "an integration type that is none": (swapped("IntegrationType: AWS_PROXY", "IntegrationType: LAMBDA"), {"E9101"}),
    "an authorization that is none": (swapped("AuthorizationType: CUSTOM", "AuthorizationType: LAMBDA"), {"E9101"}),
    "an authorizer type that is none": (swapped("AuthorizerType: REQUEST", "AuthorizerType: TOKEN"), {"E9101"}),
    "no authorizer where one is asked": (swapped("      AuthorizerId: !Ref AuctionAuthorizer\n", ""), {"E9103"}),
    "no selection expression": (
        swapped("      RouteSelectionExpression: ${request.body.kind}/${request.body.action}\n", ""), {"E9104"},
    ),
    "a deployment before a route": (swapped("      - AuctionLotBidRoute\n", ""), {"E9102"}),
    "a deployment before an answer": (swapped("      - AuctionLotBidRouteResponse\n", ""), {"E9102"}),
    "a stage that deploys by itself": (swapped("      StageName: auction\n", "      StageName: auction\n      AutoDeploy: true\n"), {"E9102"}),
    "two routes of one key": (swapped("RouteKey: lot/show", "RouteKey: lot/bid"), {"E9103", "E9202"}),
    "a target without its prefix": (swapped("Target: !Sub integrations/$", "Target: !Sub integration/$"), {"E9103"}),
    "a message route without an answer": (without("AuctionLotBidRouteResponse"), {"E9103"}),
    "every route": (swapped("/auction/lot/bid", "/auction/*"), {"E9202"}),
    "every stage": (swapped(f"{ANY}/auction/$default", f"{ANY}/*/$default"), {"E9202"}),
    "every authorizer": (swapped("/authorizers/${AuctionAuthorizer}", "/authorizers/*"), {"E9202"}),
    "a permission for nothing": (without("AuctionLotBidRoute"), {"E9202"}),
    "a route that may not call": (without("AuctionLotBidPermission"), {"E9202"}),
    "every action of a service": (swapped("- dynamodb:GetItem", "- dynamodb:*"), {"E9201"}),
    "some actions of a service": (swapped("- dynamodb:GetItem", "- dynamodb:Get*"), {"E9201"}),
    "every table": (swapped("Resource: !GetAtt LotsTable.Arn", "Resource: '*'"), {"E9201"}),
    "a table by its name": (
        swapped("Resource: !GetAtt LotsTable.Arn", "Resource: !Sub arn:${AWS::Partition}:dynamodb:*:*:table/${LotsTable}"),
        {"E9201"},
    ),
    "a log group for an action on tables": (swapped("!GetAtt LotsTable.Arn", "!GetAtt AuctionLogs.Arn"), {"E9201"}),
    "every verb": (swapped("/auction/POST/@connections/*", "/auction/*/@connections/*"), {"E9201"}),
    "every stage of a socket": (swapped("/auction/POST/@connections/*", "/*/POST/@connections/*"), {"E9201"}),
    "everything of a socket": (swapped("/auction/POST/@connections/*", "/*"), {"E9201"}),
    "every socket": (swapped(f"{ANY}/auction/POST", ANY.replace("${AuctionApi}", "*") + "/auction/POST"), {"E9201"}),
    "a stage by reference": (
        swapped("${AuctionApi}/auction/POST", "${AuctionApi}/${AuctionStage}/POST"), {"E9201", "E9203", "E3004"},
    ),
    "an action that IAM does not know": (swapped("- dynamodb:GetItem", "- dynamodb:GetItems"), {"W3037"}),
    "a reference to nothing": (swapped("!Ref AuctionLogs", "!Ref Logs"), {"E1020"}),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_found(what):
    edit, rules = BROKEN[what]
    text = edit(golden("auction"))
    assert text != golden("auction")
    assert {rule for rule, _ in found(text)} >= rules
