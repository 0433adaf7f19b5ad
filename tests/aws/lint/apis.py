"""Rules of cfn-lint for what it cannot see in Apis: CloudFormation's schema of them has no enums and no relations."""

import json

from botocore.session import get_session
from cfnlint.rules import CloudFormationLintRule, RuleMatch

_V2 = "AWS::ApiGatewayV2::"
_MODEL = get_session().get_service_model("apigatewayv2")


def text(value):
    """A property as a text that can be compared: `${X}` for a Ref, `${X.Arn}` for a GetAtt."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref":
            return f"${{{argument}}}"
        if name == "Fn::GetAtt":
            return f"${{{argument if isinstance(argument, str) else '.'.join(argument)}}}"
        if name == "Fn::Sub" and isinstance(argument, str):
            return argument
    return value if isinstance(value, str) else json.dumps(value, default=str)


def properties(cfn, kind):
    """By logical id, of the resources of a type."""
    return {name: one.get("Properties") or {} for name, one in cfn.get_resources(kind).items()}


class Enums(CloudFormationLintRule):
    id = "E9101"
    shortdesc = "A value that API Gateway does not know"
    description = "Values of ApiGatewayV2 are among those of its own model"

    def match(self, cfn):
        for kind in ("Api", "Authorizer", "Integration", "IntegrationResponse", "Model", "Route", "Stage"):
            shape = _MODEL.shape_for(f"Create{kind}Request")
            for name, values in properties(cfn, _V2 + kind).items():
                yield from self._of(values, shape, ["Resources", name, "Properties"])

    def _of(self, value, shape, path):
        if isinstance(value, dict) and shape.type_name == "structure":
            members = {name[0].upper() + name[1:]: member for name, member in shape.members.items()}
            for name, each in value.items():
                if name in members:
                    yield from self._of(each, members[name], [*path, name])
        elif isinstance(value, dict) and shape.type_name == "map":
            for name, each in value.items():
                yield from self._of(each, shape.value, [*path, name])
        elif isinstance(value, str) and getattr(shape, "enum", None) and value not in shape.enum:
            yield RuleMatch(path, f"{value} is none of {', '.join(shape.enum)}")


class Deployments(CloudFormationLintRule):
    id = "E9102"
    shortdesc = "A deployment that may be made before what it deploys"
    description = "A Deployment depends on every Route and RouteResponse of its Api, and a Stage has one"

    def match(self, cfn):
        for name, resource in cfn.get_resources(f"{_V2}Deployment").items():
            after = resource.get("DependsOn", [])
            after = {after} if isinstance(after, str) else set(after)
            api = text(resource["Properties"]["ApiId"])
            for kind in ("Route", "RouteResponse"):
                for other, values in properties(cfn, _V2 + kind).items():
                    if text(values.get("ApiId")) == api and other not in after:
                        yield RuleMatch(["Resources", name], f"{name} does not depend on {other}")
        deployments = {f"${{{name}}}" for name in cfn.get_resources(f"{_V2}Deployment")}
        for name, values in properties(cfn, f"{_V2}Stage").items():
            if text(values.get("DeploymentId")) not in deployments or values.get("AutoDeploy"):
                yield RuleMatch(["Resources", name], f"{name} has no deployment of this template")


class Routes(CloudFormationLintRule):
    id = "E9103"
    shortdesc = "A route that cannot be"
    description = "Route keys are different, and lead to an integration, an authorizer and an answer of their Api"

    def match(self, cfn):
        seen = {}
        for name, values in properties(cfn, f"{_V2}Route").items():
            for problem in self._problems(cfn, name, values, seen):
                yield RuleMatch(["Resources", name], f"{name}: {problem}")

    def _problems(self, cfn, name, values, seen):
        api, key = text(values.get("ApiId")), values.get("RouteKey")
        if (api, key) in seen:
            yield f"route key {key} is {seen[api, key]}'s already"
        seen.setdefault((api, key), name)
        if text(values.get("Target")) not in self._targets(cfn, api):
            yield f"Target {text(values.get('Target'))} is no integration of its Api"
        if values.get("AuthorizationType") == "CUSTOM":
            if text(values.get("AuthorizerId")) not in self._of(cfn, "Authorizer", api):
                yield "AuthorizationType is CUSTOM, and AuthorizerId is no authorizer of its Api"
            if key != "$connect":
                yield "only $connect can have an authorizer"
        responses = properties(cfn, f"{_V2}RouteResponse").values()
        answered = any(text(response.get("RouteId")) == f"${{{name}}}" for response in responses)
        if answered != (values.get("RouteResponseSelectionExpression") == "$default"):
            yield "it has one of RouteResponse and RouteResponseSelectionExpression, and a two-way route needs both"
        if answered != (key not in {"$connect", "$disconnect"}):
            yield "it is two-way or not, and should be the other"

    def _targets(self, cfn, api):
        return {f"integrations/{one}" for one in self._of(cfn, "Integration", api)}

    def _of(self, cfn, kind, api):
        return {
            f"${{{name}}}" for name, values in properties(cfn, _V2 + kind).items() if text(values.get("ApiId")) == api
        }


class Apis(CloudFormationLintRule):
    id = "E9104"
    shortdesc = "A socket that is none"
    description = "An Api is of the WEBSOCKET protocol and has a route selection expression and a stage"

    def match(self, cfn):
        stages = {text(values.get("ApiId")) for values in properties(cfn, f"{_V2}Stage").values()}
        for name, values in properties(cfn, f"{_V2}Api").items():
            if values.get("ProtocolType") != "WEBSOCKET" or not values.get("RouteSelectionExpression"):
                yield RuleMatch(["Resources", name], f"{name} is no WebSocket Api")
            if f"${{{name}}}" not in stages:
                yield RuleMatch(["Resources", name], f"{name} has no stage")
