"""What may be chosen of a program on AWS, besides the program itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.aws.package import PackageOptions
from trunkline.errors import ConfigurationError
from trunkline.model.api import Rate

__all__ = ["RETENTION_DAYS", "Options"]

# What CloudWatch Logs takes, and nothing between.
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
_LEAST_MB, _MOST_MB = 128, 10_240


@dataclass(frozen=True, slots=True)
class Options:
    """How a program runs on AWS.

    Attributes:
        memory_mb: of each function; its share of a processor grows with it.
        packages: what they run on, and what is in their zips.
        retention_days: how long logs are kept.
        point_in_time_recovery: tables can be restored to any second of the last 35 days.
        keep_tables: a table stays, with its documents, when the stack is deleted or no longer has it.
        rates: of sockets and their routes, by "socket.NAME" and "socket.NAME.ROUTE".
        access_log: a line of a log for each request to a socket.

    Raises:
        ConfigurationError: AWS would not take it.
    """

    memory_mb: int = 256
    packages: PackageOptions = field(default_factory=PackageOptions)
    retention_days: int = 30
    point_in_time_recovery: bool = False
    keep_tables: bool = True
    rates: Mapping[str, Rate] = field(default_factory=dict)
    access_log: bool = True

    def __post_init__(self) -> None:
        if not _LEAST_MB <= self.memory_mb <= _MOST_MB:
            raise ConfigurationError(f"--memory is {self.memory_mb}; expected {_LEAST_MB} to {_MOST_MB} MB")
        if self.retention_days not in RETENTION_DAYS:
            known = ", ".join(map(str, RETENTION_DAYS))
            raise ConfigurationError(f"--retention is {self.retention_days}; expected one of {known} days")

    @property
    def runtime(self) -> str:
        """Lambda's name of the Python."""
        return f"python{self.packages.platform.python}"
