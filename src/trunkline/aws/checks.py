"""What of a program AWS would refuse: found here, before anything is uploaded, each with its file and line.

Sizes are of what AWS will have put in for names and ids: those are as long as they are under the stack's usual name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from trunkline import limits
from trunkline.aws.program import AwsProgram, Function, Socket
from trunkline.aws.roles import environment, policy
from trunkline.aws.routes import routes_of
from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.model.api import DISCONNECT_ROUTE, Rate
from trunkline.resources.portability import not_on_aws

__all__ = ["check", "check_rates", "check_size"]

ENVIRONMENT_BYTES = 4096  # Lambda's quotas: all variables of a function
INVOKERS_BYTES = 20 * 1024  # Lambda's quotas: the resource-based policy of a function
POLICY_CHARACTERS = 10_240  # IAM's quotas: the inline policies of a role
RESOURCES = 500  # CloudFormation's quotas: resources of a template
TEMPLATE_BYTES = 1024 * 1024  # CloudFormation's quotas: a template in S3
_ROUTE_CHARACTERS = 128
_WILD = re.compile(r"[*?]")
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]*)\}")
_LONGEST_OF_CFN = {"AWS::Region": "ap-southeast-2", "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
_RANDOM = 13  # what CloudFormation puts behind a name of its own


def check(program: AwsProgram, limit: Mapping[str, float]) -> None:
    """Refuse what AWS would.

    Args:
        limit: limits of the settings.

    Raises:
        DeclarationError: all that is wrong with it, a line each.
    """
    found = [*_shortened(program, not_on_aws(program.application, limit)), *_refused(program)]
    if found:
        raise DeclarationError("\n".join(found))


def check_rates(program: AwsProgram, rates: Mapping[str, Rate]) -> None:
    """Refuse a rate of a socket or route that is not there, as a node does.

    Raises:
        ConfigurationError: there is none of that name.
    """
    known = [
        f"socket.{socket.name}{route}"
        for socket in program.sockets
        for route in ("", *(f".{one.key}" for one in socket.routes if one.key != DISCONNECT_ROUTE))
    ]
    for name in rates:
        if name.startswith("socket.") and name not in known:
            raise ConfigurationError(f"rate {name!r} is of nothing that this program has; there are {', '.join(known)}")


def check_size(program: AwsProgram, template: Mapping[str, Any]) -> None:
    """Refuse a template that CloudFormation would.

    Raises:
        DeclarationError: it has too many resources, or is too long.
    """
    where = program.sockets[0].where
    count = len(template["Resources"])
    if count > RESOURCES:
        routes = sum(len(routes_of(socket)) for socket in program.sockets)
        raise DeclarationError(
            f"{where}: {routes} routes and {len(program.tables)} collections are {count} resources; CloudFormation "
            f"takes {RESOURCES}, and each message route is three: deploy its sockets as several programs"
        )
    size = len(json.dumps(template))
    if size > TEMPLATE_BYTES:
        raise DeclarationError(f"{where}: the template has {size:,} bytes; CloudFormation takes {TEMPLATE_BYTES:,}")


def _shortened(program: AwsProgram, lines: Iterator[str]) -> Iterator[str]:
    """The same lines, their files as they are read from the program's folder."""
    return (line.removeprefix(f"{program.folder}/") for line in lines)


def _refused(program: AwsProgram) -> Iterator[str]:
    for socket in program.sockets:
        yield from _routes(socket)
    for function in program.functions:
        yield from _function(function, program)


def _routes(socket: Socket) -> Iterator[str]:
    routes = routes_of(socket)
    if len(routes) > limits.ROUTES:
        yield f"{socket.where}: websocket({socket.name!r}) has {len(routes)} routes; API Gateway takes {limits.ROUTES}"
    for route in routes:
        if _WILD.search(route.key):
            yield (
                f"{route.where}: route {route.key!r} has a '*' or '?', which permissions of AWS take for any text: it "
                "would let other routes call the function, too; expected another name"
            )
        if len(route.key) > _ROUTE_CHARACTERS:
            yield f"{route.where}: a route has {len(route.key)} characters; API Gateway takes {_ROUTE_CHARACTERS}"


def _function(function: Function, program: AwsProgram) -> Iterator[str]:
    where = f"{function.uses[0].where if function.uses else program.sockets[0].where}: {function.program}"
    variables = environment(function, program)
    size = sum(len(name) + len(_filled(value, program)) for name, value in variables.items())
    if size > ENVIRONMENT_BYTES:
        yield (
            f"{where} uses so many collections and sockets that their names are {size:,} bytes of environment; Lambda "
            f"takes {ENVIRONMENT_BYTES:,}: make it several files"
        )
    size = sum(len(_filled(value, program)) for value in _texts(policy(function, program)))
    if size > POLICY_CHARACTERS:
        yield (
            f"{where} asks for so much that its role's policy has {size:,} characters; IAM takes "
            f"{POLICY_CHARACTERS:,}: make it several files"
        )
    behind = [source for socket in program.sockets for source in _sources(socket, function)]
    size = sum(len(_invoker(function, program, source)) for source in behind)
    if size > INVOKERS_BYTES:
        yield (
            f"{where} is behind {len(behind)} routes, and to let each of them call it takes {size:,} bytes; Lambda "
            f"takes {INVOKERS_BYTES:,}: make it several files"
        )


def _texts(statements: list[dict[str, Any]]) -> Iterator[Any]:
    """The texts that a policy is made of: its JSON, with ARNs in place of functions."""
    for statement in statements:
        yield json.dumps({**statement, "Resource": ""}, separators=(",", ":"))
        yield statement["Resource"]


def _sources(socket: Socket, function: Function) -> Iterator[str]:
    """What of a socket calls a function, as the end of an ARN."""
    yield from (f"{socket.name}/{route.key}" for route in routes_of(socket) if route.function == function.name)
    if socket.authorizer is not None and socket.authorizer.function == function.name:
        yield "authorizers/abcdef"


def _invoker(function: Function, program: AwsProgram, path: str) -> str:
    """One statement of a function's own policy, as Lambda writes it."""
    arn = f"arn:aws:lambda:ap-southeast-2:123456789012:function:{_named(program, function.name + 'Function')[:64]}"
    source = f"arn:aws:execute-api:ap-southeast-2:123456789012:abcdefghij/{path}"
    condition = {"ArnLike": {"AWS:SourceArn": source}}
    service = {"Service": "apigateway.amazonaws.com"}
    sid = _named(program, f"{program.sockets[0].logical_id}ConnectPermission")
    statement = {"Sid": sid, "Effect": "Allow", "Principal": service, "Action": "lambda:InvokeFunction"}
    return json.dumps({**statement, "Resource": arn, "Condition": condition}, separators=(",", ":"))


def _filled(value: Any, program: AwsProgram) -> str:
    """A value with names as long as AWS would put them in."""
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        name = _named(program, value["Fn::GetAtt"][0])
        return f"arn:aws:dynamodb:ap-southeast-2:123456789012:table/{name}"
    text = value["Fn::Sub"] if isinstance(value, dict) else str(value)
    return _PLACEHOLDER.sub(lambda found: _filled_in(found[2], program), text)


def _filled_in(name: str, program: AwsProgram) -> str:
    if name == "AWS::AccountId":
        return "123456789012"
    if name in _LONGEST_OF_CFN:
        return _LONGEST_OF_CFN[name]
    return "abcdefghij" if name.endswith("Api") else _named(program, name)


def _named(program: AwsProgram, logical_id: str) -> str:
    return f"trunkline-{program.name}-{logical_id}-{'x' * _RANDOM}"
