"""A program as a template of CloudFormation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.aws.options import Options
from trunkline.aws.program import AwsProgram, Socket, Table
from trunkline.aws.resources import LogicalIds, Resources, resource, sub
from trunkline.aws.roles import function_resources
from trunkline.aws.routes import socket_resources

__all__ = ["BUCKET", "Options", "make_template"]

BUCKET = "CodeBucket"  # the parameter that names the bucket with the functions' code
_MOST_DESCRIBED = 1024


def make_template(program: AwsProgram, options: Options, packages: Mapping[str, str]) -> dict[str, Any]:
    """The template: the same for the same arguments, to the byte.

    Args:
        packages: by function, where its code is in the bucket.
    """
    files = ", ".join(function.program for function in program.functions)
    bucket = {"Type": "String", "Default": "none", "Description": "The bucket that the functions' code is in"}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{program.name}, made by trunkline synth of {files}"[:_MOST_DESCRIBED],
        "Parameters": {BUCKET: bucket},
        "Resources": _resources(program, options, packages),
        "Outputs": dict(map(_url, program.sockets)),
    }


def _resources(program: AwsProgram, options: Options, packages: Mapping[str, str]) -> Resources:
    ids = LogicalIds()
    for function in program.functions:
        ids.new(function.name, "Logs", "Role", "Function")
    made = {table.logical_id: _table(table, options) for table in program.tables}
    for function in program.functions:
        made |= function_resources(function, program, options, packages[function.name])
    for socket in program.sockets:
        made |= socket_resources(socket, program.name, options, ids)
    return made


def _table(table: Table, options: Options) -> dict[str, Any]:
    policy = "Retain" if options.keep_tables else "Delete"
    recovery = {"PointInTimeRecoveryEnabled": True} if options.point_in_time_recovery else None
    return resource(
        "DynamoDB::Table",
        {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "B"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            "PointInTimeRecoverySpecification": recovery,
        },
        {"Comment": f"the documents of {table.name}, {table.where}"},
        DeletionPolicy=policy,
        UpdateReplacePolicy=policy,
    )


def _url(socket: Socket) -> tuple[str, dict[str, Any]]:
    host = f"${{{socket.logical_id}Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}"
    value = sub(f"wss://{host}/{socket.name}")
    return f"{socket.logical_id}Url", {"Description": f"Where clients of {socket.name} connect", "Value": value}
