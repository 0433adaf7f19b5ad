"""From a program's files to its template and its zips: what `synth` writes and `deploy` uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.aws.checks import check, check_rates, check_size
from trunkline.aws.differences import differences
from trunkline.aws.options import Options
from trunkline.aws.package import Package, build
from trunkline.aws.program import AwsProgram, aws_program
from trunkline.aws.template import make_template

if TYPE_CHECKING:
    from trunkline.config import Settings

__all__ = ["Synthesis", "synthesize"]


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A program, ready for AWS.

    Attributes:
        packages: by function.
        differences: what AWS weakens of it, a line each.
    """

    program: AwsProgram
    template: dict[str, Any]
    packages: Mapping[str, Package]
    differences: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to tell before it is deployed, a line each."""
        missing = dict.fromkeys(line for package in self.packages.values() for line in package.missing)
        return (*self.differences, *(f"{line}, which is neither in the zip nor on Lambda" for line in missing))


def synthesize(programs: Sequence[str], options: Options, settings: Settings, folder: Path) -> Synthesis:
    """Load a program, refuse what AWS would, and make its zips and its template.

    Args:
        programs: files and modules; each becomes a function.
        settings: of the program's folder.
        folder: where the zips are written; it is made if need be.

    Raises:
        ConfigurationError, DeclarationError, ProgramFailed: it cannot be loaded, or cannot be on AWS.
        OSError: the folder cannot be written.
    """
    program = aws_program(programs)
    check(program, settings.limit)
    rates = {**settings.rate, **options.rates}
    check_rates(program, rates)
    options = replace(options, rates=rates)
    trial = make_template(program, options, {function.name: "" for function in program.functions})
    check_size(program, trial)
    packages = {function.name: build(function, program, options.packages, folder) for function in program.functions}
    keys = {name: package.path.name for name, package in packages.items()}
    return Synthesis(program, make_template(program, options, keys), packages, differences(program, settings))
