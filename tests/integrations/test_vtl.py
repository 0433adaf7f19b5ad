"""Mapping templates in a worker: what a run of them is like, and what none of them can do to the node."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.integrations import vtl
from trunkline.integrations.base import IntegrationError, Values
from trunkline.integrations.vtl import TEMPLATE_BYTES, TemplateWorker

WRONG = "the mapping template was not rendered: "
OUT_OF_TIME = f"{WRONG}it took more than a second of the processor"
LOOP = "#foreach($i in [1..1000000000])#end"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def worker():
    return TemplateWorker()


def real(test):
    """In real time: a process does not know that a clock jumps."""

    @functools.wraps(test)
    def run(worker, **given):
        async def whole():
            try:
                await test(worker, **given)
            finally:
                await worker.close()

        uvloop.run(whole())

    return run


async def wrong(worker, template, values=None):
    with pytest.raises(IntegrationError) as caught:
        await worker.render(template, values or Values())
    assert caught.value.status == 500
    return str(caught.value)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_gone(pid):
    for _ in range(1000):
        if not is_alive(pid):
            return True
        time.sleep(0.01)
    return False


@real
async def test_a_template_is_rendered_with_what_an_event_has(worker):
    values = Values(
        body='{"a": {"b": [1, "ü"]}}',
        context=MappingProxyType({"routeKey": "talk", "authorizer": MappingProxyType({"id": 7})}),
        stage_variables={"table": "Rooms"},
        headers={"Host": "h"},
        query={"q": "1"},
        path={"p": "2"},
    )
    template = (
        "$input.json('$.a') $context $stageVariables.table $input.params('Host')$input.params('q')$input.params('p')"
    )
    assert await worker.render(template, values) == '{"b":[1,"ü"]} {routeKey=talk, authorizer={id=7}} Rooms h12'


@real
async def test_the_process_begins_with_the_first_template_and_stays(worker):
    assert worker.pid is None
    await worker.render("a", Values())
    first = worker.pid
    await wrong(worker, "$input.no()")
    await worker.render("b", Values())
    assert worker.pid == first
    assert is_alive(first)


@real
async def test_many_at_once_are_rendered_each_with_its_own_values(worker):
    made = await asyncio.gather(*(worker.render("<$input.body>", Values(body=str(number))) for number in range(200)))
    assert made == [f"<{number}>" for number in range(200)]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n$input.getClass()", "line 2: $input has no method getClass(); known are json, params, path"),
        ("#parse('/etc/passwd')", "line 1: #parse and #include are not available in a mapping template"),
        ('#include("/etc/passwd")', "line 1: #parse and #include are not available in a mapping template"),
        (
            "#set($x = 'x')#foreach($i in [1..60])#set($x = \"$x$x\")#end",
            "line 1: the text is longer than 1,048,576 bytes",
        ),
        ("\n#define($x)$x#end\n$x", "line 2: it goes too deep, or has something within itself"),
        ("\n#if(", "line 2: this #if cannot be read: ("),
    ],
)
@real
async def test_what_is_wrong_with_a_template_is_told(worker, template, said):
    assert await wrong(worker, template) == f"{WRONG}{said}"


@real
async def test_a_macro_that_calls_itself_is_text(worker):
    assert await worker.render("#macro(again $n)#again($n)#end#again(1)", Values()) == "#again(1)"


@real
async def test_a_template_that_does_not_end_is_ended_and_the_next_is_rendered(worker):
    await worker.render("", Values())
    before = worker.pid
    others = [asyncio.create_task(worker.render("$input.body", Values(body=str(number)))) for number in range(3)]
    began = time.process_time()
    assert await wrong(worker, LOOP) == OUT_OF_TIME
    assert time.process_time() - began < 1  # the node did not wait for it
    assert [await other for other in others] == ["0", "1", "2"]
    assert await worker.render("after", Values()) == "after"
    assert worker.pid != before
    assert not is_alive(before)


@real
async def test_a_template_that_takes_too_much_memory_is_told_and_the_next_is_rendered(worker):
    template = "#set($l = [])#foreach($i in [1..100000])#set($x = $l.add($input.body.concat('x')))#end"
    assert await wrong(worker, template, Values(body="x" * 1_000_000)) == f"{WRONG}it needs more than 512 MiB of memory"
    assert await worker.render("after", Values()) == "after"


@real
async def test_a_worker_that_was_killed_meanwhile_is_replaced_unnoticed(worker):
    await worker.render("", Values())
    os.kill(worker.pid, signal.SIGKILL)
    assert until_gone(worker.pid)
    assert await worker.render("after", Values()) == "after"


@real
async def test_a_worker_that_is_killed_at_work_is_told_and_replaced(worker):
    await worker.render("", Values())
    rendering = asyncio.create_task(wrong(worker, LOOP))
    await asyncio.sleep(0.1)
    os.kill(worker.pid, signal.SIGKILL)
    assert await rendering == f"{WRONG}its worker ended: Killed"
    assert await worker.render("after", Values()) == "after"


def test_a_worker_that_stands_still_is_replaced():
    async def whole():
        worker = TemplateWorker(seconds=0.5)
        await worker.render("", Values())
        before = worker.pid
        os.kill(before, signal.SIGSTOP)
        assert await wrong(worker, "", Values(body="x" * 4_000_000)) == f"{WRONG}it took longer than 0.5 s"
        assert not is_alive(before)
        assert await worker.render("after", Values()) == "after"
        os.kill(worker.pid, signal.SIGSTOP)
        assert await wrong(worker, "") == f"{WRONG}it took longer than 0.5 s"
        await worker.close()

    uvloop.run(whole())


@real
async def test_a_template_over_300_kb_is_refused(worker):
    assert len(await worker.render("x" * TEMPLATE_BYTES, Values())) == TEMPLATE_BYTES
    said = await wrong(worker, "ü" + "x" * (TEMPLATE_BYTES - 1))
    assert said == "the mapping template has 307,201 bytes; at most are 307,200"


@real
async def test_values_that_are_no_plain_data_are_refused(worker):
    for context in ({"a": object()}, {"a": "\ud83d"}):
        assert (await wrong(worker, "", Values(context=context))).startswith(f"{WRONG}its values are no plain data: ")


@real
async def test_who_no_longer_waits_disturbs_nobody(worker):
    waiting = asyncio.create_task(worker.render("#foreach($i in [1..50000])#set($x = $i)#end", Values()))
    queued = asyncio.create_task(worker.render("queued", Values()))
    await asyncio.sleep(0.02)
    waiting.cancel()
    queued.cancel()
    await asyncio.wait([waiting, queued])
    assert waiting.cancelled()
    assert await worker.render("after", Values()) == "after"


# What the process has.


@real
async def test_it_has_no_environment_no_descriptors_and_a_session_of_its_own(worker):
    with open(os.devnull) as ours:
        os.set_inheritable(ours.fileno(), True)
        await worker.render("", Values())
        process = Path(f"/proc/{worker.pid}")
        assert (process / "environ").read_bytes() == b""
        assert sorted(os.listdir(process / "fd")) == ["0", "1", "2"]
        assert os.readlink(process / "cwd") == "/"
        assert os.getsid(worker.pid) == worker.pid


PARENT = """
import asyncio, sys
from trunkline.integrations.base import Values
from trunkline.integrations.vtl import TemplateWorker

