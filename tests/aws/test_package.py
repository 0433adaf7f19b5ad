"""The zip of a function."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from trunkline.aws import package as module
from trunkline.aws.lambda_platform import Platform
from trunkline.aws.package import PackageOptions, build
from trunkline.aws.program import AwsProgram, Function
from trunkline.aws.sources import sources_of
from trunkline.errors import ConfigurationError

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
CHAT = """\
import words
from trunkline import Context, collection, websocket

connections = collection("connections").allow("reading")
socket = websocket("socket")


@socket.on("message")
async def message(ctx: Context) -> None: ...
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def options(cache):
    return PackageOptions(Platform(HERE, "x86_64"), cache=cache)


def program_in(folder, file="chat.py", files=None):
    folder = folder.resolve()
    for name, text in {"chat.py": CHAT, "words.py": "HELLO = 'hello'\n", file: CHAT, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / ".git").mkdir(exist_ok=True)
    function = Function("Chat", file, sources_of(folder / file, folder), ())
    return AwsProgram("chat", folder, None, (function,), (), ())


def built(program, options, folder):
    return build(program.functions[0], program, options, folder)


def names(package):
    with zipfile.ZipFile(package.path) as archive:
        return archive.namelist()


def refused(program, options, folder):
    with pytest.raises(ConfigurationError) as caught:
        built(program, options, folder)
    return str(caught.value)


def test_it_has_the_program_our_part_and_what_that_needs_in_order(tmp_path, options):
    package = built(program_in(tmp_path / "project"), options, tmp_path / "out")
    found = names(package)
    assert found == sorted(found)
    tops = {name.split("/")[0] for name in found}
    assert tops == {"chat.py", "words.py", "trunkline", "msgspec", "msgspec-0.19.0.dist-info"}
    assert not [name for name in found if "__pycache__" in name or name.endswith(("/RECORD", "/INSTALLER"))]


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_same_program_is_the_same_bytes_wherever_and_whenever_it_is_packed(tmp_path, options, architecture):
    options = replace(options, platform=Platform(HERE, architecture))
    first = built(program_in(tmp_path / "one"), options, tmp_path / "out1")
    before = os.umask(0o077)
    try:
        program = program_in(tmp_path / "two" / "deeper")
        for file in program.functions[0].sources:
            os.utime(file, (1_000_000_000, 1_000_000_000))
        # Its packages are fetched anew, too.
        second = built(program, replace(options, cache=tmp_path / "cache"), tmp_path / "out2")
    finally:
        os.umask(before)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert (first.path.name, first.sha256) == (second.path.name, second.sha256)


def test_the_lambda_side_starts_with_only_the_zip_and_the_sdk_of_lambda(tmp_path, options):
    package = built(program_in(tmp_path / "project"), options, tmp_path / "out")
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(tmp_path / "task")
    code = """
import sys
sys.path[:] = [one for one in sys.path if "site-packages" not in one] + [sys.argv[1]]
import trunkline.aws.lambda_handler, trunkline.stores.dynamodb, trunkline.connections.management_api
assert trunkline.__file__.startswith(sys.argv[1]), trunkline.__file__
assert "boto3" not in sys.modules
print(sys.modules["chat"].words.HELLO, callable(trunkline.aws.lambda_handler.handler))
"""
    environment = {
        "LAMBDA_TASK_ROOT": str(tmp_path / "task"),
        "TRUNKLINE_PROGRAM": "chat.py",
        "TRUNKLINE_TABLES": '{"connections": "a-table"}',
        "TRUNKLINE_SOCKETS": '{"socket": "https://a.example.com/socket"}',
    }
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "task")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("hello True\n", "")


def test_it_tells_its_size_and_what_is_largest_in_it(tmp_path, options):
    package = built(program_in(tmp_path / "project"), options, tmp_path / "out")
    with zipfile.ZipFile(package.path) as archive:
        assert package.unzipped == sum(one.file_size for one in archive.infolist())
    assert package.size == package.path.stat().st_size < package.unzipped
    assert [name for name, _ in package.largest] == ["msgspec", "trunkline", "chat.py"]
    assert sum(size for _, size in package.largest) == package.unzipped
    assert package.requirements == ""


def test_its_name_is_that_of_the_program_as_a_key_of_s3_can_be(tmp_path, options):
    one = built(program_in(tmp_path / "one", "rooms/my chat.py"), options, tmp_path / "out")
    assert one.path.name == f"my-chat-{one.sha256[:16]}.zip"
    assert "rooms/my chat.py" in names(one)
    program = program_in(tmp_path / "two", "rooms/talk.py")
    function = replace(program.functions[0], program="rooms.talk")
    assert build(function, program, options, tmp_path / "out").path.name.startswith("talk-")


def test_a_module_that_is_a_program_is_where_it_is_imported_from(tmp_path, options):
    program = program_in(tmp_path / "two", "rooms/talk.py")
    assert "rooms/talk.py" in names(built(program, options, tmp_path / "out"))


