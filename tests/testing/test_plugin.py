"""The pytest plugin, in pytests of its own."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap

import pytest

from trunkline.testing.plugin import run_test

ASYNC = """
    import asyncio, pytest

    {mark}
    async def test_sleeps():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(7200)
        assert asyncio.get_running_loop().time() - before >= 7200
"""
MARK = "@pytest.mark.trunkline"


@pytest.fixture
def run(tmp_path):
    """Run pytest on a file in a process of its own: exit code and output.

    Without Hypothesis's plugin, which takes as long to load as all the rest; these tests have it beside ours.
    """

    def run(text, *options, mode=None):
        (tmp_path / "test_it.py").write_text(textwrap.dedent(text))
        lines = ["[pytest]", "addopts = --strict-markers --strict-config -p no:cacheprovider"]
        (tmp_path / "pytest.ini").write_text(
            "\n".join([*lines, *([f"trunkline_mode = {mode}"] if mode else [])]) + "\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:hypothesispytest", *options, "test_it.py"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_marked_test_runs_in_virtual_time_without_any_configuration(run):
    code, output = run(ASYNC.format(mark=MARK))
    assert code == 0, output
    assert "1 passed" in output


def test_in_auto_mode_no_mark_is_needed(run):
    code, output = run(ASYNC.format(mark=""), mode="auto")
    assert code == 0, output


def test_a_test_that_is_not_ours_is_left_to_others(run):
    code, output = run(ASYNC.format(mark=""))
    assert code == 1
    assert "async def functions are not natively supported" in output


def test_plain_tests_and_fixtures_are_as_ever(run):
    code, output = run(
        """
        import asyncio, pytest

        @pytest.fixture
        def number():
            return 1

        @pytest.fixture(autouse=True)
        def unused():
            yield

        def test_plain(number):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()

        @pytest.mark.trunkline
        @pytest.mark.parametrize("word", ["a", "b"])
        async def test_with_fixtures(number, word, tmp_path):
            assert (number, word in "ab", tmp_path.is_dir()) == (1, True, True)

        @pytest.mark.trunkline
        class TestClass:
            async def test_method(self, number):
                assert number == 1
        """
    )
    assert code == 0, output
    assert "4 passed" in output


def test_a_failure_is_a_failure(run):
    code, output = run("import pytest\n@pytest.mark.trunkline\nasync def test_it():\n    assert 'this' == 'that'\n")
    assert code == 1
    assert "AssertionError: assert 'this' == 'that'" in output


def test_a_test_that_waits_for_what_cannot_come_fails_at_once(run):
    code, output = run(
        """
        import asyncio, pytest

        @pytest.mark.trunkline
        async def test_it():
            await asyncio.Event().wait()
        """
    )
    assert code == 1
    assert "Deadlock: every Task waits" in output


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("loop.call_soon(lambda: 1 / 0)", "in the background: Exception in callback"),
        ("loop.create_task(fail())", "in the background: Task exception was never retrieved"),
    ],
)
def test_what_goes_wrong_in_the_background_fails_the_test(run, what, message):
    code, output = run(
        f"""
        import asyncio, gc, pytest

        async def fail():
            raise ZeroDivisionError

        @pytest.mark.trunkline
        async def test_it():
            loop = asyncio.get_running_loop()
            {what}
            await asyncio.sleep(1)
            gc.collect()
        """
    )
    assert code == 1
    assert message in output
    assert "ZeroDivisionError" in output


def test_of_several_failures_in_the_background_the_first_is_told():
    async def test():
        for text in ("first", "second"):
            asyncio.get_running_loop().call_soon(failing, text)
        await asyncio.sleep(1)

    def failing(text):
        raise ZeroDivisionError(text)

    with pytest.raises(AssertionError, match="^in the background: Exception in callback") as failed:
        run_test(test, {})
    assert str(failed.value.__cause__) == "first"


def test_the_example_of_the_kits_docstring_works(run, tmp_path):
    (tmp_path / "chat.py").write_text(
        textwrap.dedent(
            """
            from trunkline import collection, websocket

            people = collection("people").allow("reading", "writing")
            socket = websocket("socket")

            @socket.on("connect")
            async def connect(ctx):
                await people.doc(ctx.req.connection_id).set({})

            @socket.on("message")
            async def message(ctx):
                await socket.broadcast(ctx.req.data, to=people.query().stream(), exclude=ctx.req.connection_id)
            """
        )
    )
    from trunkline import testing

    example = testing.__doc__[testing.__doc__.index("    from") : testing.__doc__.index("Time is virtual")]
    code, output = run("    import pytest\n" + example)
    assert code == 0, output


def test_what_programs_use_under_test_can_be_noted(run, tmp_path):
    text = """
        from trunkline import collection, testing, websocket

        people = collection("people").allow("reading", "writing")

        async def test_it():
            async with testing.node([people, websocket("socket")]):
                await people.doc("a").get()
    """
    assert run(text, "--trunkline-record-usage", "usage.json", mode="auto")[0] == 0
    (used,) = json.loads((tmp_path / "usage.json").read_text())
    assert used == {"kind": "collection", "name": "people", "word": "reading", "file": "test_it.py", "line": 8}
