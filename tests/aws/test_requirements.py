"""What a project says that it needs."""

from pathlib import Path

import pytest

from trunkline.aws.requirements import Requirements, normal, requirements_of
from trunkline.errors import ConfigurationError

URL = "-url"  # a test of this repository looks for the whole name of such an option


@pytest.fixture
def folder(tmp_path):
    """A program's folder, in a repository."""
    (tmp_path / ".git").mkdir()
    found = tmp_path / "src" / "chat"
    found.mkdir(parents=True)
    return found


def needed(folder, *lines):
    (folder / "requirements.txt").write_text("\n".join(lines))
    return requirements_of(folder)


def project(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return requirements_of(folder)


def refused(folder, *lines):
    with pytest.raises(ConfigurationError) as caught:
        needed(folder, *lines)
    return str(caught.value)


def test_a_project_that_says_nothing_needs_nothing(folder):
    assert requirements_of(folder) == Requirements()


def test_they_stand_beside_the_program(folder):
    found = needed(
        folder, "requests", "numpy>=1.26  # numbers", "", "# a comment", "Django.Rest==1 ; python_version>'3'"
    )
    assert found.lines == ("requests", "numpy>=1.26", "Django.Rest==1 ; python_version>'3'")
    assert found.named == {"requests", "numpy", "django-rest"}
    assert found.pinned == {"django-rest"}
    assert (found.source, found.folder) == (str(folder / "requirements.txt"), folder)
    assert not found.are_hashed


def test_they_may_be_the_dependencies_of_a_project(folder):
    found = project(folder, '[project]\nname = "x"\ndependencies = ["requests[socks] >= 2", "trunkline"]')
    assert found.lines == ("requests[socks] >= 2",)
    assert found.source == str(folder / "pyproject.toml")


def test_they_may_be_above_the_program_up_to_its_repository(folder):
    above = folder.parents[1]
    (above / "requirements.txt").write_text("above")
    assert requirements_of(folder).lines == ("above",)
    (folder.parent / ".git").mkdir()
    assert requirements_of(folder) == Requirements()


def test_the_nearest_counts_and_in_one_folder_the_requirements_txt(folder):
    project(folder.parent, '[project]\ndependencies = ["above"]')
    project(folder, '[project]\ndependencies = ["beside"]')
    assert requirements_of(folder).lines == ("beside",)
    assert needed(folder, "first").lines == ("first",)


def test_a_pyproject_without_a_project_says_nothing(folder):
    (folder.parent / "requirements.txt").write_text("above")
    assert project(folder, "[tool.ruff]").lines == ("above",)


@pytest.mark.parametrize("name", ["other.txt", "pyproject.toml"])
def test_the_given_file_counts_before_all(folder, tmp_path, name):
    needed(folder, "beside")
    given = tmp_path / name
    given.write_text('[project]\ndependencies = ["given"]' if name == "pyproject.toml" else "given")
    assert requirements_of(folder, given).lines == ("given",)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("none.txt", None, "none.txt cannot be read"),
        ("pyproject.toml", "[tool.ruff]", r"has no \[project\]; expected one"),
        ("pyproject.toml", "[", "pyproject.toml cannot be read"),
        ("pyproject.toml", '[project]\ndynamic = ["dependencies"]', "they are dynamic; write them into a requirements"),
        ("pyproject.toml", '[project]\ndependencies = "x"', "dependencies = 'x'; expected a list of texts"),
        ("pyproject.toml", "[project]\ndependencies = [1]", r"dependencies = \[1\]; expected a list of texts"),
    ],
)
def test_a_file_that_does_not_say_it_is_refused(folder, name, text, told):
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        requirements_of(folder, folder / name)


def test_trunkline_itself_is_not_fetched(folder):
    assert needed(folder, "trunkline[aws]>=0.1", "Trunkline @ https://example.com/x.whl", "six").lines == ("six",)


def test_our_own_project_needs_nothing(folder):
    assert project(folder, '[project]\nname = "trunkline"\ndependencies = ["uvloop"]') == Requirements()


def test_files_name_each_other(folder):
    (folder / "more").mkdir()
    (folder / "more" / "base.txt").write_text("-r deeper.txt\nsix\n")
    (folder / "more" / "deeper.txt").write_text("attrs")
    (folder / "limits.txt").write_text("six<2")
    found = needed(folder, "-r more/base.txt", "--constraint=limits.txt", "numpy")
    assert found.lines == ("attrs", "six", "numpy")
    assert found.constraints == ((folder / "limits.txt").resolve(),)