async def main():
    worker = TemplateWorker(seconds=60)
    await worker.render("", Values())
    print(worker.pid, flush=True)
    await worker.render(sys.argv[1], Values())
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("template", ["", LOOP], ids=["idle", "at work"])
def test_it_ends_when_the_node_is_killed(template):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, template], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    with parent:
        parent.kill()
    assert until_gone(pid)


# Its end.


@real
async def test_what_is_asked_after_its_end_is_refused(worker):
    await worker.render("", Values())
    pid = worker.pid
    await worker.close()
    assert not is_alive(pid)
    assert worker.pid is None
    assert await wrong(worker, "") == f"{WRONG}its worker was closed"
    await worker.close()


@real
async def test_what_is_rendered_at_its_end_fails_and_what_waits_too(worker):
    await worker.render("", Values())
    rendering = [asyncio.create_task(wrong(worker, LOOP)), asyncio.create_task(wrong(worker, ""))]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await worker.close()
    assert [await each for each in rendering] == [f"{WRONG}its worker ended: Killed", f"{WRONG}its worker was closed"]
    assert time.monotonic() - began < 0.9  # nobody waited for the end of the template


def test_an_end_without_a_beginning_is_none():
    uvloop.run(TemplateWorker().close())


def test_an_end_while_the_process_begins_ends_it(monkeypatch):
    async def whole():
        worker = TemplateWorker()
        begin = vtl._Process.__init__

        def beginning(self):
            begin(self)
            worker._is_closed = True

        monkeypatch.setattr(vtl._Process, "__init__", beginning)
        assert await wrong(worker, LOOP) == f"{WRONG}its worker ended: Killed"
        await worker.close()

    uvloop.run(whole())


# What can be wrong around it.


@real
async def test_without_airspeed_what_to_install_is_told(worker):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vtl.importlib.util, "find_spec", lambda name: None)
        assert (
            await wrong(worker, "") == "mapping templates need airspeed; install it with: pip install 'trunkline[aws]'"
        )


@real
async def test_a_process_that_cannot_be_started_is_told(worker):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", os.devnull)
        assert (await wrong(worker, "")).startswith(f"{WRONG}its worker cannot be started: ")
    assert await worker.render("after", Values()) == "after"


OTHERS = {
    "exit": ("import sys; sys.exit(3)", "its worker ended: exit status 3"),
    "long": (
        "import os; os.read(0, 1000); os.write(1, b'\\xff' * 4); os.read(0, 1)",
        "its worker answered 4,294,967,295 bytes",
    ),
    "silent": ("import os, time; os.read(0, 1000); os.close(0); os.close(1); time.sleep(60)", "its worker hung up"),
}


@pytest.mark.parametrize(("code", "said"), OTHERS.values(), ids=OTHERS)
@real
async def test_a_worker_that_is_not_itself_is_told(worker, code, said, tmp_path):
    file = tmp_path / "other.py"
    file.write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vtl, "_WORKER", file)
        assert await wrong(worker, "") == f"{WRONG}{said}"
    assert await worker.render("after", Values()) == "after"


# Any value.


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(JSON, st.text()), min_size=1))
def test_any_json_is_the_same_value_and_any_text_is_given_back(pairs):
    @real
    async def all_of_them(worker):
        for value, text in pairs:
            body = json.dumps(value)
            assert json.loads(await worker.render("$input.json('$')", Values(body=body))) == value
            assert await worker.render("$input.body", Values(body=text)) == text

    all_of_them(TemplateWorker())


async def test_it_works_where_time_jumps():
    worker = TemplateWorker()
    try:
        assert [await worker.render("$input.body", Values(body=str(number))) for number in range(50)] == list(
            map(str, range(50))
        )
    finally:
        await worker.close()
