"""Fuzzes the targets one after another with atheris, each for SECONDS (30), from its kept corpus.

    python fuzz/run.py [--keep] [TARGET...]

Exits with 1 if something was found; the input that shows it is in `fuzz/findings/`. What coverage grew by stays in
`fuzz/grown/` for the next run. `--keep` fuzzes nothing: it makes the kept corpus anew, of the fewest inputs that cover
what all of them do.
"""

import importlib
import os
import re
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import corpus

HERE = Path(__file__).parent
BOUNDS = ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]
INPUT_BYTES = 1024
KEPT_BYTES = 400  # of one input in the kept corpus, which is to stay small


def main(arguments):
    sys.path.insert(0, str(HERE.parent / "src"))
    if arguments[:1] == ["--only"]:
        fuzz(arguments[1], arguments[2:])
    keeping = arguments[:1] == ["--keep"]
    chosen = arguments[keeping:] or corpus.TARGETS
    if unknown := set(chosen) - set(corpus.TARGETS):
        sys.exit(f"there is no target {', '.join(unknown)}; there are {', '.join(corpus.TARGETS)}")
    if keeping:
        for name in chosen:
            keep(name)
        return
    failed = [name for name in chosen if not run(name, int(os.environ.get("SECONDS") or 30))]
    if failed:
        sys.exit(f"found something: {', '.join(failed)}; the inputs are in fuzz/findings/")


def fuzz(name, options):
    """In a process of its own, which this ends."""
    import atheris

    with atheris.instrument_imports(include=["trunkline"]):
        target = importlib.import_module(f"targets.{name}")
    itself = f"{sys.executable} {__file__} --only {name}"  # merging starts it again and again
    atheris.Setup([itself, *options], target.check)
    atheris.Fuzz()


def grown(name):
    """The folder of what has grown, with what is kept in it."""
    path = HERE / "grown" / name
    path.mkdir(parents=True, exist_ok=True)
    for data in corpus.read(name):
        (path / sha256(data).hexdigest()).write_bytes(data)
    return path


def run(name, seconds):
    """Whether nothing was found; what was is told, with where it is stored."""
    done = process(name, f"-max_len={INPUT_BYTES}", f"-max_total_time={seconds}", grown(name))
    executed = int((re.search(r"^stat::number_of_executed_units: *(\d+)", done.stderr, re.MULTILINE) or "00")[1])
    said = "nothing found" if done.returncode == 0 else "FOUND"
    print(f"{name}: {executed:,} executions in {seconds} s, {said}", flush=True)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        print("\n".join(line for line in lines if not line.startswith("INFO: ")), flush=True)
    return done.returncode == 0


def process(name, *options):
    findings = HERE / "findings" / name
    findings.mkdir(parents=True, exist_ok=True)
    files = [f"-dict={HERE / 'dictionaries' / name}.txt", f"-artifact_prefix={findings}/"]
    command = [sys.executable, __file__, "--only", name, *BOUNDS, *files, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def keep(name):
    """The kept corpus from what was kept and what has grown."""
    with tempfile.TemporaryDirectory() as merged:
        done = process(name, "-set_cover_merge=1", f"-max_len={KEPT_BYTES}", merged, grown(name))
        inputs = [file.read_bytes() for file in Path(merged).iterdir()]
        assert done.returncode == 0, done.stderr
        assert inputs, done.stderr
    corpus.write(name, inputs)
    print(f"{name}: {len(inputs)} inputs, {sum(map(len, inputs)):,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
