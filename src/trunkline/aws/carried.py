"""The part of Trunkline that a function needs: what its Lambda side imports, without what only servers need."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from trunkline.aws.archive import Entry

__all__ = ["carried", "statements_of"]

_ENTRIES = ("trunkline", "trunkline.aws.lambda_handler")
# What only a server or the command line runs. It is left out where a function of ours imports it when it needs it.
_ONLY_HERE = (
    "cli", "compiling", "config", "connections.local", "functions", "gateway", "integrations", "runtime", "served",
    "stores.memory", "stores.sqlite", "templates", "testing", "wire",
)  # fmt: skip


def carried() -> list[Entry]:
    """Trunkline's files for a function, each as `trunkline/...`."""
    root = Path(__file__).parents[2]
    found: dict[Path, None] = {}
    waiting = [file for name in _ENTRIES for file in _files(root, name)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = None
            waiting += [one for name in _imported(file) for one in _files(root, name)]
    return [Entry(file.relative_to(root).as_posix(), file, "trunkline") for file in sorted(found)]


def _files(root: Path, name: str) -> Iterator[Path]:
    """The files that importing a module of ours runs."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if candidate.is_file():
                yield candidate
                break


def _imported(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_bytes(), str(file))
    for node, is_later in statements_of(tree):
        for name in _names(node):
            if name.partition(".")[0] == "trunkline" and not (is_later and _is_only_here(name)):
                yield name


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_only_here(name: str) -> bool:
    below = name.removeprefix("trunkline.")
    return any(below == one or below.startswith(f"{one}.") for one in _ONLY_HERE)


def statements_of(tree: ast.AST, *, later: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Each statement that can run, so none for type checkers; and whether it only runs when a function is called."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_for_checkers(node.test):
            for other in node.orelse:
                yield other, later
                yield from statements_of(other, later=later)
            continue
        if isinstance(node, ast.stmt):
            yield node, later
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from statements_of(node, later=later or is_function)


def _is_for_checkers(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in {getattr(test, "id", ""), getattr(test, "attr", "")}
