"""The packages that functions in Python name in a requirements.txt: what is missing, and how it is installed."""

import importlib
import shlex
import subprocess
import sys
import zipfile

import pytest

from trunkline import ConfigurationError
from trunkline.functions import requirements
from trunkline.functions.requirements import (
    hint_of,
    install_requirements,
    missing_requirements,
    packages_of,
    python_cache,
)
from trunkline.model.functions import FunctionDefinition

NO_MODULE = "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named "


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trunkline" / "python"


@pytest.fixture
def function(tmp_path):
    """A function whose code is a folder with this requirements.txt."""

    def make(text=None, name="Talk", runtime="python3.12", **more):
        code = tmp_path / name
        code.mkdir(exist_ok=True)
        if text is not None:
            (code / "requirements.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return FunctionDefinition(f"app-{name}", name, runtime, "app.handler", **({"code": code} | more))

    return make


@pytest.fixture
def wheel(tmp_path):
    """A package `left-over` with a module `left_over`, which pip installs off the network."""
    file = tmp_path / "left_over-1.0-py3-none-any.whl"
    about = "left_over-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("left_over.py", "HERE = True\n")
        opened.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: left-over\nVersion: 1.0\n")
        opened.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        opened.writestr(f"{about}/RECORD", f"left_over.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return f"left-over @ {file.as_uri()}\n"


def names(*functions):
    return [one.names for one in missing_requirements(functions)]


def test_what_is_not_here_is_missing_with_the_file_and_the_functions(function, cache):
    one, other = function("left-over==1.0\n"), function("left-over==1.0\n", "Other")
    (needed,) = missing_requirements(
        [one, other, function("right-over", "Third", runtime="nodejs20.x"), function(None, "Fourth")]
    )
    assert (needed.file, needed.names) == (one.code / "requirements.txt", ("left-over",))
    assert needed.functions == ("Talk", "Other")
    assert needed.folder.parent == cache == python_cache()


def test_different_files_have_folders_of_their_own(function):
    first, second = missing_requirements([function("left-over"), function("right-over", "Other")])
    assert first.folder != second.folder


def test_files_alike_that_name_what_is_beside_them_have_folders_of_their_own(function):
    first, second = missing_requirements(
        [function("-r more.txt\nleft-over"), function("-r more.txt\nleft-over", "Other")]
    )
    assert first.folder != second.folder


@pytest.mark.parametrize(
    "text",
    ["pytest", "PyTest>=99", "prompt_toolkit[x]\nPyYAML", "boto3\nbotocore==1\nawslambdaric", "# left-over", ""],
)
def test_what_this_environment_or_lambda_has_is_not_missing_in_whatever_version(function, text):
    assert names(function(text)) == []


@pytest.mark.parametrize(
    "line",
    ["left-over", " left-over == 1.0 # why", "left-over[more]~=1.0", "left-over @ git+https://example.org/x", "left-over>=1,<2; python_version >= '3.8' and python_version < '4.0'", "left-over==1.0 \\\n    --hash=sha256:abc", "left-over;sys_platform=='linux'"],
)  # fmt: skip
def test_a_requirement_is_read_however_it_is_written(function, line):
    assert names(function(f"{line}\n")) == [("left-over",)]


@pytest.mark.parametrize(
    "line",
    ["-r more.txt", "--no-binary left-over", "./left-over", "git+https://example.org/x", "left-over; sys_platform == 'win32'", "left-over; python_version < '3.8'", "left-over; python_version <= \"3.10\"", "left-over; extra == 'x'"],
)  # fmt: skip
def test_a_line_that_names_no_package_for_here_is_passed_over(function, line):
    assert names(function(f"{line}\n")) == []


def test_a_file_as_powershell_writes_it_is_read(function):
    assert names(function("left-over\r\n".encode("utf-16"))) == [("left-over",)]


@pytest.mark.parametrize("entry", ["left_over-1.0.dist-info/METADATA", "left_over/__init__.py", "left_over.py"])
@pytest.mark.parametrize("place", ["code", "layer", "zip"])
def test_what_is_in_the_code_or_a_layer_is_not_missing_as_after_sam_build(function, tmp_path, place, entry):
    layer = tmp_path / "layer"
    layer.mkdir()
    given = function("left-over", layers=(layer if place != "zip" else tmp_path / "layer.zip",))
    if place == "zip":
        with zipfile.ZipFile(tmp_path / "layer.zip", "w") as opened:
            opened.writestr(f"python/{entry}", "")
    else:
        file = (given.code if place == "code" else layer / "python") / entry
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    assert names(given) == []


def test_code_that_is_no_folder_needs_nothing(function, tmp_path):
    assert names(function(code=tmp_path / "nowhere"), function(code=None, inline="x")) == []


def test_a_layer_that_cannot_be_read_has_nothing(function, tmp_path):
    (tmp_path / "layer.zip").write_bytes(b"PK no zip")
    assert names(function("left-over", layers=(tmp_path / "layer.zip",))) == [("left-over",)]


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_what_is_installed_is_found_and_not_missing_again(function, wheel, monkeypatch, installer):
    if installer == "uv":
        monkeypatch.setattr(requirements, "find_spec", lambda name: None)
        monkeypatch.setenv("PATH", str(sys.prefix) + "/bin")
    given = function(wheel)
    (needed,) = missing_requirements([given])
    assert packages_of(given) is None
    install_requirements(needed)
    assert packages_of(given) == needed.folder
    assert missing_requirements([given]) == []
    assert [path.name for path in needed.folder.parent.iterdir()] == [needed.folder.name]
    monkeypatch.syspath_prepend(needed.folder)
    assert importlib.import_module("left_over").HERE
    sys.modules.pop("left_over")


def test_the_command_that_is_told_does_the_same(function, wheel):
    given = function(wheel)
    (needed,) = missing_requirements([given])
    assert needed.command.startswith(f"{shlex.quote(sys.executable)} -m pip install --target {needed.folder} -r ")
    subprocess.run(f"{needed.command} --quiet --disable-pip-version-check", shell=True, check=True)  # noqa: S602
    assert packages_of(given) == needed.folder


def test_packages_that_another_run_has_installed_meanwhile_are_kept(function, wheel):
    (needed,) = missing_requirements([function(wheel)])
    needed.folder.mkdir(parents=True)
    (needed.folder / "its.py").write_text("")
    install_requirements(needed)
    assert [path.name for path in needed.folder.parent.iterdir()] == [needed.folder.name]
    assert [path.name for path in needed.folder.iterdir()] == ["its.py"]


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_failure_is_one_line_and_leaves_nothing(function, tmp_path, monkeypatch, installer):
    if installer == "uv":
        monkeypatch.setattr(requirements, "find_spec", lambda name: None)
        monkeypatch.setenv("PATH", str(sys.prefix) + "/bin")
    (needed,) = missing_requirements(
        [function(f"left-over @ {(tmp_path / 'left_over-1.0-py3-none-any.whl').as_uri()}")]
    )
    with pytest.raises(ConfigurationError) as failed:
        install_requirements(needed)
    assert "\n" not in str(failed.value)
    assert "left_over-1.0-py3-none-any.whl" in str(failed.value).partition("requirements.txt: ")[2]
    assert list(needed.folder.parent.iterdir()) == []


def test_without_pip_and_uv_there_is_no_command(function, monkeypatch, tmp_path):
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    given = function("left-over")
    (needed,) = missing_requirements([given])
    assert needed.command is None
    with pytest.raises(ConfigurationError, match="there is neither pip nor uv"):
        install_requirements(needed)
    assert hint_of(f"{NO_MODULE}'left_over'", given).endswith("here, `trunkline run ... --install` does")


@pytest.mark.parametrize("module", ["left_over", "left_over.inner"])
def test_a_module_that_is_not_found_gets_a_hint_with_the_file_that_is_not_installed(function, module):
    given = function("left-over")
    (needed,) = missing_requirements([given])
    assert hint_of(f"{NO_MODULE}'{module}'", given) == (
        f"sam build would install {needed.file}; here, `trunkline run ... --install` does, and so does `{needed.command}`"
    )


def test_one_that_no_file_names_gets_a_hint_where_to_name_it(function):
    given = function()
    assert hint_of(f"{NO_MODULE}'left_over'", given) == (
        f"nothing here has a module left_over: name it in {given.code}/requirements.txt and start anew with --install, "
        f"or install its package into the environment of {sys.executable}"
    )
    assert hint_of("ModuleNotFoundError: No module named 'x'", function(code=None, inline="")) == (
        f"nothing here has a module x: install its package into the environment of {sys.executable}"
    )


def test_a_module_of_the_code_and_any_other_line_get_none(function):
    given = function("left-over")
    (given.code / "helpers").mkdir()
    assert hint_of(f"{NO_MODULE}'helpers.more'", given) is None
    assert hint_of("No module named 'x', says somebody", given) is None
