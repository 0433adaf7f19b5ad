"""The pages and what their blocks mean: what stands here is what CONTRIBUTING.md tells writers.

A block with a title is a file of the reader's folder; a Python file named test_* is run at once, in virtual time.
A Python block without a title is typed in a running node, where `await` works; what it prints is the next block.
In a console block, what stands behind `$` is run, and what follows is its output. With WRITE_OUTPUT=1 in the
environment, what a command really prints is written into the page instead of failing the test.
"""

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from trunkline import testing, websocket
from trunkline.testing.plugin import run_test

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
WRITING = "WRITE_OUTPUT" in os.environ
# What a reader types and nobody has to see done: it comes from elsewhere, or waits for a person.
NOT_RUN = {".", "cd", "make", "mkdir", "pip", "python3"}


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str | None
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        lines = match["text"].split("\n")
        inner = "\n".join(line.removeprefix(match["indent"]) for line in lines)
        found.append(Block(page, text[: match.start()].count("\n") + 2, match["language"], match["title"], inner))
    return found


def commands(block: Block) -> list[tuple[str, str]]:
    """Each command of a console block with the output that is shown; of a bash block, each line."""
    if block.language == "bash":
        return [(line, "") for line in block.text.splitlines() if line and not line.startswith("#")]
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.M)
    assert parts[0] == "", f"{block.where}: a console block begins with `$ `"
    return list(zip(parts[1::2], parts[2::2], strict=True))


