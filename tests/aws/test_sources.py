"""Which files of its folder a program runs."""

import pytest

from trunkline.aws.sources import sources_of


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, text in files.items():
            file = tmp_path / f"{name.replace('__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


def names(folder, file="chat.py"):
    return [found.relative_to(folder).as_posix() for found in sources_of(folder / file, folder)]


def test_a_file_runs_itself_and_what_it_imports_one_through_another(folder):
    found = names(folder(chat="import one, json", one="from two import x", two="x = 1", three=""))
    assert found == ["chat.py", "one.py", "two.py"]


def test_an_import_within_a_function_counts(folder):
    assert names(folder(chat="def f():\n    import one", one="")) == ["chat.py", "one.py"]


def test_modules_that_import_each_other_are_seen_once(folder):
    assert names(folder(chat="import one", one="import chat")) == ["chat.py", "one.py"]


@pytest.mark.parametrize(
    "text", ["import app.talk.words", "from app.talk import words", "from app.talk.words import x"]
)
def test_a_module_of_a_package_runs_the_packages_that_it_is_in(folder, text):
    place = folder(chat=text, app__talk__words="")
    for package in ("app", "app/talk"):
        (place / package / "__init__.py").touch()
    assert names(place) == ["chat.py", "app/__init__.py", "app/talk/__init__.py", "app/talk/words.py"]


def test_a_folder_without_an_init_is_a_package_too(folder):
    assert names(folder(chat="from app import words", app__words="")) == ["chat.py", "app/words.py"]


@pytest.mark.parametrize("text", ["from . import words", "from .words import x", "from ..app.words import x"])
def test_a_relative_import_is_found_from_where_it_stands(folder, text):
    place = folder(app__chat=text, app__words="x = 1")
    assert names(place, "app/chat.py") == ["app/chat.py", "app/words.py"]


def test_what_is_installed_is_not_among_them(folder):
    assert names(folder(chat="import trunkline\nfrom os import path")) == ["chat.py"]


def test_a_module_beside_the_file_is_found_before_one_of_the_folder(folder):
    place = folder(sub__admin="import helper, words", sub__helper="", helper="", words="")
    assert names(place, "sub/admin.py") == ["sub/admin.py", "sub/helper.py", "words.py"]
