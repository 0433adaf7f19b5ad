"""The kept corpus: a file for each target, an input a line, written as Python writes bytes."""

import ast
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
TARGETS = sorted(file.stem for file in FOLDER.glob("*.txt"))


def read(target):
    """Its kept inputs."""
    return [ast.literal_eval(line) for line in (FOLDER / f"{target}.txt").read_text("ascii").splitlines()]


def write(target, inputs):
    """Keep these, the short ones first."""
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    (FOLDER / f"{target}.txt").write_text("".join(f"{data!r}\n" for data in ordered), "ascii")
