"""The map from rooms to the tests that cover them: it says what is left out, and what fails."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "coverage_map.py"


@pytest.fixture(scope="module")
def coverage_map():
    spec = importlib.util.spec_from_file_location("coverage_map", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_room_that_must_be_covered_is_on_it_with_tests_that_exist(coverage_map):
    assert set(coverage_map.ROOMS) == {"model", "wire", "gateway", "resources", "stores"}
    for room, tests in coverage_map.ROOMS.items():
        assert (ROOT / "src" / "trunkline" / room).is_dir()
        assert all((ROOT / path).exists() for path in tests)


def test_a_module_whose_tests_reach_everything_is_whole(coverage_map):
    tests = [ROOT / "tests" / "gateway" / "test_lifecycle.py"]
    assert coverage_map.measure(tests, "*/trunkline/gateway/lifecycle.py") is None


def test_what_tests_do_not_reach_is_named(coverage_map):
    tests = [ROOT / "tests" / "gateway" / "test_lifecycle.py"]
    said = coverage_map.measure(tests, "*/trunkline/gateway/http.py")
    assert "src/trunkline/gateway/http.py" in said
    assert "less than fail-under=100" in said


def test_a_test_that_fails_is_named(coverage_map, tmp_path):
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    said = coverage_map.measure([tmp_path / "test_wrong.py"], "*/trunkline/gateway/lifecycle.py")
    assert "test_wrong.py" in said
    assert "1 failed" in said


def test_a_room_that_is_none_is_refused(coverage_map, capsys):
    assert coverage_map.main(["wire", "attic"]) == 2
    assert capsys.readouterr().out == "no rooms: attic; expected some of gateway, wire, stores, model, resources\n"


def test_it_says_of_each_room_whether_it_is_whole(coverage_map, capsys, monkeypatch):
    monkeypatch.setattr(coverage_map, "measure", lambda tests, modules: "line 7\n" if "/wire/" in modules else None)
    assert coverage_map.main(["model"]) == 0
    assert coverage_map.main(["model", "wire"]) == 1
    said = capsys.readouterr().out
    assert said.count("model: whole, 0 s\n") == 2
    assert "wire: not whole, 0 s\nline 7\n" in said
