"""What a function of Python runs on at Lambda, and what is installed there."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from trunkline.errors import ConfigurationError

__all__ = ["INSTALLED", "MODULES", "PYTHONS", "SDK", "Platform"]

PYTHONS = ("3.11", "3.12", "3.13")
_ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
_ELF = {"x86_64": 62, "arm64": 183}  # what an ELF header calls these machines
_OLDEST = 17  # the C library of manylinux2014 is 2.17
_AMAZON_LINUX_2023 = 34  # 2.34, which Lambda has from Python 3.12 on; 3.11 is on Amazon Linux 2

# Lambda has AWS's SDK, and what only that needs there.
SDK = frozenset({"boto3", "botocore", "jmespath", "s3transfer"})
INSTALLED = SDK | {"python-dateutil", "six", "urllib3"}
MODULES = frozenset(
    {"awslambdaric", "boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "snapshot_restore_py", "urllib3"}
)


def _running() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Platform:
    """Python and processor of a function.

    Attributes:
        python: one of PYTHONS.
        architecture: x86_64 or arm64, in Lambda's words.
    """

    python: str = ""
    architecture: str = "x86_64"

    def __post_init__(self) -> None:
        python = self.python or _running()
        if python not in PYTHONS:
            raise ConfigurationError(f"Lambda has no Python {python} for it; expected --python {', '.join(PYTHONS)}")
        if self.architecture not in _ARCHITECTURES:
            raise ConfigurationError(f"the architecture is {self.architecture!r}; expected x86_64 or arm64")
        object.__setattr__(self, "python", python)

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"

    @property
    def machine(self) -> str:
        """The processor in the words of Python's packages."""
        return _ARCHITECTURES[self.architecture]

    @property
    def elf(self) -> int:
        """The processor's number in the header of a compiled file."""
        return _ELF[self.architecture]

    @property
    def for_uv(self) -> str:
        """What uv calls it."""
        return f"{self.machine}-manylinux_2_{self._newest}"

    @property
    def for_pip(self) -> tuple[str, ...]:
        """The tags that pip may take, the best first."""
        numbered = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self._newest, 4, -1)]
        return (*numbered, f"manylinux2014_{self.machine}")

    @property
    def _newest(self) -> int:
        return _OLDEST if self.python == "3.11" else _AMAZON_LINUX_2023

    def runs(self, tag: str) -> bool:
        """Whether a wheel of this tag, such as `cp311-cp311-manylinux2014_x86_64`, was made for it, not for here."""
        made_for = tag.rpartition("-")[2]
        return made_for == "any" or (made_for.startswith("manylinux") and made_for.endswith(f"_{self.machine}"))
