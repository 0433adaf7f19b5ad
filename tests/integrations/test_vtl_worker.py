"""The process that renders mapping templates: its protocol, its limits and its end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import airspeed
import pytest

from trunkline.integrations import vtl_worker
from trunkline.integrations.vtl_template import Templates
from trunkline.integrations.vtl_values import OUTPUT_BYTES
from trunkline.integrations.vtl_worker import answer

COMMAND = [sys.executable, "-I", "-S", vtl_worker.__file__, str(Path(airspeed.__file__).parents[1])]
VALUES = {"body": "", "context": {}, "stage_variables": {}, "headers": {}, "query": {}, "path": {}}


class Worker:
    """One that is spoken to over pipes, and ended at the end of the test."""

    def __init__(self):
        self.process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"SECRET": "s"}
        )

    def ask(self, template, **given):
        return self.send(json.dumps([template, VALUES | given]).encode())

    def send(self, request):
        self.process.stdin.write(len(request).to_bytes(4) + request)
        self.process.stdin.flush()
        length = self.process.stdout.read(4)
        return json.loads(self.process.stdout.read(int.from_bytes(length))) if length else None

    def end(self):
        with self.process:
            self.process.kill()


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.end()


def test_a_request_is_answered_and_so_is_the_next(worker):
    assert worker.ask("<$input.body>", body="a") == ["<a>", None, False]
    assert worker.ask("<$input.body>", body="ü😀") == ["<ü😀>", None, False]


def test_what_is_wrong_is_answered_and_so_is_the_next(worker):
    assert worker.ask("a\n$input.no()") == [
        None,
        "line 2: $input has no method no(); known are json, params, path",
        False,
    ]
    assert worker.ask("") == ["", None, False]


def test_long_requests_and_answers_come_whole(worker):
    body = "x" * OUTPUT_BYTES
    assert worker.ask("$input.body", body=body) == [body, None, False]


def test_it_ends_with_its_input(worker):
    worker.ask("")
    worker.process.stdin.close()
    assert worker.process.wait(10) == 0
    assert worker.process.stderr.read() == b""


def test_it_ends_when_half_a_request_is_all_that_comes(worker):
    worker.process.stdin.write((100).to_bytes(4) + b"[")
    worker.process.stdin.close()
    assert worker.process.wait(10) == 0


@pytest.mark.parametrize(
    "template",
    [
        "#foreach($i in [1..1000000000])#end",
        "#set($s = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')$s.matches('(a|aa)+')",
        "#set($n = 7)#foreach($i in [1..60])#set($n = $n * $n)#end",
    ],
    ids=["loop", "regular expression", "numbers"],
)
def test_a_template_that_works_for_a_second_of_the_processor_ends_it(worker, template):
    assert worker.ask(template) is None
    assert worker.process.wait(10) == -signal.SIGPROF


def seconds_of(pid):
    """How long it has had the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_each_template_has_a_second_of_its_own(worker):
    while seconds_of(worker.process.pid) < 1.2:
        assert worker.ask("#foreach($i in [1..20000])#set($x = $i)#end") == ["", None, False]
    assert worker.ask("after") == ["after", None, False]


def test_a_template_that_takes_too_much_memory_is_told_and_is_the_last(worker):
    template = "#set($l = [])#foreach($i in [1..100000])#set($x = $l.add($input.body.concat('x')))#end"
    assert worker.ask(template, body="x" * 1_000_000) == [None, "it needs more than 512 MiB of memory", True]
    assert worker.process.wait(10) == 0


def limits(pid):
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:25].strip(): line[26:46].strip() for line in lines}


def test_it_can_open_no_file_and_start_no_process(worker):
    worker.ask("")
    found = limits(worker.process.pid)
    assert found["Max open files"] == "0"
    assert found["Max processes"] == "0"
    assert found["Max file size"] == "0"
    assert found["Max core file size"] == "0"
    assert found["Max address space"] == str(vtl_worker.MEMORY_BYTES)


def test_it_loads_nothing_of_trunkline_but_templates():
    code = f"""
import runpy, sys
sys.argv = {COMMAND[3:]!r}
sys.stdin.close()
runpy.run_path({COMMAND[3]!r}, run_name="__main__")
print(sorted(name for name in sys.modules if name.startswith("trunkline")), "msgspec" in sys.modules, "asyncio" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    names = ["elements", "expressions", "methods", "path", "services", "template", "values"]
    loaded = ["trunkline", "trunkline.integrations", *(f"trunkline.integrations.vtl_{name}" for name in names)]
    assert done.stdout == f"{loaded} False False\n"


def test_without_airspeed_the_first_request_is_told(tmp_path):
    made = subprocess.Popen([*COMMAND[:-1], str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = made.communicate((2).to_bytes(4) + b"[]", timeout=30)
    assert json.loads(out[4:]) == [None, "airspeed is not installed", True]
    assert made.returncode == 0


# In this process.


def test_half_a_character_becomes_a_question_mark():
    request = json.dumps(["$input.path('$.a')", VALUES | {"body": '{"a": "<\\ud83d>"}'}]).encode()
    assert answer(Templates(), request) == ("<?>", None, False)


def test_a_text_is_measured_in_bytes():
    request = json.dumps(["$input.body", VALUES | {"body": "ü" * (OUTPUT_BYTES // 2)}]).encode()
    assert answer(Templates(), request)[1] is None
    request = json.dumps(["$input.body.", VALUES | {"body": "ü" * (OUTPUT_BYTES // 2)}]).encode()
    assert answer(Templates(), request) == (None, "the text is longer than 1,048,576 bytes", False)


def test_a_want_of_memory_is_the_last_answer():
    class Wanting:
        def render(self, template, values):
            raise MemoryError

    assert answer(Wanting(), b"[1, 2]") == (None, "it needs more than 512 MiB of memory", True)


def test_a_platform_without_limits_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    vtl_worker._limit()
    monkeypatch.delattr(signal, "setitimer")
    vtl_worker._alarm(1)


def test_a_limit_that_cannot_be_set_is_left_out(monkeypatch):
    import resource

    asked = []

    def refuse(which, limits):
        asked.append(which)
        raise ValueError("not this one")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    vtl_worker._limit()
    assert len(asked) == 5
