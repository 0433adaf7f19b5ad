"""Run Autobahn's fuzzing client against the whole gateway and count what fails.

`make autobahn` installs it (it needs CPython 2.7) and calls this with the path of `wstest`. Compression,
sections 12 and 13, is not offered by API Gateway and is left out, as are the mass tests of section 9 unless
they are asked for.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
LIMIT = 64 * 1024 * 1024  # section 9 goes to 16 MiB; sections 1 and 10 beyond AWS's 128 KiB
PASSES = {"OK", "NON-STRICT", "INFORMATIONAL"}
SECONDS = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wstest", type=Path, help="the program of autobahntestsuite")
    parser.add_argument("--cases", nargs="*", default=[f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10)])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = fuzz(options.wstest, options.cases, Path(folder))
    return report(results)


def fuzz(wstest: Path, cases: list[str], folder: Path) -> dict[str, dict[str, str]]:
    """Each case's result, by its number."""
    program = folder / "echo.py"
    program.write_text((HERE / "echo.py").read_text())
    trunkline = Path(sys.executable).with_name("trunkline")
    limits = ["--limit", f"frame_bytes={LIMIT}", "--limit", f"message_bytes={LIMIT}"]
    command = [trunkline, "run", program, "--port", "0", "--admin", "off", *limits]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = served_at(server)
            spec = folder / "spec.json"
            agent = {"agent": "trunkline", "url": url, "options": {"version": 18}}
            spec.write_text(
                json.dumps({"outdir": str(folder), "servers": [agent], "cases": cases, "exclude-cases": []})
            )
            client = [wstest, "-m", "fuzzingclient", "-s", spec]
            subprocess.run(client, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)
        finally:
            server.terminate()
    index = json.loads((folder / "index.json").read_text())
    return dict(index["trunkline"])


def served_at(server: subprocess.Popen[str]) -> str:
    """The address that the banner names."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"ws://\S+", line):
            return found.group()
    raise SystemExit("trunkline run said no address")


def report(results: dict[str, dict[str, str]]) -> int:
    """Print what each section came to; 1 if a case failed."""
    sections: dict[int, Counter[str]] = {}
    failed = []
    for case, result in sorted(results.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        outcome = {result["behavior"], result["behaviorClose"]}
        section = sections.setdefault(int(case.split(".")[0]), Counter())
        section[result["behavior"]] += 1
        if not outcome <= PASSES:
            failed.append(f"{case}: {result['behavior']}, close {result['behaviorClose']}")
    for section, counted in sections.items():
        print(f"section {section:2}:", ", ".join(f"{count} {behavior}" for behavior, count in counted.items()))
    print(*failed, sep="\n", end="\n" if failed else "")
    print(f"{len(results)} cases, {len(failed)} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
