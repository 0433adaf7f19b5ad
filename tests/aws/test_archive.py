"""A zip whose bytes depend on nothing but its files."""

import hashlib
import os
import zipfile

import pytest

from trunkline.aws.archive import Entry, write_archive


def entries(folder, order=1):
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n" * 100)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o700)
    names = ["a.py", "run"][::order]
    return [Entry(f"app/{name}", folder / name, "app") for name in names]


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_the_bytes_are_the_same_from_another_folder_at_another_time_under_another_umask(tmp_path, umask):
    one, _ = write_archive(entries(tmp_path / "one"), tmp_path / "out1", "chat")
    umask(0o077)
    others = entries(tmp_path / "two" / "three", order=-1)
    for entry in others:
        os.utime(entry.path, (1_000_000_000, 1_000_000_000))
    two, _ = write_archive(others, tmp_path / "out2", "chat")
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def test_its_name_has_the_first_16_digits_of_its_hash(tmp_path):
    path, sha256 = write_archive(entries(tmp_path / "one"), tmp_path / "out", "chat")
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path == tmp_path / "out" / f"chat-{sha256[:16]}.zip"


def test_files_can_be_read_by_everybody_and_are_executable_where_they_were(tmp_path):
    path, _ = write_archive(entries(tmp_path / "one"), tmp_path / "out", "chat")
    with zipfile.ZipFile(path) as archive:
        found = {one.filename: (oct(one.external_attr >> 16), one.create_system) for one in archive.infolist()}
        assert archive.read("app/a.py") == b"x = 1\n" * 100
    assert found == {"app/a.py": ("0o100644", 3), "app/run": ("0o100755", 3)}


def test_other_content_is_another_file(tmp_path):
    found = entries(tmp_path / "one")
    one, _ = write_archive(found, tmp_path / "out", "chat")
    found[0].path.write_text("x = 2\n")
    two, _ = write_archive(found, tmp_path / "out", "chat")
    assert sorted((tmp_path / "out").iterdir()) == sorted([one, two])


def test_nothing_is_left_of_a_zip_that_cannot_be_finished(tmp_path):
    found = entries(tmp_path / "one")
    found[1].path.unlink()
    with pytest.raises(FileNotFoundError):
        write_archive(found, tmp_path / "out", "chat")
    assert list((tmp_path / "out").iterdir()) == []
