"""The kept corpus of the fuzz targets is replayed, and what a target is for is seen when it is broken."""

import base64
import importlib.util
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"


def load(name, file, **options):
    """A module of the fuzz folder; nothing of ours is called `corpus` or `targets`."""
    spec = importlib.util.spec_from_file_location(name, file, **options)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


corpus = load("fuzz_corpus", FUZZ / "corpus.py")
load("fuzz_targets", FUZZ / "targets" / "__init__.py", submodule_search_locations=[str(FUZZ / "targets")])
CHECKS = {name: importlib.import_module(f"fuzz_targets.{name}") for name in corpus.TARGETS}


@pytest.fixture(autouse=True)
def closed():
    """No gateway outlives its test."""
    yield
    CHECKS["handshake"].close()


@pytest.mark.parametrize("target", CHECKS)
def test_every_kept_input_of_a_target_passes(target):
    kept = corpus.read(target)
    assert kept
    for data in kept:
        try:
            CHECKS[target].check(data)
        except BaseException as error:
            error.add_note(f"for {data!r}")
            raise


@pytest.mark.parametrize("target", CHECKS)
def test_no_input_at_all_passes(target):
    CHECKS[target].check(b"")


def test_every_target_has_a_corpus_and_words():
    targets = {file.stem for file in (FUZZ / "targets").glob("*.py")} - {"__init__", "pieces"}
    assert set(CHECKS) == targets == {file.stem for file in (FUZZ / "dictionaries").iterdir()}


def test_the_kept_corpus_is_small():
    assert sum(file.stat().st_size for file in (FUZZ / "corpus").iterdir()) < 200_000


def test_the_corpus_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    inputs = [b"", b"\n", b"'\"\\", bytes(range(256))]
    corpus.write("x", [*inputs, *inputs])
    assert corpus.read("x") == sorted(inputs, key=len)


def test_the_targets_need_no_fuzzer():
    assert "atheris" not in sys.modules


# A target that cannot fail finds nothing: each is given one of our functions broken.

BROKEN = {
    "documents": ("stores.base._float", lambda value: value),
    "expressions": ("model.expressions.text_of", str),
    "frames": ("wire.messages.MessageParser._end", lambda parser: None),
    "handshake": ("gateway.acceptor.check_upgrade", lambda method, version, headers: "dGhlIHNhbXBsZSBub25jZQ=="),
    "ids": ("model.ids._decode", lambda text: base64.b64decode(text.encode("latin-1", "replace") + b"===", b"-_")[:13]),
    "journal": ("gateway.journal.crc32", lambda text: 0),
    "logs": ("log.escape", str),
}


@pytest.mark.parametrize("target", CHECKS)
def test_the_kept_inputs_show_what_is_broken(target, monkeypatch):
    name, replacement = BROKEN[target]
    monkeypatch.setattr(f"trunkline.{name}", replacement)
    assert any(fails(CHECKS[target].check, data) for data in corpus.read(target))


def fails(check, data):
    try:
        check(data)
    except Exception:
        return True
    return False
