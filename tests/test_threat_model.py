"""The threat model is about what there is: every row names a test, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "THREAT_MODEL.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
COMPONENTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
MODELLED = {name: part for name, part in COMPONENTS.items() if "| threat |" in part}


def rows(part):
    """Number, threat, control and tests of each row."""
    table = part[part.index("| threat |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


ROWS = [row for part in MODELLED.values() for row in rows(part)]


@cache
def names_in(file):
    """Names of the tests of a file, without running it."""
    tree = ast.parse((ROOT / file).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_component_has_threats_and_says_what_is_missing():
    assert list(MODELLED) == [
        "Wire", "Door", "Connection", "Handlers", "Authorizers", "Stores", "Journal", "Connections and ids",
        "Static files and admin listener", "Logs", "Command line and the developer's machine", "Templates and functions",
        "Deploying", "Supply chain",
    ]  # fmt: skip
    for name, part in MODELLED.items():
        assert rows(part), name
        assert re.search(r"^### Not yet\n\n- ", part, re.M), name


def test_rows_are_numbered_within_their_component():
    for part in MODELLED.values():
        letter = rows(part)[0][0][0]
        assert [row[0] for row in rows(part)] == [f"{letter}{number + 1}" for number in range(len(rows(part)))]
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_has_a_threat_a_control_and_a_test(row):
    _, threat, control, tests = row
    assert threat
    assert control
    assert TEST.sub("", tests).strip() == ""
    assert TEST.search(tests)


@pytest.mark.parametrize(("file", "test"), sorted(set(TEST.findall(TEXT))))
def test_a_test_that_is_named_exists(file, test):
    assert test in names_in(file)


def test_what_is_not_yet_there_names_no_test():
    for part in MODELLED.values():
        assert not TEST.search(part.partition("### Not yet")[2])


def test_every_file_of_a_component_exists():
    for part in MODELLED.values():
        named = re.findall(r"`([\w/]+(?:/|\.\w+))`", part.partition("| threat |")[0])
        assert named
        first = ROOT / named[0]
        for name in named:
            places = (ROOT, ROOT / "src" / "trunkline", first.parent, first)
            assert any((place / name).exists() for place in places), name
