"""The files of the repository themselves: what must not be in them, and what must."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "trunkline"
LARGEST = 500  # lines of a file of ours
MIRRORED = ("model", "wire", "gateway", "resources", "stores")
# A module whose test file has another name than its own.
TESTED_ELSEWHERE = {
    "stores/memory.py": "tests/contracts/test_stores.py",
    "stores/dynamodb_reading.py": "tests/stores/test_dynamodb.py",
    "model/tables.py": "tests/model/test_deployment.py",  # data without a line of code
    "functions/launcher.py": "tests/functions/test_pool.py",
    "functions/workers.py": "tests/functions/test_pool.py",
    "functions/tables.py": "tests/functions/test_dynamodb.py",
}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60)
    files = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8192]]


FILES = tracked()


def found(pattern: str, files: list[Path] = FILES) -> list[str]:
    """Where a pattern stands: file, line, and the line."""
    expression = re.compile(pattern, re.IGNORECASE)
    hits = []
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if expression.search(line):
                hits.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return hits


# What must not be in them. The patterns are put together here, so that this file does not hold what it looks for.

HOSTS = {
    "pypi" + r"\.(org|python\.org)": "https://" + "pypi" + ".org",
    "python" + "hosted": "https://files.python" + "hosted.org/x.whl",
    "npm" + r"js\.(org|com)": "https://www.npm" + "js.com",
    "yarn" + r"pkg\.com": "https://yarn" + "pkg.com",
    r"(deb|ftp|security|archive|snapshot)\." + "(debian|ubuntu)": "deb." + "debian.org",
    r"\bregistry\." + r"[a-z]": "https://registry." + "example.com",
    "/sim" + "ple/": "https://packages.example.com/sim" + "ple/",
    "--(extra-)?" + r"index-url\b(?<!no-emit-index-url)": "--" + "index-url",
    r"^\s*(index|extra-index)" + r"-url\s*=": "index" + "-url = x",
    r"--(find-links|trusted" + "-host)": "--trusted" + "-host x",
    "PIP_" + "(EXTRA_)?INDEX_URL|UV_" + "(DEFAULT_)?INDEX": "PIP_" + "INDEX_URL",
    "file:" + "///": "file:" + "///x.whl",
}


@pytest.mark.parametrize(("pattern", "example"), HOSTS.items())
def test_no_package_registry_is_named(pattern, example):
    assert re.search(pattern, example, re.IGNORECASE), "the pattern does not find what it is for"
    assert found(pattern) == []


MACHINE = {
    r"(?<![\w.~$}/])/" + "work/": "/" + "work/main",
    r"(?<![\w.~$}/])/" + "root/": "cd /" + "root/x",
    r"(?<![\w.~$}/])/" + "(home|Users)/[a-z]": "/" + "home/ann/x",
    # Tests use pytest's tmp_path; nothing of ours needs to know where it is.
    r"(?<![\w.~$}/])/(var/)?" + "tmp(/|\\b)": "/" + "tmp/x",
}


@pytest.mark.parametrize(("pattern", "example"), MACHINE.items())
def test_no_path_of_a_machine_is_in_a_file(pattern, example):
    assert re.search(pattern, example, re.IGNORECASE), "the pattern does not find what it is for"
    assert found(pattern) == []


def test_urls_that_contain_such_a_path_are_not_meant():
    assert not any(re.search(pattern, "https://example.com/" + "home/page ~/tmp/x $HOME/work/") for pattern in MACHINE)


# Requirements.


def requirements(file: Path) -> list[str]:
    """Each requirement with its options, on one line."""
    joined = file.read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("name", [file.name for file in sorted((ROOT / "requirements").glob("*.txt"))])
def test_every_requirement_has_one_version_and_hashes(name):
    lines = requirements(ROOT / "requirements" / name)
    assert lines
    for line in lines:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line
        assert "@" not in line.split(";")[0], line


def test_the_requirements_are_the_only_lock_files():
    names = {file.name for file in FILES}
    assert names & {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "yarn.lock"} == set()
    assert [name for name in names if re.fullmatch(r"pylock(\..+)?\.toml", name)] == []


def test_the_locks_of_npm_are_those_of_the_tests_and_of_the_benchmarks():
    locks = {str(file.parent.relative_to(ROOT)) for file in FILES if file.name == "package-lock.json"}
    assert locks == {"tests/end_to_end/node", "benchmarks/peers/node"}


@pytest.mark.parametrize("folder", ["tests/end_to_end/node", "benchmarks/peers/node"])
def test_a_lock_of_npm_has_hashes_and_no_address(folder):
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    assert len(packages) > 1
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or package["integrity"].startswith("sha512-"), name


def test_every_group_of_requirements_is_pinned():
    assert {"dev.txt", "bench.txt", "fuzz.txt"} == {file.name for file in (ROOT / "requirements").iterdir()}


# The licence.


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert re.match(r"\s*Apache License\s+Version 2\.0, January 2004\s", text)
    for part in ("1. Definitions.", "9. Accepting Warranty or Additional Liability.", "END OF TERMS AND CONDITIONS"):
        assert part in text
    assert '\nlicense = "Apache-2.0"\n' in (ROOT / "pyproject.toml").read_text()


# The house.


def modules() -> list[Path]:
    return [file for file in FILES if file.is_relative_to(SRC) and file.suffix == ".py"]


def test_no_file_of_the_source_is_too_long():
    lengths = {str(file.relative_to(SRC)): len(file.read_text().splitlines()) for file in modules()}
    assert {name: length for name, length in lengths.items() if length > LARGEST} == {}


@pytest.mark.parametrize(
    "module",
    [
        str(file.relative_to(SRC))
        for file in modules()
        if file.relative_to(SRC).parts[0] in MIRRORED and file.name != "__init__.py"
    ],
)
def test_every_module_has_a_test_file_of_its_name(module):
    folder, _, name = module.rpartition("/")
    test = ROOT / TESTED_ELSEWHERE.get(module, f"tests/{folder}/test_{name}")
    assert test.is_file(), f"{test.relative_to(ROOT)} is missing"
    assert re.search(r"^\s*(async )?def test_", test.read_text(), re.M), f"{test.relative_to(ROOT)} has no test"


def test_the_exceptions_are_needed():
    for module, test in TESTED_ELSEWHERE.items():
        assert (SRC / module).is_file()
        assert (ROOT / test).is_file()
        folder, _, name = module.rpartition("/")
        assert not (ROOT / f"tests/{folder}/test_{name}").exists(), f"{module} has a test of its own name now"


def test_every_script_is_executable_and_says_what_it_does():
    for script in (ROOT / "scripts").iterdir():
        assert script.stat().st_mode & 0o111
        first, second, *_ = script.read_text().splitlines()
        assert first == "#!/bin/sh"
        assert second.startswith("# ")