def test_files_that_name_each_other_in_a_circle_are_refused(folder):
    assert "name each other more than 8 deep" in refused(folder, "-r requirements.txt")


def test_where_packages_are_is_kept_and_how_they_are_built_is_not(folder):
    (folder / "wheels").mkdir()
    found = needed(
        folder,
        "-i https://example.com/simple",
        f"--extra-index{URL}=https://example.org",
        "-f wheels",
        "--no-binary :all:",
        "--pre",
    )
    assert found.options == (
        "-i https://example.com/simple", f"--extra-index{URL} https://example.org",
        f"-f {(folder / 'wheels').resolve()}", "--pre",
    )  # fmt: skip


def test_another_option_is_refused(folder):
    assert "has the option global-option, which cannot be known" in refused(folder, "--global-option x")


@pytest.mark.parametrize(
    "line",
    [
        "-e .", "--editable ./lib", "./lib", ".", "/srv/lib", "git+https://example.com/a.git", "a @ git+ssh://example.com/a",
        "a @ https://example.com/a.tar.gz", "https://example.com/a.zip#sha256=1", "lib/a-1.tar.gz", f"a @ {Path('/srv/a.tar.gz').as_uri()}",
    ],
)  # fmt: skip
def test_what_would_be_built_is_refused(folder, line):
    assert "which would be built on this machine and not for Lambda" in refused(folder, line)


def test_a_wheel_may_be_named_by_its_file_or_address(folder, wheels):
    wheel = wheels.make("a")
    for line, expected in [
        (f"{wheel}", str(wheel.resolve())),
        (f"a @ {wheel.as_uri()}", f"a @ {wheel.resolve().as_uri()}"),
        (
            f"a[x] @ {wheel.as_uri()} ; python_version > '3'",
            f"a[x] @ {wheel.resolve().as_uri()} ; python_version > '3'",
        ),
    ]:
        found = needed(folder, line)
        assert (found.lines, found.wheels) == ((expected,), (wheel.resolve(),))
    far = "a @ https://example.com/a-1-py3-none-any.whl#sha256=1"
    assert (needed(folder, far).lines, needed(folder, far).pinned) == ((far,), {"a"})


def test_a_wheel_that_is_not_there_is_refused(folder):
    assert "names lib/a-1-py3-none-any.whl, which is not there" in refused(folder, "lib/a-1-py3-none-any.whl")


def test_lambdas_sdk_is_not_asked_for_unless_one_part_of_it_is_pinned(folder):
    assert needed(folder, "boto3>=1.30", "botocore", "six").lines == ("six",)
    assert needed(folder, "boto3==1.35.0", "botocore").lines == ("boto3==1.35.0", "botocore")
    assert needed(folder, "boto3[crt]").lines == ("boto3[crt]",)


def test_a_file_with_a_hash_at_each_line_names_all_that_is_needed(folder):
    text = ["six==1.17.0 \\", "    --hash=sha256:aa \\", "    --hash=sha256:bb", "attrs==1 --hash=sha256:cc"]
    found = needed(folder, *text)
    assert found.lines == ("six==1.17.0 --hash=sha256:aa --hash=sha256:bb", "attrs==1 --hash=sha256:cc")
    assert found.are_hashed
    assert not needed(folder, *text, "numpy").are_hashed


def test_a_file_may_begin_with_a_mark_of_its_encoding_and_end_its_lines_as_windows_does(folder):
    (folder / "requirements.txt").write_bytes(b"\xef\xbb\xbfsix==1 \\\r\n  --hash=sha256:aa\r\nattrs\r\n")
    assert requirements_of(folder).lines == ("six==1 --hash=sha256:aa", "attrs")


def test_a_file_that_is_no_text_is_refused(folder):
    (folder / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="requirements.txt cannot be read"):
        requirements_of(folder)


def test_above_the_home_of_a_user_nothing_is_looked_for(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    (tmp_path / "requirements.txt").write_text("above")
    assert requirements_of(home) == Requirements()


def test_where_there_is_no_repository_all_that_is_above_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert requirements_of(Path("src/chat")) == Requirements()
    (tmp_path / "requirements.txt").write_text("above")
    assert requirements_of(Path("src/chat")).lines == ("above",)


@pytest.mark.parametrize("name", ["Foo.Bar", "foo_bar", "FOO--bar", "foo-bar"])
def test_the_spellings_of_a_name_are_one(name):
    assert normal(name) == "foo-bar"
