"""Which files of its folder a program's file runs: itself, and the modules that it imports, one through another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["sources_of"]


def sources_of(file: Path, folder: Path) -> tuple[Path, ...]:
    """The file, and every module below the folder that it imports, wherever an `import` stands; by path.

    What is imported by a name that is only made at run time is not seen.

    Args:
        file, folder: absolute.
    """
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _imported(one, folder)
    return (file, *sorted(found - {file}))


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    package = file.parent.relative_to(folder).parts
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(folder, tuple(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = (*above, *(node.module.split(".") if node.module else ()))
            yield from _modules(folder, base)
            for alias in node.names:  # a name of the package, or a module in it
                yield from _modules(folder, (*base, alias.name))


def _modules(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """The files that importing this name runs: those of the packages that it is in, and its own."""
    for length in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:length])
        for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if candidate.is_file():
                yield candidate
                break
