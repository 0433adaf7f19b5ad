"""The page of compatibility says nothing that no test shows, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "compatibility.md"
TEXT = PAGE.read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SAME, DIFFERENT, MISSING = (
    TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for heading in ("What is the same", "What differs on purpose", "What is not there yet")
)


def rows(part, *heads):
    """The cells of every row of the tables with these heads."""
    head, found = re.escape(f"| {' | '.join(heads)} |"), []
    for table in re.findall(rf"^{head}\n\|[-|]+\|\n((?:\|.*\n)+)", part, re.M):
        found += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return found


BEHAVIOURS = rows(SAME, "behaviour", "status", "shown by")
DEVIATIONS = rows(DIFFERENT, "here", "API Gateway", "why", "switch", "shown by")


@cache
def names_in(file):
    """Names of the tests of a file, without running it."""
    tree = ast.parse((ROOT / file).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def only_tests(cell):
    return TEST.search(cell) is not None and TEST.sub("", cell).strip() == ""


def test_every_table_is_read():
    assert len(BEHAVIOURS) + len(DEVIATIONS) == len(re.findall(r"^\| .*(?:`tests/|\| not yet: )", TEXT, re.M))
    assert {len(row) for row in BEHAVIOURS} == {3}
    assert {len(row) for row in DEVIATIONS} == {5}


@pytest.mark.parametrize("row", BEHAVIOURS, ids=[row[0][:50] for row in BEHAVIOURS])
def test_a_behaviour_has_a_status_and_a_test_unless_it_is_not_there(row):
    behaviour, status, tests = row
    assert behaviour
    assert re.match(r"(same|stronger|differs|not yet)\b", status)
    assert tests == "" if status.startswith("not yet") else only_tests(tests)


@pytest.mark.parametrize("row", DEVIATIONS, ids=[row[0][:50] for row in DEVIATIONS])
def test_a_deviation_has_a_reason_a_switch_or_none_and_a_test(row):
    assert all(row)
    assert only_tests(row[-1])


@pytest.mark.parametrize(("file", "test"), sorted(set(TEST.findall(TEXT))))
def test_a_test_that_is_named_exists(file, test):
    assert test in names_in(file)


def test_what_is_not_there_names_no_test():
    assert MISSING.strip().startswith("- ")
    assert not TEST.search(MISSING)
