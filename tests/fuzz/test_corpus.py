"""The kept corpus of the fuzz targets is replayed, and what a target is for is seen when it is broken."""

import base64
import importlib.util
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
TARGETS = sorted(file.stem for file in (FUZZ / "targets").glob("*.py") if file.stem not in {"__init__", "pieces"})
KEPT = [(target, file) for target in TARGETS for file in sorted((FUZZ / "corpus" / target).iterdir())]


def load():
    """The targets as a package of another name: nothing of ours is called `targets`."""
    folder = FUZZ / "targets"
    spec = importlib.util.spec_from_file_location(
        "fuzz_targets", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    return {name: importlib.import_module(f"{spec.name}.{name}") for name in TARGETS}


CHECKS = load()


@pytest.fixture(autouse=True)
def closed():
    """No gateway outlives its test."""
    yield
    CHECKS["handshake"].close()


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_of_a_target_passes(target):
    kept = [file for name, file in KEPT if name == target]
    assert kept
    for file in kept:
        try:
            CHECKS[target].check(file.read_bytes())
        except BaseException as error:
            error.add_note(f"for {file.relative_to(FUZZ.parent)}")
            raise


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_at_all_passes(target):
    CHECKS[target].check(b"")


def test_every_target_has_words_and_a_corpus_and_nothing_else_has():
    assert {file.name for file in (FUZZ / "corpus").iterdir()} == set(TARGETS)
    assert {file.stem for file in (FUZZ / "dictionaries").iterdir()} == set(TARGETS)


def test_the_kept_corpus_is_small():
    assert sum(file.stat().st_size for _, file in KEPT) < 200_000


def test_the_targets_need_no_fuzzer():
    assert "atheris" not in sys.modules


# A target that cannot fail finds nothing: each is given one of our functions broken.

BROKEN = {
    "documents": ("stores.base._float", lambda value: value),
    "expressions": ("model.expressions._text", str),
    "frames": ("wire.messages.MessageParser._check_size", lambda parser, size: None),
    "handshake": ("gateway.acceptor.check_upgrade", lambda method, version, headers: "dGhlIHNhbXBsZSBub25jZQ=="),
    "ids": ("model.ids._decode", lambda text: base64.b64decode(text.encode("latin-1", "replace") + b"===", b"-_")[:13]),
    "journal": ("gateway.journal.crc32", lambda text: 0),
    "logs": ("log.escape", str),
}


@pytest.mark.parametrize("target", TARGETS)
def test_the_kept_inputs_show_what_is_broken(target, monkeypatch):
    name, replacement = BROKEN[target]
    monkeypatch.setattr(f"trunkline.{name}", replacement)
    kept = [file.read_bytes() for name, file in KEPT if name == target]
    assert any(fails(CHECKS[target].check, data) for data in kept)


def fails(check, data):
    try:
        check(data)
    except Exception:
        return True
    return False