def test_it_has_what_the_project_needs(tmp_path, options, wheels):
    wheels.make("one", needs=["two"])
    wheels.make("two")
    file = wheels.require("one")
    package = built(program_in(wheels.folder), options, tmp_path / "out")
    assert {"one.py", "two.py"} <= set(names(package))
    assert package.requirements == str(file)


def test_another_file_of_requirements_may_be_given(tmp_path, options, wheels):
    wheels.make("one")
    wheels.require("one")
    other = wheels.folder / "none.txt"
    other.touch()
    package = built(program_in(wheels.folder), replace(options, requirements=other), tmp_path / "out")
    assert "one.py" not in names(package)


def test_files_are_included_by_patterns(tmp_path, options):
    program = program_in(tmp_path / "project")
    (program.folder / "list.txt").write_text("a")
    assert "list.txt" in names(built(program, replace(options, include=("*.txt",)), tmp_path / "out"))


# What would hide something else.


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("trunkline", "the 'trunkline' of trunkline"),
        ("msgspec", "the 'msgspec' of msgspec"),
        ("msgspec/__init__", "the 'msgspec' of msgspec"),
        ("boto3", "the 'boto3' of Lambda"),
        ("queue", "the 'queue' of Python itself"),
        ("email/__init__", "the 'email' of Python itself"),
    ],
)
def test_a_module_that_would_hide_another_is_refused(tmp_path, options, name, whose):
    told = refused(program_in(tmp_path / "project", f"{name}.py"), options, tmp_path / "out")
    assert told.endswith(f"{name}.py would hide {whose} from the function; expected another name")


def test_a_file_within_a_package_of_others_is_refused(tmp_path, options):
    program = program_in(tmp_path / "project")
    (program.folder / "msgspec").mkdir()
    (program.folder / "msgspec" / "data.txt").touch()
    told = refused(program, replace(options, include=("msgspec/data.txt",)), tmp_path / "out")
    assert told.startswith("msgspec/data.txt would hide the 'msgspec' of msgspec")


def test_a_folder_of_data_may_be_called_as_a_module_of_python(tmp_path, options):
    program = program_in(tmp_path / "project")
    (program.folder / "html").mkdir()
    (program.folder / "html" / "index.txt").touch()
    assert "html/index.txt" in names(built(program, replace(options, include=("html",)), tmp_path / "out"))


def test_a_module_within_a_package_may_be_called_as_any(tmp_path, options):
    program = program_in(
        tmp_path / "project", files={"chat.py": "from app import queue", "app/queue.py": "", "app/__init__.py": ""}
    )
    assert "app/queue.py" in names(built(program, options, tmp_path / "out"))


# What Lambda does not take.


def test_more_than_lambda_takes_is_refused_with_what_is_largest(tmp_path, options):
    program = program_in(tmp_path / "project")
    with (program.folder / "big.bin").open("wb") as big:
        big.truncate(module.MOST_BYTES)  # of nothing, which takes no place on the disk
    told = refused(program, replace(options, include=("big.bin",)), tmp_path / "out")
    assert told.startswith("chat.py has 26")
    assert "and Lambda takes 262,144,000; the largest are chat.py 262.1 MB, msgspec 0." in told
    assert not (tmp_path / "out").exists()


def compiled(machine):
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + machine.to_bytes(2, "little") + bytes(44)


@pytest.mark.parametrize("name", ["quick.so", "libquick.so.1"])
def test_a_compiled_file_for_another_machine_is_refused(tmp_path, options, name):
    program = program_in(tmp_path / "project")
    options = replace(options, include=(name,))
    (program.folder / name).write_bytes(compiled(62))
    assert name in names(built(program, options, tmp_path / "out"))
    (program.folder / name).write_bytes(compiled(183))
    told = refused(program, options, tmp_path / "out")
    assert told == f"{name} (chat.py) is compiled for another machine than x86_64"


# What nothing in it has.


def test_imports_that_will_not_be_found_are_told_with_their_lines(tmp_path, options, wheels):
    wheels.make("one")
    wheels.require("one")
    program = program_in(
        wheels.folder,
        files={
            "chat.py": "import os, words\nimport one\nimport boto3\nimport numpy.linalg\n",
            "words.py": "from rich.text import Text\n",
        },
    )
    package = built(program, options, tmp_path / "out")
    assert package.missing == ("chat.py:4 imports numpy", "words.py:1 imports rich")


def test_imports_that_need_not_succeed_are_not_told(tmp_path, options):
    text = "from typing import TYPE_CHECKING\ntry:\n    import orjson\nexcept ImportError:\n    import ujson\nif TYPE_CHECKING:\n    import numpy\nfrom . import x\n"
    package = built(program_in(tmp_path / "project", files={"chat.py": text}), options, tmp_path / "out")
    assert package.missing == ()
