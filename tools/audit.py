"""Audits what automtl installs with its extras: licences, known vulnerabilities, and a bill of materials.

    python tools/audit.py PYTHON OUT

PYTHON: the interpreter of an environment that holds automtl and what it needs, and nothing else. Writes `licences.json`
and `automtl.cdx.json` (CycloneDX) into the folder OUT. Needs pip-licenses, cyclonedx-bom and pip-audit beside itself;
`make audit` sets both environments up. Exit code 1 if a licence is not allowed or a vulnerability is known.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ALLOWED = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Zlib|ZPL|CC0|BSL|HPND|Unlicense)\b"
    r"|Permission is hereby granted"
)
REFUSED = re.compile(r"GPL|Affero|SSPL|Proprietary|Commercial|UNKNOWN", re.IGNORECASE)


def licence_problems(found: list[dict[str, Any]]) -> list[str]:
    """Return a line for each package whose licence is none of those that bind nobody who uses the package.

    found: of each package its Name, Version and License, as pip-licenses gives them.

    >>> licence_problems([{"Name": "ecos", "Version": "2.0", "License": "GPLv3"}])
    ['ecos 2.0: GPLv3']
    """
    return [
        f"{one['Name']} {one['Version']}: {one['License'].splitlines()[0] if one['License'] else 'none named'}"
        for one in found
        if REFUSED.search(one["License"]) or not ALLOWED.search(one["License"])
    ]


def vulnerabilities(report: dict[str, Any]) -> list[str]:
    """Return a line for each known vulnerability in a report of pip-audit."""
    return [
        f"{package['name']} {package['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'none'}"
        for package in report["dependencies"]
        for one in package.get("vulns", ())
    ]


def main() -> int:
    """Run the three audits."""
    python, out = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    own = Path(sys.executable).parent
    licences = _output(str(own / "pip-licenses"), "--python", str(python), "--format", "json", "--with-urls")
    (out / "licences.json").write_text(licences.stdout)
    found = json.loads(licences.stdout)
    problems = licence_problems(found)
    print(f"licences: {len(found)} packages, {len(problems)} not allowed")

    bill = out / "automtl.cdx.json"
    made = _output(
        str(own / "cyclonedx-py"), "environment", str(python), "--pyproject", str(ROOT / "pyproject.toml"),
        "--of", "JSON", "--output-file", str(bill), "--output-reproducible",
    )  # fmt: skip
    if made.returncode:
        raise SystemExit(made.stderr)
    print(f"bill of materials: {len(json.loads(bill.read_text())['components'])} components, {bill}")

    site = _output(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    audit = _output(str(own / "pip-audit"), "--path", site, "--format", "json", "--progress-spinner", "off")
    try:
        found_of = json.loads(audit.stdout)
        known = vulnerabilities(found_of)
        every = found_of["dependencies"]
        asked = sum("skip_reason" not in package for package in every)
        print(f"vulnerabilities: {len(known)} known; data were had on {asked} of {len(every)} packages")
    except ValueError:
        known = []
        print(f"vulnerabilities: not looked up, {(audit.stderr.strip().splitlines() or ['no answer'])[-1][:200]}")
    for line in (*problems, *known):
        print(f"  {line}")
    return 1 if problems or known else 0


def _output(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
