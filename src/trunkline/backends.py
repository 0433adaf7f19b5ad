"""What is behind the integrations of a run that are no proxies of functions: made when a route first needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trunkline.errors import ConfigurationError
from trunkline.functions.environment import CREDENTIALS
from trunkline.integrations.dynamodb import DynamoDbBackend
from trunkline.integrations.function import FunctionBackend
from trunkline.integrations.http import HttpBackend, HttpClient
from trunkline.integrations.mapped import MappedIntegration
from trunkline.integrations.mock import MockBackend
from trunkline.integrations.vtl import NEEDED, TemplateWorker, has_airspeed

if TYPE_CHECKING:
    from trunkline.integrations.base import Backend, Integration
    from trunkline.model.deployment import IntegrationDefinition
    from trunkline.model.functions import Invoker

__all__ = ["NO_DYNAMODB", "Backends"]

NO_DYNAMODB = "http://127.0.0.1:1/no-dynamodb-was-started"
"""Where there is none; it stands in the message of whoever calls it."""


class Backends:
    """Makes integrations. They share one worker for mapping templates and one HTTP client.

    Args:
        region: what calls to services are signed for.

    Attributes:
        dynamodb: URL of the DynamoDB of the run; None for none.
        worker: of mapping templates, if there is one.
        client: for HTTP, if there is one.
    """

    def __init__(self, region: str) -> None:
        self.dynamodb: str | None = None
        self.worker: TemplateWorker | None = None
        self.client: HttpClient | None = None
        self._region = region

    def integration(self, definition: IntegrationDefinition, function: Invoker | None) -> Integration:
        """An integration, ready to be invoked.

        Args:
            definition: its URL is that of a stage, without variables.
            function: what is behind it, if it has one.

        Raises:
            DeclarationError: something in it cannot be.
            ConfigurationError: a package that it needs is not installed.
        """
        if _has_templates(definition) and not has_airspeed():
            raise ConfigurationError(f"{definition.where}: {NEEDED}")
        backend = self._behind(definition, function)
        if self.worker is None:
            self.worker = TemplateWorker()
        return MappedIntegration(definition, backend, self.worker)

    async def close(self) -> None:
        """End the worker and the client's connections."""
        worker, self.worker = self.worker, None
        client, self.client = self.client, None
        if worker is not None:
            await worker.close()
        if client is not None:
            await client.close()

    def _behind(self, definition: IntegrationDefinition, function: Invoker | None) -> Backend:
        if definition.kind == "MOCK":
            return MockBackend()
        if definition.kind == "AWS" and not definition.action:
            return FunctionBackend(cast("Invoker", function))
        if self.client is None:
            self.client = HttpClient()
        if definition.kind != "AWS":
            return HttpBackend(definition.uri, definition.method, self.client)
        url = self.dynamodb or NO_DYNAMODB
        return DynamoDbBackend(
            definition.action, url, region=self._region, credentials=CREDENTIALS, client=self.client
        )  # fmt: skip


def _has_templates(definition: IntegrationDefinition) -> bool:
    return bool(definition.templates) or any(response.templates for response in definition.responses)
