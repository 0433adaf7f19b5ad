"""uv and pip, asked for the wheels of Lambda's platform."""

import io
import stat
import sys
import tarfile

import pytest

from trunkline.aws import installer
from trunkline.aws.installer import Pip, Uv, find_installer
from trunkline.aws.lambda_platform import Platform
from trunkline.errors import ConfigurationError

ARM = Platform("3.11", "arm64")


@pytest.fixture(params=["uv", "pip"])
def each(request, tmp_path):
    if request.param == "pip":
        return Pip([sys.executable, "-m", "pip"])
    return find_installer(tmp_path / "uv")


def exact(each, wheels, *lines, platform=ARM):
    file = wheels.require(*lines)
    return sorted(each.resolve(file, platform, wheels.folder))


def test_the_uv_of_this_python_is_taken_first(tmp_path):
    assert isinstance(find_installer(tmp_path), Uv)


def test_without_uv_pip_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(installer.shutil, "which", lambda name, path=None: None)
    assert isinstance(find_installer(tmp_path), Pip)
    monkeypatch.setattr(installer, "find_spec", lambda name: None)
    monkeypatch.setattr(installer.shutil, "which", lambda name, path=None: "/bin/pip3" if name == "pip3" else None)
    assert isinstance(find_installer(tmp_path), Pip)


def test_with_neither_it_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setattr(installer.shutil, "which", lambda name, path=None: None)
    monkeypatch.setattr(installer, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="neither uv nor pip, .*; type: pip install uv$"):
        find_installer(tmp_path)


def test_everything_that_is_needed_is_named_at_one_version(each, wheels):
    wheels.make("one", "1.0", needs=["two>=1"])
    wheels.make("one", "2.0", needs=["two>=1"])
    wheels.make("two", "1.5")
    wheels.make("two", "1.5.1", tag="cp311-cp311-manylinux_2_17_x86_64")
    assert exact(each, wheels, "one") == ["one==2.0", "two==1.5"]


def test_a_wheel_that_is_named_by_its_file_stays_that(each, wheels):
    file = wheels.make("one", "1.0", needs=["two>=1"])
    wheels.make("two", "1.5")
    assert exact(each, wheels, f"one @ {file.as_uri()}") == [f"one @ {file.as_uri()}", "two==1.5"]


def test_what_is_installed_is_what_the_file_says_and_nothing_else(each, wheels, tmp_path):
    wheels.make("one", needs=["two"], tag="cp311-cp311-manylinux2014_aarch64")
    wheels.make("two")
    each.install(wheels.require("one==1.0"), ARM, wheels.folder, tmp_path / "target")
    assert {path.name for path in (tmp_path / "target").glob("*.*")} >= {"one.py", "one-1.0.dist-info"}
    assert not (tmp_path / "target" / "two.py").exists()


@pytest.mark.parametrize(
    "tag", ["cp311-cp311-manylinux2014_x86_64", "cp312-cp312-manylinux2014_aarch64", "cp311-cp311-manylinux_2_28_aarch64", "cp311-cp311-win_arm64"]
)  # fmt: skip
def test_a_package_without_a_wheel_for_the_platform_is_refused_by_its_name_with_what_to_do(each, wheels, tag):
    wheels.make("odd-one", tag=tag)
    wheels.make("two", needs=["odd-one"])
    with pytest.raises(ConfigurationError) as caught:
        exact(each, wheels, "two")
    told = str(caught.value)
    assert told.startswith(
        "there is no wheel of odd-one for Python 3.11 on arm64, and nothing is built on this machine"
    )
    assert "expected a version that has one, another architecture, or the file of a wheel" in told


def source_that_would_tell_if_it_was_built(wheels, told):
    content = f"import pathlib\npathlib.Path({str(told)!r}).touch()\nraise SystemExit(1)\n".encode()
    with tarfile.open(wheels.place / "one-3.0.tar.gz", "w:gz") as archive:
        for name, data in (("setup.py", content), ("PKG-INFO", b"Metadata-Version: 2.1\nName: one\nVersion: 3.0\n")):
            header = tarfile.TarInfo(f"one-3.0/{name}")
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))


def test_nothing_is_built_here_an_older_wheel_is_taken_instead(each, wheels, tmp_path):
    source_that_would_tell_if_it_was_built(wheels, tmp_path / "built")
    wheels.make("one", "1.0")
    assert exact(each, wheels, "one") == ["one==1.0"]
    assert not (tmp_path / "built").exists()


def test_nothing_is_built_here_also_where_there_is_no_wheel(each, wheels, tmp_path):
    source_that_would_tell_if_it_was_built(wheels, tmp_path / "built")
    with pytest.raises(ConfigurationError, match="there is no wheel of one for Python 3.11 on arm64"):
        exact(each, wheels, "one")
    assert not (tmp_path / "built").exists()


def test_nothing_is_built_here_when_it_is_to_be_installed(each, wheels, tmp_path):
    source_that_would_tell_if_it_was_built(wheels, tmp_path / "built")
    with pytest.raises(ConfigurationError, match="there is no wheel of one for Python 3.11 on arm64"):
        each.install(wheels.require("one==3.0"), ARM, wheels.folder, tmp_path / "target")
    assert not (tmp_path / "built").exists()


def test_versions_that_cannot_be_together_are_told_in_its_own_words(each, wheels):
    wheels.make("one", needs=["three<2"])
    wheels.make("two", needs=["three>2"])
    wheels.make("three", "1.0")
    wheels.make("three", "3.0")
    with pytest.raises(ConfigurationError, match=r"^(uv|pip): .*three"):
        exact(each, wheels, "one", "two")


def test_the_users_settings_of_pip_do_not_say_where_packages_go(wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    wheels.make("one")
    Pip([sys.executable, "-m", "pip"]).install(wheels.require("one==1.0"), ARM, wheels.folder, tmp_path / "target")
    assert (tmp_path / "target" / "one.py").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_an_installer_that_cannot_be_started_is_told(wheels, tmp_path):
    with pytest.raises(ConfigurationError, match="^uv cannot be started: No such file or directory"):
        exact(Uv([str(tmp_path / "uv")], tmp_path), wheels, "one")


def test_an_installer_that_does_not_come_to_an_end_is_given_up(wheels, tmp_path, monkeypatch):
    slow = tmp_path / "uv"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(installer, "_SECONDS", 0.05)
    with pytest.raises(ConfigurationError, match=r"^uv: not done after 0\.05 seconds"):
        exact(Uv([str(slow)], tmp_path), wheels, "one")


def test_a_long_story_is_cut_short(wheels, tmp_path):
    wordy = tmp_path / "uv"
    wordy.write_text(f"#!/bin/sh\necho 'error: {'x' * 2000}' >&2\nexit 2\n")
    wordy.chmod(wordy.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ConfigurationError, match=r"^uv: x{600} \.\.\.$"):
        exact(Uv([str(wordy)], tmp_path), wheels, "one")
