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
        file, folder: absolute. Modules beside the file are found first, as when it is run.
    """
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _imported(one, (file.parent, folder))
    return (file, *sorted(found - {file}))


def _imported(file: Path, places: tuple[Path, Path]) -> Iterator[Path]:
    package = file.parent.relative_to(places[-1]).parts
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(places, tuple(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            among = places[-1:] if node.level else places
            base = (*above, *(node.module.split(".") if node.module else ()))
            yield from _modules(among, base)
            for alias in node.names:  # a name of the package, or a module in it
                yield from _modules(among, (*base, alias.name))


def _modules(places: tuple[Path, ...], parts: tuple[str, ...]) -> Iterator[Path]:
    """The files that importing this name runs: those of the packages that it is in, and its own."""
    for length in range(1, len(parts) + 1):
        for place in places:
            named = place.joinpath(*parts[:length])
            candidates = (named / "__init__.py", named.with_name(f"{named.name}.py"))
            if (found := next((one for one in candidates if one.is_file()), None)) is not None:
                yield found
                break
