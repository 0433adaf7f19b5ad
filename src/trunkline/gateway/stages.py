"""The stages of a gateway, and which of them a request means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trunkline.model.addresses import authority

if TYPE_CHECKING:
    from trunkline.model.api import CompiledApi

__all__ = ["EXECUTE_API", "Stage", "by_host", "find_stage", "is_served", "stage_at"]

EXECUTE_API = re.compile(r"([^.]+)\.execute-api\..+")
"""A name that API Gateway gives an Api: `{api id}.execute-api.{region}.amazonaws.com`, or as others write it."""


class Stage:
    """A named deployment: a redeploy replaces `api` under open connections."""

    __slots__ = ("api",)

    def __init__(self, api: CompiledApi) -> None:
        self.api = api


def by_host(api_id: str, stage: str) -> str:
    """The key of a stage that is also found by the Host `{api id}.execute-api.*`; no path is like it."""
    return f"{api_id} {stage}"


def find_stage(stages: Mapping[str, Stage], api_id: str, name: str) -> Stage | None:
    """The stage of a name, of the Api that the Host says; `api_id` is empty where it says none."""
    if not api_id:
        return stages.get(name)
    found = stages.get(by_host(api_id, name)) or stages.get(name)
    return found if found is not None and found.api.api_id == api_id else None


def is_served(stages: Mapping[str, Stage], api_id: str) -> bool:
    """Whether a stage here is of an Api."""
    return any(stage.api.api_id == api_id for stage in stages.values())


def stage_at(stages: Mapping[str, Stage], path: str, host: str) -> Stage | None:
    """The stage of a raw path: exactly `/{stage}`, a trailing slash is taken.

    Of several Apis it is that of the one that a Host header says; a Host of an Api that is not here says nothing.
    """
    if not path.startswith("/"):
        return None
    named = EXECUTE_API.fullmatch(authority(host, "https")[0]) if ".execute-api." in host.lower() else None
    api_id = named[1] if named is not None and is_served(stages, named[1]) else ""
    return find_stage(stages, api_id, path[1:].removesuffix("/"))
