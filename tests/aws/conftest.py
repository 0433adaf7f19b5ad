"""Programs for the tests of this folder, and packages that a test makes itself, so that no index is asked for them."""

import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from trunkline.aws.program import aws_program
from trunkline.functions.npm import find_node
from trunkline.templates.intrinsics import Resolver
from trunkline.templates.loader import load_document

HERE = Path(__file__).parent
NODE = HERE.parents[1] / ".venv" / "node"  # where scripts/install puts what npm has
PSEUDO = {
    "AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
}  # fmt: skip


@pytest.fixture
def on_aws(tmp_path, monkeypatch):
    """What files that are written into a folder of their own are on AWS: `on_aws(chat="...")` is `chat.py`."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)

    def load(*programs, **files):
        for name, text in files.items():
            file = tmp_path / f"{name.replace('__', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return aws_program(programs or [f"{name}.py" for name in files])

    yield load
    for name in set(sys.modules) - known:
        del sys.modules[name]


class Wheels:
    """A project's folder with a requirements.txt, and wheels beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.place = folder / "wheels"
        self.place.mkdir(parents=True)

    def make(self, name, version="1.0", *, needs=(), tag="py3-none-any", told="", files=None):
        """A wheel; without files it has one module of its name. What it tells of its tag may be another."""
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        needed = "".join(f"Requires-Dist: {one}\n" for one in needs)
        content = {
            **({f"{module}.py": "x = 1\n"} if files is None else files),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}\nRequires-Dist: none\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {told or tag}\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:x\n",
        }
        content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
        file = self.place / f"{module}-{version}-{tag}.whl"
        with zipfile.ZipFile(file, "w") as archive:
            for path, text in content.items():
                archive.writestr(path, text)
        return file

    def require(self, *lines):
        """Write the requirements.txt, which has everything from these wheels."""
        file = self.folder / "requirements.txt"
        file.write_text("\n".join(["--no-index", "-f wheels", *lines, ""]))
        return file


@pytest.fixture
def wheels(tmp_path):
    return Wheels(tmp_path / "project")


@pytest.fixture
def roles():
    """The roles of a template's file: by logical id their policy, with the ARNs that it would have in AWS."""

    def read(file):
        document = load_document(Path(file))
        resolver = Resolver(document, document.data, PSEUDO, "stack")
        made = {}
        for name, resource in document.data["Resources"].items():
            if resource["Type"] == "AWS::IAM::Role":
                (policy,) = resource["Properties"]["Policies"]
                made[name] = resolver.resolve(policy["PolicyDocument"], "Resources", name)
        return made

    return read


@pytest.fixture(scope="session")
def may():
    """Whether roles may do something, by a simulator of IAM: `may(policies, [(role, action, ARN), ...])`."""

    def ask(policies, requests):
        asked = json.dumps({"policies": policies, "requests": requests})
        command = [find_node(), "-e", (HERE / "simulate.cjs").read_text()]
        done = subprocess.run(command, cwd=NODE, input=asked, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        answers = json.loads(done.stdout)
        assert {type(answer) for answer in answers} <= {bool}, answers
        return answers

    return ask
