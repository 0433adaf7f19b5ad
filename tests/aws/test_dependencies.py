"""The packages that a function brings to Lambda."""

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from trunkline.aws import dependencies as module
from trunkline.aws.dependencies import dependencies, package_cache
from trunkline.aws.installer import Pip
from trunkline.aws.lambda_platform import Platform
from trunkline.aws.requirements import Requirements, requirements_of
from trunkline.errors import ConfigurationError

ARM = Platform("3.11", "arm64")
OURS = "msgspec"


@pytest.fixture
def brought(wheels, tmp_path):
    """The names of the files that requirements bring, with those of a msgspec that is no real one."""
    wheels.make(OURS, "0.19")

    def get(*lines, platform=ARM):
        return dependencies(requirements_of(wheels.folder, wheels.require(*lines)), platform, tmp_path / "cache")

    return get


def owners(entries):
    return sorted({entry.owner for entry in entries} - {OURS})


@pytest.fixture
def calls(monkeypatch):
    """What was asked of the installers."""
    found = []
    find = module.find_installer

    class Spy:
        def __init__(self, cache):
            self._real = find(cache)

        def resolve(self, *arguments):
            found.append("resolve")
            return self._real.resolve(*arguments)

        def install(self, *arguments):
            found.append("install")
            return self._real.install(*arguments)

    monkeypatch.setattr(module, "find_installer", Spy)
    return found


def test_they_are_what_the_project_needs_and_what_that_needs_with_their_names_and_without_the_installers(
    brought, wheels
):
    wheels.make("one-part", needs=["two>=1\nLicense: of one line\n        and: another"])
    wheels.make("two", "1.5")
    entries = brought("one-part", OURS)
    assert sorted(entry.name for entry in entries if entry.owner != OURS) == [
        "one_part-1.0.dist-info/METADATA", "one_part-1.0.dist-info/WHEEL", "one_part-1.0.dist-info/entry_points.txt", "one_part.py",
        "two-1.5.dist-info/METADATA", "two-1.5.dist-info/WHEEL", "two-1.5.dist-info/entry_points.txt", "two.py",
    ]  # fmt: skip
    assert owners(entries) == ["one-part", "two"]


def test_uv_and_pip_bring_the_same(brought, wheels, tmp_path, monkeypatch):
    wheels.make("one", needs=["two"], files={"one/__init__.py": "", "one/data.txt": "x", "one/old.pyc": "x"})
    wheels.make("two")
    with_uv = {(entry.name, entry.owner) for entry in brought("one", OURS)}
    monkeypatch.setattr(module, "find_installer", lambda cache: Pip([sys.executable, "-m", "pip"]))
    needed = requirements_of(wheels.folder)
    assert {(one.name, one.owner) for one in dependencies(needed, ARM, tmp_path / "other")} == with_uv
    assert ("one/data.txt", "one") in with_uv


def test_commands_that_begin_with_a_path_of_this_machine_are_left_out_and_programs_are_not(brought, wheels):
    wheels.make(
        "one", files={"one.py": "", "one-1.0.data/scripts/tool": "\x7fELF", "one-1.0.data/scripts/say": "#!python\n"}
    )
    names = {entry.name for entry in brought("one", OURS)}
    assert {name for name in names if name.startswith("bin/")} == {"bin/tool"}


def test_the_second_time_nothing_is_installed(brought, wheels, calls):
    wheels.make("one")
    first = brought("one", OURS)
    assert calls == ["resolve", "install"]
    assert brought("one", OURS) == first
    assert calls == ["resolve", "install", "resolve"]


def test_another_platform_and_another_version_are_installed_anew(brought, wheels, calls):
    wheels.make("one")
    brought("one", OURS)
    brought("one", OURS, platform=Platform("3.11", "x86_64"))
    brought("one", OURS, platform=Platform("3.12", "arm64"))
    wheels.make("one", "2.0")
    assert "one-2.0.dist-info/METADATA" in {entry.name for entry in brought("one", OURS)}
    assert calls.count("install") == 4


def test_a_wheel_that_is_named_by_its_file_is_installed_anew_when_it_has_changed(brought, wheels):
    file = wheels.make("one", files={"one.py": "x = 1"})
    brought(str(file), OURS)
    wheels.make("one", files={"one.py": "x = 2"})
    (entry,) = [entry for entry in brought(str(file), OURS) if entry.name == "one.py"]
    assert entry.path.read_text() == "x = 2"


def test_a_requirements_file_with_hashes_is_not_resolved(brought, wheels, calls):
    hashes = {name: hashlib.sha256(wheels.make(name, "0.19").read_bytes()).hexdigest() for name in ("one", OURS)}
    brought(*(f"{name}==0.19 --hash=sha256:{digest}" for name, digest in hashes.items()))
    assert calls == ["install"]
    with pytest.raises(ConfigurationError, match="[Hh]ash"):
        brought(*(f"{name}==0.19 --hash=sha256:{digest[::-1]}" for name, digest in hashes.items()))


def test_constraints_hold(brought, wheels):
    wheels.make("one", "1.0")
    wheels.make("one", "2.0")
    (wheels.folder / "limits.txt").write_text("one<2")
    assert "one-1.0.dist-info/WHEEL" in {entry.name for entry in brought("one", OURS, "-c limits.txt")}


# What Lambda has.


SDK = ["boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"]


@pytest.fixture
def sdk(wheels):
    wheels.make("boto3", needs=["botocore", "jmespath", "s3transfer"])
    wheels.make("botocore", needs=["jmespath", "python-dateutil", "urllib3"])
    wheels.make("s3transfer", needs=["botocore"])
    wheels.make("python-dateutil", needs=["six"])
    for name in ("jmespath", "six", "urllib3"):
        wheels.make(name)


