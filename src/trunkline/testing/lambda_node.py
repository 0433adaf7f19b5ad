"""An Api whose routes are Lambda functions, on a real gateway in this process, with clients in memory."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from trunkline import runtime
from trunkline.connections.local import LocalConnections
from trunkline.gateway.server import Gateway
from trunkline.gateway.throttling import Throttling
from trunkline.integrations.lambda_function import LambdaIntegration
from trunkline.model.api import (
    CONNECT_ROUTE,
    DISCONNECT_ROUTE,
    CompiledApi,
    CompiledAuthorizer,
    CompiledRoute,
    Limits,
    Rate,
)
from trunkline.model.expressions import compile_selector
from trunkline.model.ids import api_id
from trunkline.resources.application import Application
from trunkline.stores.memory import MemoryStore
from trunkline.testing.functions import Function
from trunkline.testing.node import TestNode

__all__ = ["lambda_node"]


@contextlib.asynccontextmanager
async def lambda_node(
    routes: Mapping[str, Function | Callable[[Any, Any], Any]],
    *,
    stage: str = "test",
    two_way: Collection[str] = (),
    select: str = "$request.body.action",
    stage_variables: Mapping[str, str] | None = None,
    authorizer: CompiledAuthorizer | None = None,
    seconds: float = 29.0,
    limits: Limits | None = None,
    rates: Mapping[str, Rate] | None = None,
) -> AsyncIterator[TestNode]:
    """Serve functions by route key: "$connect", "$disconnect", "$default" and custom ones.

    Args:
        two_way: keys of the routes that have a route response.
        seconds: the integrations' timeout.
        rates: by name, as in settings; the stage's is "socket.STAGE" and a route's "socket.STAGE.KEY".

    Raises:
        DeclarationError: the selection expression cannot be.
    """
    rates = rates or {}
    compiled = {
        key: _route(key, function, key in two_way, seconds, rates.get(f"socket.{stage}.{key}"))
        for key, function in routes.items()
    }
    connect, disconnect = compiled.pop(CONNECT_ROUTE, None), compiled.pop(DISCONNECT_ROUTE, None)
    api = CompiledApi(
        name=stage,
        api_id=api_id(stage),
        stage=stage,
        select=compile_selector(select),
        routes=compiled,
        connect=connect,
        disconnect=disconnect,
        authorizer=authorizer,
        ordered=False,  # Lambda runs them side by side
        limits=limits or Limits(),
        stage_variables=stage_variables or {},
        rate=rates.get(f"socket.{stage}"),
    )
    api = Throttling(rates, asyncio.get_running_loop().time).applied(api)
    ids = runtime.connection_ids(None)
    connections = LocalConnections(ids.origin)
    gateway = Gateway([api], ids, connections, context=contextvars.copy_context())
    node = TestNode(runtime.RunningNode(Application(), gateway, connections, MemoryStore()))
    try:
        yield node
    finally:
        for client in node.clients:
            client.go_on_reading()
        await gateway.close()


def _route(
    key: str, function: Function | Callable[[Any, Any], Any], two_way: bool, seconds: float, rate: Rate | None
) -> CompiledRoute:
    invoker = function if isinstance(function, Function) else Function(function)
    return CompiledRoute(key, LambdaIntegration(invoker, seconds=seconds).invoke, two_way=two_way, rate=rate)
