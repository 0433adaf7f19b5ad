"""A template in a folder of its own, loaded."""

import textwrap

import pytest

from trunkline.templates import load_template


@pytest.fixture
def app(tmp_path):
    """`app(text, files...)` loads a template whose folder has these files; `name` is that of the template."""

    def load(
        text,
        *files,
        name="template.yaml",
        region="eu-west-1",
        account="123456789012",
        imports=None,
        root=None,
        **parameters,
    ):
        folder = tmp_path / "my app"
        folder.mkdir(exist_ok=True)
        for file in files:
            path = folder / file
            if file.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"PK\5\6" + bytes(18))  # a zip file with nothing in it
        (folder / name).write_text(textwrap.dedent(text))
        return load_template(
            folder / name, parameters, region=region, account=account, imports=imports or {}, code_root=root
        )

    return load