def test_the_sdk_that_others_need_and_what_only_it_needs_is_lambdas(brought, wheels, sdk):
    wheels.make("one", needs=["boto3"])
    assert owners(brought("one", OURS)) == ["one"]


def test_what_something_else_needs_too_is_brought_for_it_may_need_another_version(brought, wheels, sdk):
    wheels.make("one", needs=["boto3", "Urllib3"])
    assert owners(brought("one", OURS)) == ["one", "urllib3"]
    wheels.make("two", needs=["python_dateutil"])
    assert owners(brought("two", "boto3", OURS)) == ["python-dateutil", "six", "two"]


def test_what_the_project_names_is_brought(brought, wheels, sdk):
    wheels.make("one", needs=["boto3"])
    assert owners(brought("one", "six>=1", OURS)) == ["one", "six"]


def test_a_project_that_pins_a_part_of_the_sdk_brings_all_of_it(brought, wheels, sdk):
    assert owners(brought("boto3==1.0", OURS)) == SDK


# What we need.


def test_a_project_that_needs_nothing_brings_our_msgspec_for_the_platform(tmp_path, calls):
    for platform, machine in ((ARM, 183), (Platform("3.13", "x86_64"), 62)):
        entries = dependencies(Requirements(), platform, tmp_path)
        assert {entry.owner for entry in entries} == {OURS}
        (compiled,) = [entry.path for entry in entries if entry.name.endswith(".so")]
        header = compiled.read_bytes()[:20]
        assert (header[:4], int.from_bytes(header[18:], "little")) == (b"\x7fELF", machine)
        assert f"-{platform.python.replace('.', '')}-{platform.machine}-linux-gnu" in compiled.name
        (wheel,) = [entry.path.read_text() for entry in entries if entry.name.endswith("dist-info/WHEEL")]
        assert f"manylinux_2_17_{platform.machine}" in wheel
    assert calls == ["install", "install"]


def test_it_is_our_least_version_so_that_a_zip_stays_the_same(tmp_path):
    entries = dependencies(Requirements(), ARM, tmp_path)
    assert "msgspec-0.19.0.dist-info/METADATA" in {entry.name for entry in entries}


def test_a_newer_msgspec_of_the_project_is_taken_instead(brought, wheels):
    wheels.make(OURS, "0.20.1")
    wheels.make("one", needs=["msgspec>=0.20"])
    names = {entry.name for entry in brought("one")}
    assert {name for name in names if "msgspec" in name and "METADATA" in name} == {"msgspec-0.20.1.dist-info/METADATA"}


def test_an_older_msgspec_of_the_project_is_refused(brought, wheels):
    wheels.make(OURS, "0.18.6")
    with pytest.raises(
        ConfigurationError, match=r"requirements\.txt asks for msgspec 0\.18\.6; Trunkline needs .* 0\.19"
    ):
        brought("msgspec<0.19")


# Whatever goes wrong.


def test_a_wheel_that_tells_of_another_machine_than_its_name_is_refused(brought, wheels):
    wheels.make("one", tag="cp311-cp311-manylinux2014_aarch64", told="cp311-cp311-linux_x86_64")
    with pytest.raises(
        ConfigurationError, match=r"one 1\.0 is a wheel for cp311-cp311-linux_x86_64, and not for Python 3\.11 on arm64"
    ):
        brought("one", OURS)


def test_nothing_is_kept_of_what_could_not_be_installed(brought, wheels, tmp_path):
    with pytest.raises(ConfigurationError, match="not-there"):
        brought("not-there", OURS)
    with pytest.raises(ConfigurationError):
        brought("one==1 --hash=sha256:aa")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.name != "uv"] == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cache cannot be written: Not a directory"):
        dependencies(Requirements(), ARM, tmp_path / "file" / "cache")


@pytest.fixture
def while_installing(brought, wheels, tmp_path, monkeypatch):
    """Have something else put where an installation will go, while it is made."""
    wheels.make("one")
    brought("one", OURS)
    (folder,) = [path for path in (tmp_path / "cache").iterdir() if path.name != "uv"]
    kept = tmp_path / "kept"
    folder.rename(kept)
    find = module.find_installer

    def meanwhile(put):
        class Slow:
            def __init__(self, cache):
                self.resolve = find(cache).resolve

            def install(self, *arguments):
                put(kept, folder)

        monkeypatch.setattr(module, "find_installer", Slow)
        return folder

    return meanwhile


def test_of_two_that_install_the_same_at_once_the_first_is_kept_for_both(brought, while_installing):
    folder = while_installing(shutil.copytree)
    entries = brought("one", OURS)
    assert folder / "one.py" in {entry.path for entry in entries}
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith("unfinished")] == []


def test_a_place_in_the_cache_that_cannot_be_taken_is_told(brought, while_installing):
    while_installing(lambda kept, folder: folder.touch())
    with pytest.raises(ConfigurationError, match="cannot be written: Not a directory"):
        brought("one", OURS)


def test_what_was_not_used_for_30_days_is_forgotten(brought, wheels, tmp_path):
    wheels.make("one")
    wheels.make("two")
    brought("one", OURS)
    (first,) = [path for path in (tmp_path / "cache").iterdir() if path.name != "uv"]
    old = time.time() - 31 * 24 * 3600
    os.utime(first, (old, old))
    brought("one", OURS)  # it is used, so it stays
    brought("two", OURS)
    assert first.exists()
    os.utime(first, (old, old))
    brought("one", "two", OURS)
    assert not first.exists()


def test_the_cache_is_the_users():
    assert package_cache({"XDG_CACHE_HOME": "/c"}) == Path("/c/trunkline/packages")
    assert package_cache({"XDG_CACHE_HOME": "c"}) == Path.home() / ".cache/trunkline/packages"
