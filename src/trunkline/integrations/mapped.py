"""Integrations other than `AWS_PROXY`: data mappings and templates around whatever is behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trunkline import limits
from trunkline.integrations.base import Asked, IntegrationError, MessageRefused, Values, check_reply, in_time
from trunkline.model.api import DEFAULT_ROUTE, Response
from trunkline.model.events import CONNECT, DISCONNECT
from trunkline.model.mapping import Inbound, compile_key, compile_parameters, compile_selection

if TYPE_CHECKING:
    from trunkline.integrations.base import Answered, Backend, Renderer
    from trunkline.model.deployment import IntegrationDefinition, ResponseDefinition
    from trunkline.model.events import Event

__all__ = ["MappedIntegration"]

_KEY = "application/json"  # of a template that is chosen by no expression, or not by what it gives
_NO_HEADERS: Mapping[str, list[str]] = {}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What of a backend's headers goes into the answer to a handshake.
_FORWARDED = ("content-type", "sec-websocket-protocol")


class MappedIntegration:
    """Makes a request of an event, has it answered in time, and makes a reply of the answer.

    Args:
        definition: the integration, as declared.
        backend: what is asked.
        renderer: renders its templates.
        message_bytes: the largest reply.

    Raises:
        DeclarationError: one of its expressions cannot be read.
    """

    __slots__ = (
        "_backend", "_definition", "_is_proxy", "_message_bytes", "_parameters", "_renderer", "_responses",
        "_templates", "_who",
    )  # fmt: skip

    def __init__(
        self,
        definition: IntegrationDefinition,
        backend: Backend,
        renderer: Renderer,
        *,
        message_bytes: int = limits.MESSAGE_BYTES,
    ) -> None:
        self._definition = definition
        self._backend = backend
        self._renderer = renderer
        self._message_bytes = message_bytes
        self._is_proxy = definition.kind == "HTTP_PROXY"
        self._who = _named(definition)
        self._parameters = compile_parameters(definition.parameters)
        self._templates = _Templates(definition.select, definition.templates)
        self._responses = [_Answers(declared) for declared in sorted(definition.responses, key=_rank)]

    async def invoke(self, event: Event) -> Response | None:
        """See `Integration.invoke`.

        Raises:
            MessageRefused: something of the message or the handshake cannot stand where it is mapped to.
            IntegrationError: 415 for a message that no template takes and that may not pass as it is, 504 for a
                backend that took too long, else 500.
        """
        inbound = Inbound(event)
        asked = self._asked(inbound)
        asked.body = await self._body(inbound)
        answered = await in_time(self._backend.call(asked), self._definition.seconds, self._who)
        if event.kind is DISCONNECT:
            return None  # nobody is there to be answered
        if self._is_proxy:
            response = Response(answered.status, answered.body or None, _forwarded(answered))
        else:
            response = Response(200, await self._reply(inbound, answered) or None)
        if event.kind is not CONNECT:
            check_reply(response.body, self._message_bytes, self._who)
        return response

    def _asked(self, inbound: Inbound) -> Asked:
        headers: dict[str, list[str]] = {}
        query: dict[str, list[str]] = {}
        path: dict[str, str] = {}
        for place, name, source in self._parameters:
            values = source(inbound)
            if not values:
                continue
            if place == "header":
                headers[name] = [_header(name, value) for value in values]
            elif place == "querystring":
                query[name] = values
            else:
                path[name] = values[-1]
        if self._definition.uri:
            headers = _own_headers(inbound.event.identity.api_id, headers)
        return Asked(headers=headers, query=query, path=path)

    async def _body(self, inbound: Inbound) -> str:
        if self._is_proxy:
            return inbound.text
        template = self._templates.chosen(inbound)
        if template is not None:
            return await self._rendered(template, inbound, inbound.text)
        passthrough = self._definition.passthrough
        if passthrough == "NEVER" or (passthrough == "WHEN_NO_TEMPLATES" and self._definition.templates):
            raise IntegrationError(
                f"{self._who} has no template for this, and PassthroughBehavior is {passthrough}", 415
            )
        return inbound.text

    async def _reply(self, inbound: Inbound, answered: Answered) -> str:
        said = answered.error if self._definition.function else str(answered.status)
        response = next((response for response in self._responses if response.take(said)), None)
        if response is None:
            return ""
        template = response.templates.chosen(inbound, answered.status, answered.headers)
        return answered.body if template is None else await self._rendered(template, inbound, answered.body)

    async def _rendered(self, template: str, inbound: Inbound, body: str) -> str:
        values = Values(
            body=body,
            context=inbound.context,
            stage_variables=inbound.stage_variables,
            headers={name: values[-1] for name, values in inbound.headers.items()},
            query={name: values[-1] for name, values in inbound.query.items()},
        )
        return await self._renderer.render(template, values)


class _Templates:
    """Mapping templates, one of which is chosen.

    Args:
        select: a template selection expression; empty for none.
        templates: by key; that of `$default` is for keys that have none.
    """

    __slots__ = ("_select", "_templates")

    def __init__(self, select: str, templates: Mapping[str, str], *, of_response: bool = False) -> None:
        self._select = compile_selection(select, of_response=of_response) if select else None
        self._templates = templates

    def chosen(self, inbound: Inbound, status: int = 0, headers: Mapping[str, list[str]] = _NO_HEADERS) -> str | None:
        """That of an event, and of the answer to it; None for none."""
        selected = () if self._select is None else (self._select(inbound, status, headers),)
        keys = (*selected, DEFAULT_ROUTE, _KEY)
        return next((self._templates[key] for key in keys if key in self._templates), None)


class _Answers:
    """An integration response: which answers it is for, and what becomes of them."""

    __slots__ = ("_matches", "templates")

    def __init__(self, declared: ResponseDefinition) -> None:
        self._matches = None if declared.key == DEFAULT_ROUTE else compile_key(declared.key)
        self.templates = _Templates(declared.select, declared.templates, of_response=True)

    def take(self, said: str | None) -> bool:
        """Whether it is for answers that say this; None for those of functions that did not fail."""
        return self._matches is None or (said is not None and self._matches(said))


def _rank(declared: ResponseDefinition) -> int:
    # What is said word for word comes before an expression that means it, too.
    return 2 if declared.key == DEFAULT_ROUTE else int(declared.key.startswith("/"))


def _named(definition: IntegrationDefinition) -> str:
    if definition.function:
        return f"the function {definition.function}"
    if definition.uri:
        return f"{definition.method} {definition.uri.partition('?')[0]}"
    return definition.action or "the mock"


def _header(name: str, value: str) -> str:
    # Left out, it could be believed that the client has none.
    if _CONTROL.search(value):
        raise MessageRefused(f"what is mapped to the header {name} has a control character", 400)
    return value.strip(" \t")


def _own_headers(api_id: str, mapped: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """With those by which API Gateway says who it is, where they are not mapped."""
    own = {"User-Agent": f"AmazonAPIGateway_{api_id}", "x-amzn-apigateway-api-id": api_id}
    taken = {name.lower() for name in mapped}
    return {name: [value] for name, value in own.items() if name.lower() not in taken} | dict(mapped)


def _forwarded(answered: Answered) -> dict[str, str]:
    return {name: answered.headers[name][-1] for name in _FORWARDED if answered.headers.get(name)}
