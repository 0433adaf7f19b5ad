"""The program's own files in a function's zip."""

import pytest

from trunkline.aws.contents import contents
from trunkline.aws.program import AwsProgram, Function
from trunkline.aws.sources import sources_of
from trunkline.errors import ConfigurationError


def names(folder, *include):
    sources = sources_of(folder / "chat.py", folder)
    function = Function("Chat", "chat.py", sources, ())
    program = AwsProgram("chat", folder, None, (function,), (), ())
    return [entry.name for entry in contents(function, program, include)]


def write(folder, *files):
    for name in files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    found = write(tmp_path.resolve() / "project", "app/__init__.py", "app/words.txt", "app/data/more.json")
    (found / "chat.py").write_text("import app\n")
    return found


def test_it_has_the_modules_that_the_program_imports_and_the_data_of_its_packages(folder):
    write(folder, "other.py", "beside.txt", "app/not_imported.py")
    assert names(folder) == ["app/__init__.py", "app/data/more.json", "app/words.txt", "chat.py"]


def test_a_package_within_a_package_that_is_not_imported_has_no_data_there(folder):
    write(folder, "app/other/__init__.py", "app/other/words.txt")
    assert "app/other/words.txt" not in names(folder)


def test_what_was_compiled_here_is_no_data(folder):
    write(folder, "app/quick.so", "app/__pycache__/x.cpython-311.pyc", "app/old.pyc")
    assert names(folder) == ["app/__init__.py", "app/data/more.json", "app/words.txt", "chat.py"]


@pytest.mark.parametrize("secret", [".env", ".git/config", ".trunkline/key", "tests/a.txt", "node_modules/a.js"])
def test_secrets_and_tests_are_no_data(folder, secret):
    write(folder, f"app/{secret}")
    assert names(folder) == ["app/__init__.py", "app/data/more.json", "app/words.txt", "chat.py"]


def test_a_program_without_packages_has_no_data(folder):
    write(folder, "__init__.py", "README.md")
    (folder / "chat.py").write_text("")
    assert names(folder) == ["chat.py"]


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("words/one.txt", ["words/one.txt"]),
        ("words", ["words/deep/two.txt", "words/one.txt"]),
        ("words/*.txt", ["words/one.txt"]),
        ("**/*.txt", ["words/deep/two.txt", "words/one.txt"]),
        ("w*", ["words/deep/two.txt", "words/one.txt"]),
        ("app/words.txt", []),
    ],
)
def test_further_files_are_included_by_patterns(folder, pattern, taken):
    write(folder, "words/one.txt", "words/deep/two.txt")
    (folder / "chat.py").write_text("import app")
    assert set(names(folder, pattern)) == {*names(folder), *taken}


@pytest.mark.parametrize(
    "secret",
    [".env", ".git/config", ".trunkline/key", ".venv/lib/a.py", "node_modules/a.js", "tests/a.py", "a/.env", "a/tests/b.py", "a/__pycache__/c.pyc"],
)  # fmt: skip
@pytest.mark.parametrize("pattern", ["**/*", "*"])
def test_a_pattern_takes_no_secrets_no_tests_and_no_packages(folder, secret, pattern):
    write(folder, secret, "a/one.txt")
    assert secret not in names(folder, pattern)
    assert "a/one.txt" in names(folder, pattern)


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [(".env", ".env"), ("tests/a.json", "tests/a.json"), ("tests", "tests/a.json"), ("tests/*.json", "tests/a.json")],
)
def test_what_is_named_exactly_is_taken_whatever_its_name(folder, pattern, taken):
    write(folder, ".env", "tests/a.json")
    assert taken in names(folder, pattern)


def test_within_a_folder_that_is_named_secrets_are_left_out(folder):
    write(folder, "words/.env", "words/one.txt")
    assert [name for name in names(folder, "words") if name.startswith("words")] == ["words/one.txt"]


@pytest.mark.parametrize("pattern", ["../other", "/etc/*", "words/../../x", "", "."])
def test_a_pattern_that_is_not_below_the_folder_is_refused(folder, pattern):
    with pytest.raises(ConfigurationError, match=r"include .* is not below the program's folder; expected such as"):
        names(folder, pattern)


@pytest.mark.parametrize("pattern", ["words", "*.csv", "words/**", "tests/.*"])
def test_a_pattern_that_fits_nothing_is_refused(folder, pattern):
    with pytest.raises(ConfigurationError, match="fits no file in"):
        names(folder, pattern)


def test_a_link_to_a_file_of_the_folder_is_that_file(folder):
    (folder / "app" / "alias.txt").symlink_to(folder / "app" / "words.txt")
    assert "app/alias.txt" in names(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "secret.txt").touch()
    (folder / "app" / "alias.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ConfigurationError, match=r"alias\.txt is a link to .*secret\.txt, outside of"):
        names(folder)


def test_a_module_that_is_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "other.py").touch()
    (folder / "other.py").symlink_to(tmp_path / "other.py")
    (folder / "chat.py").write_text("import other\n")
    with pytest.raises(ConfigurationError, match=r"other\.py is a link to .*, outside of"):
        names(folder)


@pytest.mark.parametrize("pattern", [None, "words", "words/*.txt", "w*/*"])
def test_a_link_to_a_folder_outside_is_refused(folder, tmp_path, pattern):
    write(tmp_path / "outside", "one.txt")
    place = folder / ("words" if pattern else "app/words")
    place.symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError, match="is a link to"):
        names(folder, *([pattern] if pattern else []))


def test_a_link_to_nothing_is_refused(folder):
    (folder / "app" / "alias.txt").symlink_to(folder / "nothing")
    with pytest.raises(ConfigurationError, match=r"alias\.txt is no file"):
        names(folder)
