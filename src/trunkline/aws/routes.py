"""A socket of a program as resources: its Api, integrations, routes, authorizer, deployment and stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from trunkline.aws.options import Options
from trunkline.aws.program import Route, Socket
from trunkline.aws.resources import LogicalIds, Resources, literal, ref, resource, sub
from trunkline.model.api import CONNECT_ROUTE, Rate
from trunkline.resources.permissions import Declared

__all__ = ["milliseconds", "routes_of", "socket_resources", "words"]

_LEAST_MS = 50  # API Gateway takes no shorter timeout
_LONGEST_NAME = 128
_LONGEST_WORDS = 64  # so that no logical id is over 255
_LOGGED = (
    "requestId", "requestTime", "eventType", "routeKey", "status", "connectionId", "identity.sourceIp",
    "integrationErrorMessage",
)  # fmt: skip


def socket_resources(socket: Socket, program: str, options: Options, ids: LogicalIds) -> Resources:
    """What a socket is made of, in the order of reading.

    Args:
        program: its name, which stands before the socket's in the console.
    """
    return _Socket(socket, program, options, ids).resources()


def routes_of(socket: Socket) -> tuple[Route, ...]:
    """Its routes on AWS: an authorizer is asked for `$connect` alone there, so a socket that has one has that, too."""
    routes = socket.routes
    if socket.authorizer is None or any(route.key == CONNECT_ROUTE for route in routes):
        return routes
    return (Route(CONNECT_ROUTE, socket.authorizer.function, socket.authorizer.where), *routes)


def milliseconds(socket: Socket) -> int:
    """How long API Gateway waits for a handler."""
    return max(_LEAST_MS, int(socket.options.limits.handler_seconds * 1000))


def words(key: str) -> str:
    """A route key as a part of a logical id: `PlaceBid` for "place-bid", `Connect` for "$connect"."""
    parts = "".join(one if one.isascii() and one.isalnum() else " " for one in key).split()
    return "".join(part[0].upper() + part[1:] for part in parts)[:_LONGEST_WORDS] or "Other"


class _Socket:
    def __init__(self, socket: Socket, program: str, options: Options, ids: LogicalIds) -> None:
        self._socket = socket
        self._program = program
        self._options = options
        self._ids = ids
        self._name = socket.logical_id
        self._api = f"{socket.logical_id}Api"
        self._routes = routes_of(socket)
        functions = {route.function: None for route in self._routes}
        self._integrations = {
            name: f"{ids.new(f'{self._name}{name}', 'Integration')}Integration" for name in sorted(functions)
        }
        self._authorizer = ids.new(f"{self._name}Authorizer", "", "Permission") if socket.authorizer else None

    def resources(self) -> Resources:
        deployed = {self._api: self._api_itself()} | dict(self._authorization())
        deployed |= {logical_id: self._integration(name) for name, logical_id in self._integrations.items()}
        for route in self._routes:
            deployed |= self._route(route)
        return deployed | self._stage(deployed)

    def _api_itself(self) -> dict[str, Any]:
        return resource(
            "ApiGatewayV2::Api",
            {
                "Name": f"{self._program}-{self._socket.name}"[-_LONGEST_NAME:],
                "ProtocolType": "WEBSOCKET",
                "RouteSelectionExpression": self._socket.options.select,
            },
            _comment(f"what clients of {self._socket.name} connect to", self._socket.where),
        )

    def _authorization(self) -> Iterator[tuple[str, dict[str, Any]]]:
        authorizer = self._socket.authorizer
        if authorizer is None or self._authorizer is None:
            return
        properties = {
            "ApiId": ref(self._api),
            "Name": self._socket.name,
            "AuthorizerType": "REQUEST",
            "AuthorizerUri": _invocations(authorizer.function),
            "IdentitySource": list(authorizer.identity) or None,
        }
        comment = _comment(f"what decides about handshakes of {self._socket.name}", authorizer.where)
        yield self._authorizer, resource("ApiGatewayV2::Authorizer", properties, comment)
        source = self._source(f"authorizers/${{{self._authorizer}}}")
        yield (
            f"{self._authorizer}Permission",
            _permission(authorizer.function, source, "this authorizer", authorizer.where),
        )

    def _integration(self, function: str) -> dict[str, Any]:
        return resource(
            "ApiGatewayV2::Integration",
            {
                "ApiId": ref(self._api),
                "IntegrationType": "AWS_PROXY",
                "IntegrationMethod": "POST",
                "IntegrationUri": _invocations(function),
                "TimeoutInMillis": milliseconds(self._socket),
            },
            _comment(f"from {self._socket.name} to {function}Function", self._socket.where),
        )

    def _route(self, route: Route) -> Resources:
        wanted = f"{self._name}{words(route.key)}"
        made = ("Route", "RouteResponse", "Permission") if route.two_way else ("Route", "Permission")
        name = self._ids.new(wanted, *made)
        checked = route.key == CONNECT_ROUTE and self._authorizer is not None
        properties = {
            "ApiId": ref(self._api),
            "RouteKey": route.key,
            "AuthorizationType": "CUSTOM" if checked else "NONE",
            "AuthorizerId": ref(self._authorizer) if checked and self._authorizer else None,
            "RouteResponseSelectionExpression": "$default" if route.two_way else None,
            "Target": sub(f"integrations/${{{self._integrations[route.function]}}}"),
        }
        made_of = {f"{name}Route": resource("ApiGatewayV2::Route", properties, _comment(route.key, route.where))}
        if route.two_way:
            made_of[f"{name}RouteResponse"] = self._response(f"{name}Route", route)
        source = self._source(f"{self._socket.name}/{literal(route.key)}")
        return made_of | {f"{name}Permission": _permission(route.function, source, route.key, route.where)}

    def _response(self, route_id: str, route: Route) -> dict[str, Any]:
        properties = {"ApiId": ref(self._api), "RouteId": ref(route_id), "RouteResponseKey": "$default"}
        comment = _comment(f"what {route.key} returns goes back to the client", route.where)
        return resource("ApiGatewayV2::RouteResponse", properties, comment)

    def _source(self, path: str) -> dict[str, Any]:
        return sub(f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{self._api}}}/{path}")

    def _stage(self, deployed: Resources) -> Resources:
        deployment = f"{self._name}Deployment{_fingerprint(deployed)}"
        after = [name for name, one in deployed.items() if one["Type"].endswith(("::Route", "::RouteResponse"))]
        hashed = {"Comment": "its name has a hash of all that it deploys, so that what is changed is deployed anew"}
        made = {
            deployment: resource("ApiGatewayV2::Deployment", {"ApiId": ref(self._api)}, hashed, DependsOn=after),
        }
        logs = f"{self._ids.new(f'{self._name}Access', 'Logs')}Logs"
        if self._options.access_log:
            text = f"a line for each request to {self._socket.name}"
            made[logs] = resource(
                "Logs::LogGroup", {"RetentionInDays": self._options.retention_days}, {"Comment": text}
            )
        properties = {
            "ApiId": ref(self._api),
            "StageName": self._socket.name,
            "DeploymentId": ref(deployment),
            "DefaultRouteSettings": _throttling(self._options.rates.get(f"socket.{self._socket.name}")),
            "RouteSettings": self._route_settings() or None,
            "AccessLogSettings": _access_log(logs) if self._options.access_log else None,
        }
        comment = _comment(f"where {self._socket.name} is served", self._socket.where)
        made[f"{self._name}Stage"] = resource("ApiGatewayV2::Stage", properties, comment)
        return made

    def _route_settings(self) -> dict[str, Any]:
        rates = self._options.rates
        keys = {route.key: rates.get(f"socket.{self._socket.name}.{route.key}") for route in self._routes}
        return {key: _throttling(rate) for key, rate in keys.items() if rate is not None}


def _invocations(function: str) -> dict[str, Any]:
    path = f"lambda:path/2015-03-31/functions/${{{function}Function.Arn}}/invocations"
    return sub(f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:{path}")


def _permission(function: str, source: dict[str, Any], what: str, where: Declared) -> dict[str, Any]:
    properties = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": ref(f"{function}Function"),
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": source,
    }
    comment = _comment(f"API Gateway may call {function}Function for {what} alone", where)
    return resource("Lambda::Permission", properties, comment)


def _fingerprint(deployed: Resources) -> str:
    """Of everything that a deployment fixes; not of lines, which move."""
    fixed = {name: one["Properties"] for name, one in deployed.items() if one["Type"].startswith("AWS::ApiGatewayV2")}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8]


def _throttling(rate: Rate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    per_second = int(rate.per_second) if rate.per_second == int(rate.per_second) else rate.per_second
    return {"ThrottlingRateLimit": per_second, "ThrottlingBurstLimit": rate.burst}


def _access_log(logs: str) -> dict[str, Any]:
    group = f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{logs}}}"
    return {
        "DestinationArn": sub(group),
        "Format": json.dumps({name.rpartition(".")[2]: f"$context.{name}" for name in _LOGGED}),
    }


def _comment(text: str, where: Declared) -> dict[str, Any]:
    return {"Comment": f"{text}, {where}"}
