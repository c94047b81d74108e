"""What SpecViz runs on: locked by hash, listed with licences, as a bill of materials, looked up for known faults.

    python scripts/supply_chain.py lock      requirements.lock from what is asked for; asks the package index
    python scripts/supply_chain.py notice    NOTICE's table from the packages that are installed here; asks nobody
    python scripts/supply_chain.py sbom      sbom.cdx.json, CycloneDX, from requirements.lock; asks nobody
    python scripts/supply_chain.py audit     known vulnerabilities of what is locked; asks the index
    python scripts/supply_chain.py image     what hadolint says of the Dockerfile; asks nobody

All but `notice` call programs of requirements-supply.txt, which lie beside the Python that runs this:
`python -m venv .supply && .supply/bin/pip install -r requirements-supply.txt`. Exits with what they exit with.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK, NOTICE, SBOM = ROOT / "requirements.lock", ROOT / "NOTICE", ROOT / "sbom.cdx.json"
ASKED = ("requirements.txt", "requirements-postgresql.txt")
OLDEST_PYTHON = "3.11"
ELSEWHERE = {"colorama": "BSD-3-Clause", "psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only", "triton": "MIT"}
"""Licences of packages that not every system has."""
MARK = "Package | Version | Licence"
"""The head of NOTICE's last table, which is made here."""
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)", re.MULTILINE)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lock", "notice", "sbom", "audit", "image"))
    what = parser.parse_args().what
    if what == "notice":
        return write_notice()
    programs = {
        "lock": ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON, "--no-header"],
        "sbom": ["cyclonedx-py", "requirements", "--output-reproducible", "--output-file", str(SBOM), str(LOCK)],
        "audit": ["pip-audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--strict"],
        "image": ["hadolint", "Dockerfile"],
    }
    if what == "lock":
        programs["lock"] += ["--generate-hashes", "--no-annotate", "--output-file", str(LOCK), *ASKED]
    program, *given = programs[what]
    return subprocess.run([str(Path(sys.executable).parent / program), *given], cwd=ROOT, check=False).returncode


def write_notice() -> int:
    """Anew the table of packages; those of other systems and of GPUs, which are not here, are named as such."""
    before = NOTICE.read_text(encoding="utf-8").partition(MARK)[0]
    rows = [MARK, "--- | --- | ---", *(row_of(name, version) for name, version in pinned(LOCK))]
    NOTICE.write_text(before + "\n".join(rows) + "\n", encoding="utf-8")
    return 0


def pinned(path: Path) -> list[tuple[str, str]]:
    """Names, as indexes write them, and versions; each once, in order."""
    found = _PINNED.findall(path.read_text(encoding="utf-8"))
    return sorted({(canonical(name), version) for name, version in found})


def canonical(name: str) -> str:
    """As indexes write a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def row_of(name: str, version: str) -> str:
    """A package in the table."""
    try:
        return f"{name} | {version} | {licence(metadata.metadata(name))}"
    except metadata.PackageNotFoundError:
        other = "NVIDIA's, for CUDA" if name.startswith(("nvidia-", "cuda-")) else "not on every system; see its page"
        return f"{name} | {version} | {ELSEWHERE.get(name, other)}"


def licence(about: Message) -> str:
    """As its own metadata say it, in a few words."""
    kinds = [kind.rpartition(" :: ")[2] for kind in about.get_all("Classifier") or [] if kind.startswith("License ::")]
    said = about.get("License-Expression") or ", ".join(kinds) or (about.get("License") or "").strip()
    return said.splitlines()[0][:80] if said else "unknown"


if __name__ == "__main__":
    sys.exit(main())
