"""What of npm a template needs, and is not here."""

import json
import zipfile

import pytest

from trunkline.functions.packages import hint_of, missing_packages
from trunkline.model.functions import FunctionDefinition

CLIENT = "@aws-sdk/client-dynamodb"


def function(code=None, runtime="nodejs20.x", **more):
    return FunctionDefinition("app-Talk", "Talk", runtime, "index.handler", code=code, **more)


def inline(text, runtime="nodejs20.x"):
    return function(runtime=runtime, inline=text)


def missing(*functions, folders=(), tables=False):
    return missing_packages(functions, folders, tables=tables)


def package(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "package.json").write_text(json.dumps({"name": name, "version": "1.0.0"}))


@pytest.mark.parametrize(
    "text",
    [
        f'const {"{ DynamoDBClient }"} = require("{CLIENT}")',
        f"import {{ DynamoDBClient }} from '{CLIENT}'",
        f'import{{A}}from"{CLIENT}";',
        f'const a = await import("{CLIENT}")',
        f'require("{CLIENT}/dist-cjs/index.js")',
    ],
)
def test_what_a_function_imports_of_the_sdk_is_needed_however_it_is_written(text):
    assert missing(inline(text)) == {f"{CLIENT}@3": ("Talk",)}


def test_a_name_that_is_not_imported_is_not_needed():
    assert missing(inline(f'console.log("{CLIENT}"); require("express")')) == {}


@pytest.mark.parametrize(
    ("runtime", "needed"),
    [
        ("nodejs16.x", ["aws-sdk@2"]),
        ("nodejs18.x", [f"{CLIENT}@3"]),
        ("nodejs22.x", [f"{CLIENT}@3"]),
        ("python3.12", []),
    ],
)
def test_each_runtime_needs_the_sdk_that_lambda_has_for_it(runtime, needed):
    text = f'require("aws-sdk/clients/dynamodb"); require("{CLIENT}")'
    assert list(missing(inline(text, runtime))) == needed


def test_tables_need_dynalite_unless_it_is_there(tmp_path):
    assert missing(tables=True) == {"dynalite@4.0.0": ("the tables",)}
    package(tmp_path, "dynalite")
    assert missing(tables=True, folders=[tmp_path]) == {}


def test_the_files_of_a_function_are_read_and_those_of_its_packages_are_not(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.mjs").write_text(f'import "{CLIENT}"')
    (tmp_path / "node_modules" / "left").mkdir(parents=True)
    (tmp_path / "node_modules" / "left" / "index.js").write_text('require("@aws-sdk/client-s3")')
    (tmp_path / "notes.txt").write_text('require("@aws-sdk/client-sqs")')
    assert list(missing(function(tmp_path))) == [f"{CLIENT}@3"]


def test_two_functions_need_a_package_once(tmp_path):
    (tmp_path / "app.js").write_text(f'require("{CLIENT}")')
    other = FunctionDefinition("b", "Other", "nodejs20.x", "app.handler", code=tmp_path)
    assert missing(function(tmp_path), other) == {f"{CLIENT}@3": ("Talk", "Other")}


@pytest.mark.parametrize("place", ["code", "above", "layer", "folders"])
def test_what_node_would_find_is_not_missing(tmp_path, place):
    code, layer, given = tmp_path / "app" / "code", tmp_path / "layer", tmp_path / "given"
    code.mkdir(parents=True)
    layer.mkdir()
    (code / "app.js").write_text(f'require("{CLIENT}")')
    where = {
        "code": code / "node_modules",
        "above": tmp_path / "app" / "node_modules",
        "layer": layer / "nodejs" / "node_modules",
        "folders": given,
    }
    assert list(missing(function(code, layers=(layer,)), folders=[given])) == [f"{CLIENT}@3"]
    package(where[place], CLIENT)
    assert missing(function(code, layers=(layer,)), folders=[given]) == {}


def test_a_zip_is_looked_into(tmp_path):
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("app.js", f'require("{CLIENT}"); require("@aws-sdk/client-lambda")')
        opened.writestr(f"node_modules/{CLIENT}/package.json", "{}")
        opened.writestr("node_modules/left/index.js", 'require("@aws-sdk/client-s3")')
    assert list(missing(function(archive))) == ["@aws-sdk/client-lambda@3"]


def test_what_cannot_be_read_needs_nothing(tmp_path):
    broken = tmp_path / "code.zip"
    broken.write_bytes(b"PK no zip")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.js").write_text(f'require("{CLIENT}")')
    assert missing(function(broken)) == {}
    assert list(missing(function(tmp_path / "app", layers=(broken,)))) == [f"{CLIENT}@3"]


def test_a_bundle_has_with_it_what_it_needs(tmp_path):
    (tmp_path / "index.js").write_text(f'require("{CLIENT}")' + " " * 1_000_000)
    assert missing(function(tmp_path)) == {}


def test_code_that_is_not_there_needs_nothing(tmp_path):
    assert missing(function(tmp_path / "nowhere"), function()) == {}


@pytest.mark.parametrize(
    ("line", "runtime", "told"),
    [
        (
            "Error: Cannot find module 'aws-sdk'",
            "nodejs16.x",
            "Lambda has aws-sdk for nodejs16.x; here, install it with ",
        ),
        (
            f"Cannot find package '{CLIENT}' imported from x",
            "nodejs20.x",
            f"Lambda has {CLIENT} for nodejs20.x; here, ",
        ),
        (
            "Cannot find module 'aws-sdk/clients/s3'",
            "nodejs18.x",
            "Lambda has @aws-sdk/* for nodejs18.x, and no aws-sdk: ",
        ),
        (f"Cannot find module '{CLIENT}'", "nodejs14.x", f"Lambda has aws-sdk for nodejs14.x, and no {CLIENT}: "),
    ],
)
def test_a_line_that_misses_the_sdk_gets_a_hint(line, runtime, told):
    assert hint_of(line, inline("", runtime)).startswith(told)


@pytest.mark.parametrize("line", ["Cannot find module 'express'", "aws-sdk", "Cannot find module 'aws-sdkx'"])
def test_any_other_line_gets_none(line):
    assert hint_of(line, inline("")) is None
    assert hint_of("Cannot find module 'aws-sdk'", inline("", "python3.12")) is None


def test_a_module_of_python_that_is_not_found_gets_its_hint():
    line = "Runtime.ImportModuleError: Unable to import module 'app': No module named 'left'"
    assert hint_of(line, inline("", "python3.12")).startswith("nothing here has a module left: ")
    assert hint_of(line, inline("")) is None