class Reader:
    """Follows a page from its first block to its last, in an empty folder."""

    def __init__(self, page: Path, folder: Path, life: contextlib.ExitStack, run_trunkline, trunkline) -> None:
        self.page = page
        self.folder = folder
        self.run_trunkline = run_trunkline
        self.trunkline = trunkline
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.unused: set[str] = set()
        self.runner: asyncio.Runner | None = None
        self.life = life

    def follow(self) -> None:
        printed = None
        for block in blocks(self.page):
            try:
                if printed:
                    assert block.language == "text", f"what was printed is not shown: {printed}"
                    self._compare(printed, block.text, before="```text\n")
                printed = self._step(block)
            except BaseException as error:
                error.add_note(f"in the block at {block.where}")
                raise
        assert not printed, f"{self.page}: what the last block prints is not shown: {printed}"
        assert self.unused == set(), f"nobody runs these files of {self.page}"

    def _step(self, block: Block) -> str | None:
        if block.title is not None:
            self._save(block)
        elif block.language == "python":
            return self._type(block)
        elif block.language in {"console", "bash"}:
            for command, output in commands(block):
                self._run(command, output)
        return None

    def _save(self, block: Block) -> None:
        file = self.folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        if file.suffix == ".py":
            ast.parse(block.text, block.where)
            self.unused.add(block.title)
        if file.name.startswith("test_"):
            self._test(file)

    def _test(self, file: Path) -> None:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        tests = {name: value for name, value in vars(module).items() if name.startswith("test_")}
        assert tests, f"{file.name} has no test"
        for test in tests.values():
            if inspect.iscoroutinefunction(test):
                run_test(test, {})
            else:
                test()
        self._used(file.name, *re.findall(r"[\w/]+\.py", file.read_text()), *self._loaded())

    def _loaded(self) -> list[str]:
        files = [Path(getattr(module, "__file__", None) or "/") for module in list(sys.modules.values())]
        return [str(file.relative_to(self.folder)) for file in files if file.is_relative_to(self.folder)]

    def _used(self, *files: str) -> None:
        self.unused -= set(files)

    # Lines typed in a running node.

    def _type(self, block: Block) -> str:
        if self.runner is None:
            self.runner = self.life.enter_context(asyncio.Runner(loop_factory=testing.JumpingLoop))
            node = testing.node([websocket("unused")])
            self.runner.run(node.__aenter__())
            self.life.callback(lambda: self.runner.run(node.__aexit__(None, None, None)))
        code = compile(
            "\n" * (block.line - 1) + block.text, str(block.page), "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True,
        )  # fmt: skip
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.runner.run(self._evaluate(code))
        self._used(*self._loaded())
        return printed.getvalue()

    async def _evaluate(self, code) -> None:
        result = eval(code, self.names)
        if inspect.isawaitable(result):
            await result

    # Commands.

    def _run(self, command: str, output: str) -> None:
        words = shlex.split(command, comments=True)
        variables = dict(word.split("=", 1) for word in itertools.takewhile(lambda word: "=" in word, words))
        program, *arguments = words[len(variables) :]
        self._used(*arguments)
        if program == "trunkline":
            shown = self._trunkline(arguments, variables, output)
        elif program in {"pytest", "python"} and arguments[0] != "-m":
            shown = self._python(["-m", "pytest", "-p", "no:cacheprovider"] * (program == "pytest") + arguments)
        else:
            shown = self._beside(program, arguments)
        if output:
            self._compare(shown, output, before=f"$ {command}\n")

    def _compare(self, real: str, shown: str, *, before: str) -> None:
        """What came with what the page shows behind `before`."""
        lines = plain(real.replace(f"{self.folder}/", ""))
        if lines == plain(shown):
            return
        text = self.page.read_text()
        assert WRITING and before + shown in text, f"really printed:\n{real}"
        self.page.write_text(text.replace(before + shown, before + "\n".join(lines) + "\n", 1))

    def _trunkline(self, arguments: list[str], variables: dict[str, str], output: str) -> str:
        if any(word.startswith("examples/") for word in arguments):
            shutil.copytree(ROOT / "examples", self.folder / "examples", dirs_exist_ok=True)
        if output.startswith("trunkline:"):
            status, out, errors = self.trunkline(*arguments, cwd=self.folder, env=variables)
            assert (status, out) == (2, "")
            return errors
        if arguments[0] != "run":
            return self._to_its_end(arguments, variables)
        running = self.run_trunkline(*arguments[1:], cwd=self.folder, env=variables)
        assert running.stop() == (0, "", "")
        return with_usual_ports("\n".join(running.banner))

    def _to_its_end(self, arguments: list[str], variables: dict[str, str]) -> str:
        *arguments, file = arguments if ">" in arguments else [*arguments, ">", ""]
        status, out, errors = self.trunkline(*arguments[:-1], cwd=self.folder, env=variables)
        assert (status, errors) == (0, "")
        if not file:
            return out
        (self.folder / file).write_text(out)
        return ""

    def _python(self, arguments: list[str]) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _beside(self, program: str, arguments: list[str]) -> str:
        if program == "cp":
            shutil.copy(ROOT / arguments[0].removeprefix("../trunkline/"), self.folder / arguments[1])
        else:
            assert program in NOT_RUN or [program, *arguments[:2]] == ["python", "-m", "websockets"], program
        return ""


def with_usual_ports(text: str) -> str:
    port = re.search(r"listening at .*:(\d+);", text)[1]
    text = text.replace(f":{port}", ":8000")
    return re.sub(r"(admin .*):\d+/", r"\1:8001/", text)


def environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "TRUNKLINE"))}
    return ours | {"COLUMNS": "80", "NO_COLOR": "1"}


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: blanks at the end, and how long it took."""
    return [re.sub(r"in [\d.]+s", "in 0.01s", line.rstrip()) for line in text.rstrip().splitlines()]


@pytest.fixture(params=PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def page(request) -> Path:
    return request.param


@pytest.fixture
def pages():
    """The blocks of a page."""
    return blocks


@pytest.fixture
def reader(tmp_path, monkeypatch, run_trunkline, trunkline):
    """Makes a Reader of a page; what its files imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    with contextlib.ExitStack() as life:
        yield lambda page: Reader(page, tmp_path, life, run_trunkline, trunkline)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
