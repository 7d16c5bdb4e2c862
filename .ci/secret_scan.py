"""
Look for secrets in tracked files; fail on one that `.secrets.baseline` does not list.

detect-secrets' own hook also fails when a listed line moves; this compares file and digest only. `--accept` writes
the baseline anew, after somebody looked at each finding: what is listed is never reported again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BASELINE = Path(".secrets.baseline")
NOT_SCANNED = r"^(requirements/.*\.txt|\.secrets\.baseline)$"  # hashes of packages, digests of findings
SAYS_THAT_IT_IS_FAKE = r"(?i)test|example|sandbox"  # STYLE: a made-up key says so

Findings = dict[str, dict[str, str]]
"""File -> digest of the finding -> what kind it is, with its line."""


def scan() -> Findings:
    """Return what the scanner finds in tracked files."""
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S607
    filters = ["--exclude-files", NOT_SCANNED, "--exclude-secrets", SAYS_THAT_IT_IS_FAKE]
    scanner = [str(Path(sys.executable).parent / "detect-secrets"), "scan", *filters, *tracked]
    found = json.loads(subprocess.run(scanner, capture_output=True, text=True, check=True).stdout)["results"]  # noqa: S603
    return {
        file: {entry["hashed_secret"]: f"{entry['type']} in line {entry['line_number']}" for entry in entries}
        for file, entries in sorted(found.items())
    }


def main() -> int:
    """Compare or accept; return the exit code."""
    found = scan()
    if sys.argv[1:] == ["--accept"]:
        kinds = {
            file: {digest: kind.split(" in line")[0] for digest, kind in sorted(entries.items())}
            for file, entries in found.items()
        }
        BASELINE.write_text(json.dumps(kinds, indent=1) + "\n")
        return 0
    known: Findings = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    fresh = [
        f"{file}: {kind}"
        for file, entries in found.items()
        for digest, kind in entries.items()
        if digest not in known.get(file, {})
    ]
    if fresh:
        sys.stdout.write(
            "Possible secrets:\n" + "\n".join(fresh) + "\nRemove them, or `make baseline` after looking.\n"
        )
    return 1 if fresh else 0


if __name__ == "__main__":
    sys.exit(main())
