"""A function's code becomes a folder, whatever it comes as; nothing of it gets out of that folder."""

import os
import stat
import zipfile

import pytest

from trunkline.functions import code
from trunkline.functions.code import layers_of
from trunkline.model.functions import FunctionDefinition, InvocationRefused


def function(runtime="python3.11", **given):
    return FunctionDefinition("talk", "Talk", runtime, "index.handler", where="template.yaml:3", **given)


def task_root_of(definition, folder):
    return code.task_root_of(definition, folder, folder / "archives")


def zipped(file, members):
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file


@pytest.mark.parametrize(("runtime", "name"), [("python3.11", "index.py"), ("nodejs20.x", "index.js")])
def test_inline_text_is_a_file_that_lambda_calls_index(tmp_path, runtime, name):
    root = task_root_of(function(runtime, inline="text"), tmp_path / "new")
    assert (root / name).read_text() == "text"


def test_a_folder_is_run_where_it_stands(tmp_path):
    assert task_root_of(function(code=tmp_path), tmp_path / "new") == tmp_path


def test_a_zip_is_unpacked(tmp_path):
    root = task_root_of(function(code=zipped(tmp_path / "a.zip", {"app/index.py": "text"})), tmp_path / "new")
    assert (root / "app" / "index.py").read_text() == "text"


def test_a_zip_of_several_functions_is_unpacked_once_and_anew_when_it_has_changed(tmp_path):
    file = zipped(tmp_path / "a.zip", {"index.py": "text"})
    first = task_root_of(function(code=file), tmp_path / "new")
    assert task_root_of(function(code=file), tmp_path / "new") == first
    second = task_root_of(function(code=zipped(file, {"index.py": "other"})), tmp_path / "new")
    assert second != first
    assert [(root / "index.py").read_text() for root in (first, second)] == ["text", "other"]


def test_a_zip_that_could_not_be_unpacked_is_tried_again(tmp_path):
    (tmp_path / "a.zip").write_text("text")
    for _ in range(2):
        with pytest.raises(InvocationRefused, match=r"a\.zip cannot be unpacked"):
            task_root_of(function(code=tmp_path / "a.zip"), tmp_path / "new")


@pytest.mark.parametrize("name", ["../out.py", "/out.py", "a/../../out.py"])
def test_nothing_of_a_zip_gets_out_of_its_folder(tmp_path, name):
    with pytest.raises(InvocationRefused, match="outside of its folder"):
        task_root_of(function(code=zipped(tmp_path / "a.zip", {name: "text"})), tmp_path / "new")
    assert not (tmp_path / "out.py").exists()


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(InvocationRefused, match="or a link"):
        task_root_of(function(code=tmp_path / "a.zip"), tmp_path / "new")


def test_a_zip_that_is_larger_than_lambda_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("trunkline.functions.code._MOST_BYTES", 10)
    with pytest.raises(InvocationRefused, match="more than"):
        task_root_of(function(code=zipped(tmp_path / "a.zip", {"index.py": "x" * 11})), tmp_path / "new")


def test_what_is_no_zip_is_told(tmp_path):
    (tmp_path / "a.zip").write_text("text")
    with pytest.raises(InvocationRefused, match=r"a\.zip cannot be unpacked"):
        task_root_of(function(code=tmp_path / "a.zip"), tmp_path / "new")


def test_later_layers_lie_over_earlier_ones(tmp_path):
    (tmp_path / "one" / "python").mkdir(parents=True)
    (tmp_path / "one" / "python" / "a.py").write_text("one")
    (tmp_path / "one" / "python" / "b.py").write_text("one")
    two = zipped(tmp_path / "two.zip", {"python/b.py": "two"})
    laid = layers_of(function(layers=(tmp_path / "one", two)), tmp_path / "new")
    assert [(laid / "python" / name).read_text() for name in ("a.py", "b.py")] == ["one", "two"]
    assert layers_of(function(), tmp_path / "none") is None


def test_the_only_layer_of_a_function_is_used_where_it_stands(tmp_path):
    (tmp_path / "layer").mkdir()
    assert layers_of(function(layers=(tmp_path / "layer",)), tmp_path / "new") == tmp_path / "layer"
    assert not (tmp_path / "new").exists()


def test_layers_of_several_functions_are_laid_together_once_and_anew_when_one_of_them_has_changed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text("text")
    layers = (tmp_path / "one", tmp_path / "two")
    first = layers_of(function(layers=layers), tmp_path / "new")
    assert layers_of(function(layers=layers), tmp_path / "new") == first
    (tmp_path / "two" / "two.py").write_text("other")
    second = layers_of(function(layers=layers), tmp_path / "new")
    assert [(laid / "two.py").read_text() for laid in (first, second)] == ["text", "other"]


def test_a_layer_that_is_a_zip_is_unpacked_once_for_all_functions(tmp_path):
    given = function(layers=(zipped(tmp_path / "a.zip", {"python/a.py": "text"}),))
    first = layers_of(given, tmp_path / "new")
    assert (first / "python" / "a.py").read_text() == "text"
    assert layers_of(given, tmp_path / "new") == first


def test_a_layer_that_is_not_there_is_told_with_its_place(tmp_path):
    with pytest.raises(InvocationRefused, match=r"its layer is not there: .*gone \(template\.yaml:3\)"):
        layers_of(function(layers=(tmp_path / "gone",)), tmp_path / "new")


def test_what_may_be_executed_in_a_zip_may_be_executed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, mode in (("bootstrap", 0o755), ("index.py", 0o644), ("of_windows", 0)):
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFREG | mode) << 16 if mode else 0
            archive.writestr(member, "text")
    root = task_root_of(function(code=tmp_path / "a.zip"), tmp_path / "new")
    assert [os.access(root / name, os.X_OK) for name in ("bootstrap", "index.py", "of_windows")] == [True, False, False]
    assert all((root / name).read_text() == "text" for name in ("bootstrap", "index.py", "of_windows"))
