"""Who may call what stands in for AWS: programs of this machine as they are, others if they sign, web pages never."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from trunkline import clock
from trunkline.gateway.answers import iso
from trunkline.model.addresses import authority, is_loopback

if TYPE_CHECKING:
    from trunkline.gateway.admission import Admission
    from trunkline.gateway.request_reader import HttpRequest

__all__ = ["Callers", "Host", "is_by_a_page"]

_BY_A_PAGE = frozenset({"origin", "sec-fetch-site"})
_BY_A_PROXY = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
_is_this_machine = lru_cache(maxsize=1024)(is_loopback)


class Host(NamedTuple):
    """What a Host header that is ours says."""

    api_id: str = ""  # of the Api that it names, if it names one
    is_public: bool = False


class Callers:
    """The rules of one service.

    Args:
        admission: knows who is at the other end.
        service: its names in AWS; what it captures, if anything, is the id of an Api.
        verifying: callers of this machine, too, must sign. Others must always.
        hosts: by which names it may be called, besides those of this machine and of AWS.
    """

    def __init__(
        self, admission: Admission, service: re.Pattern[str], *, verifying: bool = False, hosts: Sequence[str] = ()
    ) -> None:
        self._admission = admission
        self._service = service
        self._verifying = verifying
        self._hosts = frozenset(host.lower() for host in hosts)
        self.host = lru_cache(maxsize=256)(self._look_at_host)

    def _look_at_host(self, header: str) -> Host | None:
        """What a Host says; None for one that is not ours."""
        name, _ = authority(header, "https")
        if aws := self._service.fullmatch(name):
            return Host("".join(aws.groups()))
        if is_loopback(name):
            return Host()
        return Host(is_public=True) if name in self._hosts else None

    def trusts(self, request: HttpRequest) -> bool:
        """Whether nobody has to sign: in development, on this machine, and not for somebody else."""
        return (
            not self._verifying
            and self._admission.loopback
            and _is_this_machine(request.peer)
            and _BY_A_PROXY.isdisjoint(request.named)
        )

    def context(self, request: HttpRequest) -> dict[str, str]:
        """What the conditions of a caller's policy may ask for."""
        now = clock.now()
        return {
            "aws:SourceIp": self._admission.source(request.peer, request.values("x-forwarded-for")),
            "aws:UserAgent": request.header("user-agent") or "",
            "aws:CurrentTime": iso(datetime.fromtimestamp(now, UTC)),
            "aws:EpochTime": str(int(now)),
        }


def is_by_a_page(named: Mapping[str, str]) -> bool:
    """Whether a browser sent it, by the names of its headers."""
    return not _BY_A_PAGE.isdisjoint(named)
