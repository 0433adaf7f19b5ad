"""Writes the templates of this folder anew; what changed is for the review to see.

.venv/bin/python tests/aws/golden/make.py
"""

import sys
from pathlib import Path

from trunkline.aws.lambda_platform import Platform
from trunkline.aws.options import Options
from trunkline.aws.package import PackageOptions
from trunkline.aws.program import aws_program
from trunkline.aws.rendering import render
from trunkline.aws.template import make_template
from trunkline.model.api import Rate

HERE = Path(__file__).resolve().parent
CHAT = HERE.parents[2] / "examples" / "chat" / "chat.py"
PYTHON_312 = PackageOptions(Platform("3.12"))
# By folder: the program's files, and how it is to run.
PROGRAMS = {
    "chat": ([CHAT], Options(packages=PYTHON_312)),
    "scores": (
        [HERE / "scores" / "scores.py", HERE / "scores" / "admin.py"],
        Options(packages=PackageOptions(Platform("3.13", "arm64")), memory_mb=512, retention_days=7, access_log=False),
    ),
    "auction": (
        [HERE / "auction" / "auction.py"],
        Options(
            packages=PYTHON_312, point_in_time_recovery=True, keep_tables=False,
            rates={"socket.auction": Rate(100, 200), "socket.auction.lot/bid": Rate(2.5, 5)},
        ),
    ),
}  # fmt: skip


def made(name: str) -> str:
    """The template of a program, its functions' code under keys that never change."""
    files, options = PROGRAMS[name]
    program = aws_program([str(file) for file in files])
    keys = {
        function.name: f"{function.program.removesuffix('.py')}-0123456789abcdef.zip" for function in program.functions
    }
    return render(make_template(program, options, keys))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PROGRAMS:
        (HERE / wanted / "template.yaml").write_text(made(wanted), "utf-8")
