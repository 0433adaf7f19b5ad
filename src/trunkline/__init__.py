"""Trunkline: declare a WebSocket and its collections, write three handlers, run them anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    DeclarationError,
    InvalidConnectionId,
    InvalidDocument,
    InvalidQuery,
    MessageTooLarge,
    NotRunning,
    PermissionDenied,
    SendError,
    SlowConsumer,
    StoreError,
    StoreUnavailable,
    Throttled,
    TrunklineError,
    Unreachable,
)
from trunkline.model.api import Limits
from trunkline.resources.application import lifespan
from trunkline.resources.authorizer import Allow
from trunkline.resources.collection import Collection, Document, Page, collection
from trunkline.resources.context import Context
from trunkline.resources.websocket import BroadcastResult, Websocket, websocket

if TYPE_CHECKING:
    from trunkline.runtime import open  # noqa: A004

__all__ = [
    "Allow",
    "AlreadyExists",
    "BroadcastResult",
    "Collection",
    "ConfigurationError",
    "Conflict",
    "Context",
    "DeclarationError",
    "Document",
    "InvalidConnectionId",
    "InvalidDocument",
    "InvalidQuery",
    "Limits",
    "MessageTooLarge",
    "NotRunning",
    "Page",
    "PermissionDenied",
    "SendError",
    "SlowConsumer",
    "StoreError",
    "StoreUnavailable",
    "Throttled",
    "TrunklineError",
    "Unreachable",
    "Websocket",
    "collection",
    "lifespan",
    "open",
    "websocket",
]


def __getattr__(name: str) -> object:
    # Only a process that runs a node needs what a node is made of.
    if name == "open":
        from trunkline import runtime

        return runtime.open
    raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
