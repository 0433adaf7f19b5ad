"""What resources would be called and answer in AWS: the values of Ref and Fn::GetAtt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trunkline.model.ids import api_id

__all__ = ["NAMED_BY", "Names", "stack_name"]

# By type: the property that names a resource.
NAMED_BY = {
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Lambda::Alias": "Name",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::ApiGatewayV2::Stage": "StageName",
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::ApiGateway::Stage": "StageName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Events::Rule": "Name",
    "AWS::Events::EventBus": "Name",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
    "AWS::Kinesis::Stream": "Name",
}
# Whose Ref is their ARN.
_ARN_REFS = {
    "AWS::SNS::Topic", "AWS::SecretsManager::Secret", "AWS::StepFunctions::StateMachine", "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::LayerVersion", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::CertificateManager::Certificate",
    "AWS::Lambda::CodeSigningConfig", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::StepFunctions::Activity",
}  # fmt: skip
_API_PARTS = re.compile(
    r"AWS::ApiGatewayV2::(Route|Integration|Authorizer|RouteResponse|IntegrationResponse|Deployment|Model)\Z"
)
# Folders that tools write templates into: sam build, the Serverless Framework, CDK, chalice package.
_WRITTEN = {".aws-sam", "build", ".serverless", "cdk.out", "packaged"}
# By type: the resource part of an ARN, with the name to be filled in; "{service}:{region}:{account}:" before it.
_ARNS = {
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Lambda::LayerVersion": "lambda:{region}:{account}:layer:{name}:1",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::DynamoDB::GlobalTable": "dynamodb:{region}:{account}:table/{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::IAM::User": "iam::{account}:user/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
    "AWS::Kinesis::Stream": "kinesis:{region}:{account}:stream/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::Cognito::UserPool": "cognito-idp:{region}:{account}:userpool/{name}",
}


def stack_name(file: Path) -> str:
    """The name of a template's stack, as far as a stack may be called that.

    CDK calls the file after the stack. Other files have the name of their folder, or of the one around it where
    a tool wrote them into a folder of its own.
    """
    name, cdk, _ = file.name.partition(".template.json")
    if not cdk:
        folders = (file.parent.resolve(), *file.parent.resolve().parents)
        name = next((folder.name for folder in folders if folder.name not in _WRITTEN), "")
    name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:64]
    return name if name[:1].isalpha() else f"stack-{name}".rstrip("-")


@dataclass(frozen=True, slots=True)
class Names:
    """Names and values of the resources of one stack.

    Attributes:
        named: from a resource's logical id to the name that its properties give it; None for none.
    """

    stack: str
    region: str
    account: str
    partition: str
    suffix: str
    named: Callable[[str], str | None]

    def name(self, kind: str, logical_id: str) -> str:
        """A resource's physical name."""
        if kind in {"AWS::ApiGatewayV2::Api", "AWS::ApiGateway::RestApi"}:
            return api_id(f"{self.stack}/{logical_id}")
        if _API_PARTS.match(kind):
            return api_id(f"{self.stack}/{logical_id}")[:7]
        given = self.named(logical_id)
        if given is not None:
            return given
        name = f"{self.stack}-{logical_id}"
        if kind == "AWS::S3::Bucket":
            return name.lower()
        return f"{self.region}_{api_id(name)[:9]}" if kind == "AWS::Cognito::UserPool" else name

    def ref(self, kind: str, logical_id: str) -> str:
        """What Ref gives."""
        if kind in _ARN_REFS:
            return self.arn(kind, logical_id)
        name = self.name(kind, logical_id)
        if kind == "AWS::SQS::Queue":
            return f"https://sqs.{self.region}.{self.suffix}/{self.account}/{name}"
        return name

    def arn(self, kind: str, logical_id: str) -> str:
        """A resource's ARN."""
        if kind in {"AWS::Lambda::Version", "AWS::Lambda::Alias"}:
            function = self.name(kind, logical_id).rsplit(":function:")[-1]
            return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{function}:1"
        form = _ARNS.get(
            kind, f"{kind.split('::')[1].lower() if '::' in kind else 'custom'}:{{region}}:{{account}}:{{name}}"
        )
        name = self.name(kind, logical_id)
        filled = form.replace("{region}", self.region).replace("{account}", self.account).replace("{name}", name)
        return f"arn:{self.partition}:{filled}"

    def attribute(self, kind: str, logical_id: str, attribute: str) -> str:
        """What Fn::GetAtt gives: that of AWS for the types that run here, something of its form for others."""
        name = self.name(kind, logical_id)
        if kind == "AWS::ApiGatewayV2::Api":
            host = f"{name}.execute-api.{self.region}.{self.suffix}"
            return {"ApiEndpoint": f"wss://{host}", "ApiId": name}.get(attribute, name)
        if attribute == "StreamArn":
            return f"{self.arn(kind, logical_id)}/stream/2024-01-01T00:00:00.000"
        if attribute == "Version" and kind == "AWS::Lambda::Version":
            return "1"
        if attribute.endswith("Arn"):
            return self.arn(kind, logical_id)
        if attribute == "QueueUrl":
            return self.ref(kind, logical_id)
        if kind == "AWS::S3::Bucket":
            return f"{name}.s3.{self.suffix}"
        names = {"Id", "Name", "QueueName", "TopicName", "UserPoolId", "RootResourceId", "RestApiId", "StreamId"}
        return name if attribute in names or _API_PARTS.match(kind) else f"{name}-{attribute}"
