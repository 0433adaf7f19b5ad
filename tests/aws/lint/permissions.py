"""Rules of cfn-lint for least privilege: what a program is granted has no `*` but where AWS has no finer form."""

import re
import runpy
from pathlib import Path

from cfnlint.rules import CloudFormationLintRule, RuleMatch

# cfn-lint loads each file of the folder by itself.
_SHARED = runpy.run_path(str(Path(__file__).with_name("apis.py")))
properties, text = _SHARED["properties"], _SHARED["text"]
_V2 = "AWS::ApiGatewayV2::"
# The id of a connection cannot be known before; its stage and verb can.
_ANY_CONNECTION = re.compile(
    r"arn:\$\{AWS::Partition\}:execute-api:\$\{AWS::Region\}:\$\{AWS::AccountId\}:\$\{(\w+)\}/([\w-]+)/"
    r"(POST|DELETE|GET)/@connections/\*"
)
_ROUTE = re.compile(
    r"arn:\$\{AWS::Partition\}:execute-api:\$\{AWS::Region\}:\$\{AWS::AccountId\}:\$\{(\w+)\}/(authorizers|[\w-]+)/(.+)"
)


def listed(value):
    return value if isinstance(value, list) else [value]


class Wildcards(CloudFormationLintRule):
    id = "E9201"
    shortdesc = "A statement that allows more than one thing"
    description = "Actions are whole, resources are those of this template, and stages are literal"

    def match(self, cfn):
        for name, role in properties(cfn, "AWS::IAM::Role").items():
            if role.get("ManagedPolicyArns"):
                yield RuleMatch(["Resources", name], f"{name} has a policy of somebody else")
            for policy in role.get("Policies", []):
                for statement in policy["PolicyDocument"]["Statement"]:
                    for problem in self._problems(cfn, statement):
                        yield RuleMatch(["Resources", name], f"{name}, {statement.get('Sid')}: {problem}")

    def _problems(self, cfn, statement):
        if statement.get("Effect") != "Allow" or {"NotAction", "NotResource", "Principal"} & statement.keys():
            yield "it is no plain grant"
        for action in listed(statement.get("Action")):
            if not re.fullmatch(r"[a-z-]+:[A-Za-z]+", str(action)):
                yield f"action {action} is not one action"
            for resource in listed(statement.get("Resource")):
                if not self._is_exact(cfn, str(action).split(":")[0], text(resource)):
                    yield f"{text(resource)} is not exactly one resource of {action}"

    def _is_exact(self, cfn, service, resource):
        if service == "execute-api":
            found = _ANY_CONNECTION.fullmatch(resource)
            stages = properties(cfn, f"{_V2}Stage").values()
            return found is not None and (f"${{{found[1]}}}", found[2]) in {
                (text(stage.get("ApiId")), text(stage.get("StageName"))) for stage in stages
            }
        kind = {"dynamodb": "AWS::DynamoDB::Table", "logs": "AWS::Logs::LogGroup"}.get(service)
        return kind is not None and resource in {f"${{{name}.Arn}}" for name in cfn.get_resources(kind)}


class Invokers(CloudFormationLintRule):
    id = "E9202"
    shortdesc = "A function that others may call"
    description = "API Gateway may call a function for exactly one Api, stage and route, or authorizer"

    def match(self, cfn):
        granted = set()
        for name, permission in properties(cfn, "AWS::Lambda::Permission").items():
            found = _ROUTE.fullmatch(text(permission.get("SourceArn")))
            if (
                found is None
                or re.search(r"[*?]", found[3])
                or permission.get("Principal") != "apigateway.amazonaws.com"
            ):
                yield RuleMatch(["Resources", name], f"{name} is not for exactly one route")
            else:
                granted.add((text(permission.get("FunctionName")), *found.groups()))
        wanted = set(self._wanted(cfn))
        for missing in sorted(wanted ^ granted):
            why = "is not granted" if missing in wanted else "is granted for nothing"
            yield RuleMatch(["Resources"], f"calling {missing[0]} for {'/'.join(missing[1:])} {why}")

    def _wanted(self, cfn):
        stages = {text(one.get("ApiId")): text(one.get("StageName")) for one in properties(cfn, f"{_V2}Stage").values()}
        for route in properties(cfn, f"{_V2}Route").values():
            integration = text(route.get("Target")).partition("/")[2].strip("${}")
            uri = text(properties(cfn, f"{_V2}Integration")[integration].get("IntegrationUri"))
            yield (
                self._function(uri),
                text(route["ApiId"]).strip("${}"),
                stages[text(route["ApiId"])],
                route["RouteKey"],
            )
        for name, authorizer in properties(cfn, f"{_V2}Authorizer").items():
            uri = self._function(text(authorizer["AuthorizerUri"]))
            yield uri, text(authorizer["ApiId"]).strip("${}"), "authorizers", f"${{{name}}}"

    def _function(self, uri):
        return "${" + re.search(r"functions/\$\{(\w+)\.Arn\}/invocations", uri)[1] + "}"


class Cycles(CloudFormationLintRule):
    id = "E9203"
    shortdesc = "A stage that is named by reference"
    description = "Roles, functions and permissions name a stage by its literal name: a Ref makes a circle"

    def match(self, cfn):
        stages = set(cfn.get_resources(f"{_V2}Stage"))
        for name, resource in cfn.get_resources().items():
            if resource["Type"].startswith(("AWS::IAM::", "AWS::Lambda::")):
                named = set(re.findall(r"\$\{(\w+)", str(resource))) | set(re.findall(r"'Ref': '(\w+)'", str(resource)))
                for stage in sorted(named & stages):
                    yield RuleMatch(["Resources", name], f"{name} refers to {stage}")
