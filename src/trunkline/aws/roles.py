"""A function of a program as resources: its log, its role, itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from trunkline import limits
from trunkline.aws.iam import Calls, Logs, OfTable, Statement, statements
from trunkline.aws.options import Options
from trunkline.aws.program import AwsProgram, Function, Socket
from trunkline.aws.resources import Resources, get_att, ref, resource, sub

__all__ = ["HANDLER", "environment", "function_resources", "policy"]

HANDLER = "trunkline.aws.lambda_handler.handler"
_MOST_DESCRIBED = 256
_ANY_STREAM = "the :* at the end of the ARN means the streams of this one group; Lambda makes them as it needs them"
_ANY_ID = "the * stands for ids of connections of this one stage, which nobody can know before"


def function_resources(function: Function, program: AwsProgram, options: Options, key: str) -> Resources:
    """What a function is made of.

    Args:
        key: where its code is in the bucket.
    """
    return {
        f"{function.name}Logs": resource(
            "Logs::LogGroup", {"RetentionInDays": options.retention_days}, _comment(f"what {function.program} logs")
        ),
        f"{function.name}Role": _role(function, program),
        f"{function.name}Function": _function(function, program, options, key),
    }


def policy(function: Function, program: AwsProgram) -> list[dict[str, Any]]:
    """The statements of a function's role."""
    return [
        {
            "Sid": _sid(statement, program),
            "Effect": "Allow",
            "Action": list(statement.actions),
            "Resource": _arn(statement, program),
        }
        for statement in statements(function)
    ]


def environment(function: Function, program: AwsProgram) -> dict[str, Any]:
    """A function's variables; `lambda_handler` reads them."""
    tables = {
        table.name: f"${{{table.logical_id}}}"
        for table in program.tables
        if any(use.kind == "collection" and use.name == table.name for use in function.uses)
    }
    urls = {
        socket.name: f"https://${{{socket.logical_id}Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{socket.name}"
        for socket in program.sockets
        if _knows(function, socket)
    }
    return {
        "TRUNKLINE_PROGRAM": function.program,
        "TRUNKLINE_TABLES": sub(json.dumps(tables)) if tables else "{}",
        "TRUNKLINE_SOCKETS": sub(json.dumps(urls)) if urls else "{}",
    }


def _knows(function: Function, socket: Socket) -> bool:
    granted = any(use.kind == "websocket" and use.name == socket.name for use in function.uses)
    authorizes = socket.authorizer is not None and socket.authorizer.function == function.name
    return granted or authorizes or any(route.function == function.name for route in socket.routes)


def _function(function: Function, program: AwsProgram, options: Options, key: str) -> dict[str, Any]:
    return resource(
        "Lambda::Function",
        {
            "Description": f"{function.program} of {program.name}"[:_MOST_DESCRIBED],
            "Runtime": options.runtime,
            "Architectures": [options.packages.platform.architecture],
            "Handler": HANDLER,
            "Code": {"S3Bucket": ref("CodeBucket"), "S3Key": key},
            "Role": get_att(f"{function.name}Role", "Arn"),
            "MemorySize": options.memory_mb,
            "Timeout": int(limits.HANDLER_SECONDS),
            "LoggingConfig": {"LogGroup": ref(f"{function.name}Logs")},
            "Environment": {"Variables": environment(function, program)},
        },
        _comment(f"the handlers of {function.program} and of what it imports"),
    )


def _role(function: Function, program: AwsProgram) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": policy(function, program)}
    reasons = {_sid(one, program): list(_reasons(one)) for one in statements(function)}
    return resource(
        "IAM::Role",
        {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "WhatTheProgramAllows", "PolicyDocument": document}],
        },
        {**_comment(f"what {function.program} may do"), "Statements": reasons},
    )


def _reasons(statement: Statement) -> Iterator[str]:
    for use in statement.reasons:
        yield f"{use.word}, {use.where}"
    if not isinstance(statement.resource, OfTable):
        yield _ANY_STREAM if isinstance(statement.resource, Logs) else _ANY_ID


def _sid(statement: Statement, program: AwsProgram) -> str:
    """Readable, and another for each: no word begins with what a name may end in."""
    if isinstance(statement.resource, Logs):
        return "OwnLogs"
    words = "".join(dict.fromkeys(use.word.capitalize() for use in statement.reasons))
    if isinstance(statement.resource, OfTable):
        return f"{_table(statement.resource, program)}{words}"
    return f"{_socket(statement.resource, program)}Api{words}"


def _arn(statement: Statement, program: AwsProgram) -> dict[str, Any]:
    about = statement.resource
    if isinstance(about, Logs):
        return get_att(f"{about.function}Logs", "Arn")
    if isinstance(about, OfTable):
        return get_att(_table(about, program), "Arn")
    api = f"${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{_socket(about, program)}Api}}"
    return sub(f"arn:{api}/{about.socket}/{about.verb}/@connections/*")


def _table(about: OfTable, program: AwsProgram) -> str:
    return next(table.logical_id for table in program.tables if table.name == about.collection)


def _socket(about: Calls, program: AwsProgram) -> str:
    return next(socket.logical_id for socket in program.sockets if socket.name == about.socket)


def _comment(text: str) -> dict[str, Any]:
    return {"Comment": text}
