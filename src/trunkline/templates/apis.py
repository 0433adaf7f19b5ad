"""WebSocket Apis of a template: routes with the functions behind them, authorizers, stages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trunkline.model.api import CONNECT_ROUTE, Rate
from trunkline.model.deployment import ApiDefinition, AuthorizerDefinition, RouteDefinition, StageDefinition, Warned
from trunkline.templates.integrations import Integrations
from trunkline.templates.models import Models, required_by
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text
from trunkline.templates.uris import function_name

__all__ = ["API_TYPES", "Apis"]

_V2 = "AWS::ApiGatewayV2::"
API_TYPES = {
    _V2 + name
    for name in (
        "Api", "Route", "Integration", "IntegrationResponse", "Authorizer", "Model", "RouteResponse", "Stage",
        "Deployment",
    )
}  # fmt: skip
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
# What AWS has in force where a stage gives one of the two and not the other.
_AWS_RATE, _AWS_BURST = 10_000.0, 5_000


class Apis:
    """Puts the ApiGatewayV2 resources of a template together.

    Args:
        resources: those of `API_TYPES`, by logical id.
        ref: what Ref gives of a resource, which is what resources call each other by.
        warnings: what is not done here is added to it.
    """

    def __init__(self, resources: Mapping[str, Resource], ref: Callable[[str], str], warnings: list[Warned]) -> None:
        self._ref = ref
        self._warnings = warnings
        self._kinds: dict[str, list[Resource]] = {}
        for resource in resources.values():
            self._kinds.setdefault(resource.kind.removeprefix(_V2), []).append(resource)
        self._targets = self._by_ref("Integration")
        self._authorizers = self._by_ref("Authorizer")
        self._integrations = Integrations(self._kinds.get("IntegrationResponse", []), ref, self._warn)
        self._models = Models(self._kinds.get("Model", []), ref, self._warn)

    def all(self) -> tuple[ApiDefinition, ...]:
        """The Apis whose protocol is WEBSOCKET."""
        return tuple(self._api(api) for api in self._kinds.get("Api", []) if is_websocket(api))

    def warn_of_strays(self, known: set[str]) -> None:
        """Say of routes of an Api that is not here that they are not served.

        Args:
            known: what Ref gives of all resources.
        """
        strays: dict[str, list[Resource]] = {}
        for route in self._kinds.get("Route", []):
            api_id = as_text(route.properties.get("ApiId"))
            if api_id is not None and api_id not in known:
                strays.setdefault(api_id, []).append(route)
        for api_id, routes in strays.items():
            keys = ", ".join(as_text(route.properties.get("RouteKey")) or route.logical_id for route in routes)
            which = f"route {keys} is" if len(routes) == 1 else f"routes {keys} are"
            self._warn(routes[0], f"{which} of Api {api_id}, which is not in this template, and not served", "ApiId")

    def _by_ref(self, kind: str) -> dict[str, Resource]:
        return {self._ref(resource.logical_id): resource for resource in self._kinds.get(kind, [])}

    def _warn(self, resource: Resource, text: str, *keys: Any) -> None:
        self._warnings.append(Warned(resource.where_of(*keys), text))

    def _of(self, kind: str, api_id: str) -> list[Resource]:
        return [resource for resource in self._kinds.get(kind, []) if resource.text("ApiId") == api_id]

    def _api(self, api: Resource) -> ApiDefinition:
        api_id = self._ref(api.logical_id)
        routes, authorizer = self._routes(api_id)
        stages = self._stages(api_id)
        if not stages:
            self._warn(api, f"Api {api.logical_id} has no stage and is not served; expected an {_V2}Stage")
        if api.is_true("DisableExecuteApiEndpoint"):
            self._warn(api, "DisableExecuteApiEndpoint is not done here", "DisableExecuteApiEndpoint")
        return ApiDefinition(
            logical_id=api.logical_id,
            name=api.text("Name", api.logical_id),
            api_id=api_id,
            select=api.text("RouteSelectionExpression"),
            routes=routes,
            authorizer=authorizer,
            stages=stages,
            where=api.where,
        )

    def _routes(self, api_id: str) -> tuple[tuple[RouteDefinition, ...], AuthorizerDefinition | None]:
        routes: dict[str, RouteDefinition] = {}
        authorizer = None
        for route in self._of("Route", api_id):
            key = route.text("RouteKey")
            if key in routes:
                raise route.error(f"route key {key} is at {routes[key].where} already; expected another", "RouteKey")
            made = self._route(route, key)
            if made is not None:
                routes[key] = made
            authorizer = self._authorization(route, key) or authorizer
        return tuple(routes.values()), authorizer

    def _route(self, route: Resource, key: str) -> RouteDefinition | None:
        target = self._target(route, key)
        integration = None if target is None else self._integrations.read(target, key)
        if integration is None:
            return None
        if route.is_true("ApiKeyRequired"):
            self._warn(route, f"API keys are not checked here: route {key} takes everyone", "ApiKeyRequired")
        model_select, models = self._models.of(route, key)
        return RouteDefinition(
            key=key,
            integration=integration,
            two_way=self._two_way(route, key),
            where=route.where,
            required=required_by(route, key, self._warn),
            model_select=model_select,
            models=models,
        )

    def _target(self, route: Resource, key: str) -> Resource | None:
        target = route.text("Target", "")
        if not target:
            self._warn(route, f"route {key} has no Target and is left out")
            return None
        integration = self._targets.get(target.removeprefix("integrations/"))
        if not target.startswith("integrations/") or integration is None:
            expected = "integrations/ and the Ref of an integration of this template"
            raise route.error(f"Target is {target!r}; expected {expected}", "Target")
        return integration

    def _two_way(self, route: Resource, key: str) -> bool:
        # AWS documents both as needed, and nobody has seen whether the expression alone does; SAM's WebSocketApi makes
        # only the expression, and whoever writes it wants answers. A response without it is one-way in AWS too.
        responses = [
            r for r in self._kinds.get("RouteResponse", []) if r.text("RouteId") == self._ref(route.logical_id)
        ]
        asked = bool(route.text("RouteResponseSelectionExpression", ""))
        if key in {CONNECT_ROUTE, "$disconnect"}:
            return asked
        if asked and not responses:
            text = f"route {key} has no RouteResponse, which AWS may want; its answers are sent all the same"
            self._warn(route, text, "RouteResponseSelectionExpression")
        if responses and not asked:
            self._warn(route, f"route {key} has no RouteResponseSelectionExpression: its answers are not sent")
        return asked

    def _authorization(self, route: Resource, key: str) -> AuthorizerDefinition | None:
        kind = route.text("AuthorizationType", "NONE")
        if kind == "NONE":
            return None
        if kind != "CUSTOM" or key != CONNECT_ROUTE:
            text = f"authorization {kind} of route {key} is not checked here: it takes everyone"
            self._warn(route, text, "AuthorizationType")
            return None
        authorizer = self._authorizers.get(route.text("AuthorizerId"))
        if authorizer is None:
            raise route.error(
                "AuthorizerId names no authorizer of this template; expected a Ref to one", "AuthorizerId"
            )
        return self._authorizer(authorizer)

    def _authorizer(self, authorizer: Resource) -> AuthorizerDefinition:
        kind = authorizer.text("AuthorizerType", "REQUEST")
        if kind != "REQUEST":
            raise authorizer.error(f"AuthorizerType is {kind}; expected REQUEST", "AuthorizerType")
        uri = authorizer.text("AuthorizerUri")
        function = function_name(uri)
        if function is None:
            raise authorizer.error(f"AuthorizerUri is {uri!r}; expected that of a Lambda function", "AuthorizerUri")
        return AuthorizerDefinition(function, _identity(authorizer), authorizer.where)

    def _stages(self, api_id: str) -> tuple[StageDefinition, ...]:
        stages: dict[str, StageDefinition] = {}
        for stage in self._of("Stage", api_id):
            made = self._stage(stage)
            if made.name in stages:
                raise stage.error(f"stage {made.name} is at {stages[made.name].where} already; expected another name")
            stages[made.name] = made
        for deployment in self._of("Deployment", api_id):
            name = deployment.text("StageName", "")
            if name and name not in stages:
                stages[name] = StageDefinition(_checked(deployment, name), where=deployment.where)
        return tuple(stages.values())

    def _stage(self, stage: Resource) -> StageDefinition:
        name = _checked(stage, stage.text("StageName"))
        if stage.properties.get("AccessLogSettings"):
            self._warn(stage, f"the access log of stage {name} is not written here", "AccessLogSettings")
        rates = {
            key: rate
            for key, settings in stage.mapping("RouteSettings").items()
            if (rate := _rate(stage, settings, "RouteSettings", key)) is not None
        }
        variables = {key: as_text(value) or "" for key, value in stage.mapping("StageVariables").items()}
        default = _rate(stage, stage.mapping("DefaultRouteSettings"), "DefaultRouteSettings")
        return StageDefinition(name, variables, default, rates, stage.where)


def is_websocket(api: Resource) -> bool:
    """Whether an Api's protocol is WEBSOCKET."""
    return api.text("ProtocolType", "HTTP") == "WEBSOCKET"


def _checked(resource: Resource, name: str) -> str:
    if not _STAGE_NAME.match(name):
        raise resource.error(f"StageName is {name!r}; expected letters, digits, - and _", "StageName")
    return name


def _identity(authorizer: Resource) -> tuple[str, ...]:
    given = authorizer.properties.get("IdentitySource")
    sources: Iterable[Any] = given if isinstance(given, list) else (as_text(given) or "").split(",")
    return tuple(text for source in sources if (text := (as_text(source) or "").strip()))


def _rate(stage: Resource, settings: Any, *keys: str) -> Rate | None:
    if not isinstance(settings, dict):
        raise stage.error(f"{'.'.join(keys)} is {settings!r}; expected a mapping", *keys)
    per_second, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    if per_second is None and burst is None:
        return None
    return Rate(
        stage.number("ThrottlingRateLimit", _AWS_RATE, settings),
        int(stage.number("ThrottlingBurstLimit", _AWS_BURST, settings)),
    )
