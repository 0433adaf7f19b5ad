"""`trunkline synth`: a template and the zips of its functions, or one line that says why not."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from trunkline.templates import load_template
from trunkline.templates.loader import load_document

CHAT = """
    from shared import people
    from trunkline import websocket

    socket = websocket("chat")

    @socket.on("message")
    async def message(ctx):
        return await people.doc("ann").get()
"""
SHARED = """
    from trunkline import collection

    people = collection("people").allow("reading")
"""
ADMIN = """
    from trunkline import websocket

    socket = websocket("admin", ordered=False)

    @socket.on("message", route="add")
    async def add(ctx): ...
"""
ANY_SITE = "a page of any site may connect; API Gateway does not look at Origin, so an authorizer has to"
ANY_ROUTE = (
    "has a '*' or '?', which permissions of AWS take for any text: it would let other routes call the function, too; "
    "expected another name"
)
WHEEL = """\
Wheel-Version: 1.0
Generator: test
Root-Is-Purelib: true
Tag: py3-none-any
"""


@pytest.fixture
def project(write, tmp_path):
    """A program of two files, and the packages that it needs beside it: nobody is asked for them."""
    for name, text in {"chat.py": CHAT, "admin.py": ADMIN, "shared.py": SHARED}.items():
        write(name, text)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "msgspec-0.99-py3-none-any.whl", "w") as wheel:
        wheel.writestr("msgspec.py", "x = 1\n")
        wheel.writestr("msgspec-0.99.dist-info/METADATA", "Metadata-Version: 2.1\nName: msgspec\nVersion: 0.99\n")
        wheel.writestr("msgspec-0.99.dist-info/WHEEL", WHEEL)
        wheel.writestr("msgspec-0.99.dist-info/RECORD", "")
    (tmp_path / "requirements.txt").write_text("--no-index\n-f wheels\n")
    return tmp_path


@pytest.fixture
def synth(trunkline, project):
    def synth(*arguments):
        return trunkline("synth", *arguments, cwd=project, env={"XDG_CACHE_HOME": str(project / "cache")})

    return synth


def written(folder):
    return sorted(file.name for file in folder.iterdir())


# What it writes.


def test_it_writes_the_template_and_a_zip_for_each_file_and_says_where(synth, project):
    code, out, _ = synth("chat.py", "admin.py")
    assert code == 0
    names = written(project / "build")
    assert [re.sub("[0-9a-f]{16}", "HASH", name) for name in names] == [
        "admin-HASH.zip",
        "chat-HASH.zip",
        "template.yaml",
    ]
    assert re.sub("[0-9a-f]{16}", "HASH", out).splitlines() == [
        "template  build/template.yaml",
        "function  build/chat-HASH.zip  chat.py, 0.3 MB",
        "function  build/admin-HASH.zip  admin.py, 0.3 MB",
    ]


def test_what_it_writes_is_a_template_that_runs_here(synth, project):
    assert synth("chat.py", "admin.py", "--output", "out")[0] == 0
    read = load_template(project / "out" / "template.yaml", {}, region="eu-central-1", account="123456789012")
    assert [(function.logical_id, function.code.suffix) for function in read.functions] == [
        ("ChatFunction", ".zip"), ("AdminFunction", ".zip"),
    ]  # fmt: skip
    assert {"chat.py", "shared.py"} <= set(zipfile.ZipFile(read.functions[0].code).namelist())
    assert "shared.py" not in zipfile.ZipFile(read.functions[1].code).namelist()


def test_the_same_program_gives_the_same_bytes(synth, project):
    for folder in ("one", "two"):
        assert synth("chat.py", "admin.py", "--output", folder)[0] == 0
    one, two = ({file.name: file.read_bytes() for file in (project / folder).iterdir()} for folder in ("one", "two"))
    assert one == two


def test_a_dash_prints_the_template_and_writes_nothing(synth, project):
    before = written(project)
    code, out, _ = synth("chat.py", "--output", "-")
    assert (code, sorted({*written(project)} - {"cache", "__pycache__"})) == (0, before)
    assert synth("chat.py")[0] == 0
    assert (project / "build" / "template.yaml").read_text() == out


def test_json_is_the_same_template(synth, project):
    assert synth("chat.py", "--json")[0] == 0
    assert "template.yaml" not in written(project / "build")
    assert synth("chat.py", "--output", "yaml")[0] == 0
    template = json.loads((project / "build" / "template.json").read_text())
    assert template == load_document(project / "yaml" / "template.yaml").data


def test_what_aws_does_otherwise_goes_to_standard_error(synth):
    _, out, err = synth("admin.py", "--output", "-")
    assert err.splitlines() == [
        f"admin.py:3: websocket('admin'): {ANY_SITE}",
        "admin.py:3: send() is True once API Gateway took it, which promises no order between two messages; a client that reads slowly is Throttled after pauses, not SlowConsumer at once",
    ]
    assert out.startswith("AWSTemplateFormatVersion")


def test_an_import_that_nothing_brings_is_told(synth, write):
    write("chat.py", "try:\n    import absent\nexcept ImportError: ...\nimport yaml\n" + ECHO)
    _, _, err = synth("chat.py", "--output", "-")
    assert "chat.py:4 imports yaml, which is neither in the zip nor on Lambda" in err.splitlines()


ECHO = """
from trunkline import websocket
socket = websocket("chat")
@socket.on("message")
async def message(ctx): ...
"""


def test_options_are_in_the_template(synth):
    given = ["--memory", "512", "--architecture", "arm64", "--python", "3.13", "--retention", "7", "--no-access-log"]
    given += ["--rate", "socket.chat=100/200", "--point-in-time-recovery", "--delete-tables"]
    code, out, err = synth("chat.py", "--output", "-", "--json", *given)
    assert code == 0, err
    made = json.loads(out)["Resources"]
    function = made["ChatFunction"]["Properties"]
    assert (function["MemorySize"], function["Architectures"], function["Runtime"]) == (512, ["arm64"], "python3.13")
    assert made["ChatLogs"]["Properties"]["RetentionInDays"] == 7
    stage = made["ChatStage"]["Properties"]
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": 100, "ThrottlingBurstLimit": 200}
    assert "AccessLogSettings" not in stage
    table = made["PeopleTable"]
    assert (table["DeletionPolicy"], "PointInTimeRecoverySpecification" in table["Properties"]) == ("Delete", True)


def test_rates_of_the_settings_count_and_the_command_line_goes_before_them(synth, project):
    (project / "pyproject.toml").write_text('[tool.trunkline.rate]\n"socket.chat" = "5/10"\n')
    for given, rate in (((), 5), (("--rate", "socket.chat=7/10"), 7)):
        _, out, _ = synth("chat.py", "--output", "-", "--json", *given)
        settings = json.loads(out)["Resources"]["ChatStage"]["Properties"]["DefaultRouteSettings"]
        assert settings["ThrottlingRateLimit"] == rate


def test_files_that_are_included_are_in_the_zip(synth, project):
    (project / "words.txt").write_text("tea")
    assert synth("chat.py", "--include", "*.txt")[0] == 0
    (packed,) = (project / "build").glob("chat-*.zip")
    assert "words.txt" in zipfile.ZipFile(packed).namelist()


# What it refuses: one line, 2, and nothing is written.


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["boards.py"], "boards.py does not exist; expected a Python file such as chat.py"),
        (["shared.py"], 'shared.py declares no websocket; expected at least one: socket = websocket("socket")'),
        (["chat.py", "shared.py"], "shared.py declares no handler, so no event would ever start it as a function"),
        (["chat.py", "--memory", "64"], "--memory is 64; expected 128 to 10240 MB"),
        (["chat.py", "--retention", "2"], "--retention is 2; expected one of 1, 3, 5, "),
        (["chat.py", "--architecture", "mips"], "the architecture is 'mips'; expected x86_64 or arm64"),
        (["chat.py", "--python", "3.9"], "Lambda has no Python 3.9 for it; expected --python 3.11, 3.12, 3.13"),
        (["chat.py", "--rate", "socket.x=1/1"], "rate 'socket.x' is of nothing that this program has; there are socket.chat"),
        (["chat.py", "--rate", "x"], "the command line has rate 'x'; expected NAME=PER_SECOND/BURST"),
        (["chat.py", "--requirements", "none.txt"], "none.txt"),
        (["chat.py", "--output", "taken"], "taken cannot be written: File exists"),
        (["chat.py", "--output", "taken/deeper"], "taken/deeper cannot be written: Not a directory"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_2(synth, project, arguments, told):
    (project / "taken").write_text("")
    code, out, err = synth(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith(f"trunkline: {told}") or (told == "none.txt" and told in err)
    assert not (project / "build").exists()


def test_what_aws_would_refuse_is_named_with_file_and_line(synth, write):
    write("chat.py", ECHO.replace('"chat")', '"chat", binary=True)').replace('"message")', '"message", route="*")'))
    code, out, err = synth("chat.py")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "trunkline: chat.py:2: websocket('chat') has binary=True; API Gateway takes texts only, and closes with 1003",
        f"chat.py:3: route '*' {ANY_ROUTE}",
    ]


def test_an_error_in_the_program_is_its_own_traceback(synth, write):
    write("chat.py", "1 / 0\n")
    code, out, err = synth("chat.py")
    assert (code, out, err.splitlines()[-1]) == (2, "", "ZeroDivisionError: division by zero")


def test_every_option_is_described_as_the_help_has_it(trunkline):
    _, out, _ = trunkline("synth", "--help", env={"COLUMNS": "200"})
    text = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text()
    table = text.partition("| `synth` takes |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(--[a-z-]+)`", table, re.M) == re.findall(r"(?<![\w-])--[a-z-]+(?= )", out)
