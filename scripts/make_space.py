"""Make a folder that can be pushed to a Hugging Face Space as it is.

    python scripts/make_space.py docker OUT         a container; what it keeps lies in /data
    python scripts/make_space.py cpu OUT            Gradio's SDK on a CPU, PyTorch without CUDA
    python scripts/make_space.py gpu OUT            Gradio's SDK on a GPU of its own
    python scripts/make_space.py zerogpu OUT        Gradio's SDK, a shared GPU lent for each run
    hf upload USER/SPACE OUT . --repo-type space

docs/hosting.md says what each is good for, and what outlives a restart there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("app.py", "engine", "specviz", "assets", "docs", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE")
LEFT_OUT = ("docs/images/",)
FILES = {
    "docker": (
        "Dockerfile",
        ".dockerignore",
        "requirements.txt",
        "requirements-cpu.txt",
        "requirements-postgresql.txt",
        "requirements.lock",
    ),
    "cpu": (),
    "gpu": (),
    "zerogpu": (),
}
REQUIREMENTS = {"cpu": "requirements-cpu.txt", "gpu": "requirements.txt", "zerogpu": "requirements-zerogpu.txt"}
"""What becomes the requirements.txt of a Space that reads one file."""
CHANGED = {
    "docker": {"sdk": "docker", "app_port": "7860", "sdk_version": "", "app_file": "", "python_version": ""},
    "cpu": {"suggested_hardware": "cpu-basic"},
    "gpu": {"suggested_hardware": "t4-small", "startup_duration_timeout": "1h"},
    "zerogpu": {"suggested_hardware": "zero-a10g", "startup_duration_timeout": "1h"},
}
"""Keys of the README's front matter that are other ones there; an empty one is left out."""
LARGE = "\n".join(f"*.{end} filter=lfs diff=lfs merge=lfs -text" for end in ("safetensors", "npz", "png")) + "\n"
"""The Hub takes binary files, and whatever is above 10 MiB, through LFS alone."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(CHANGED))
    parser.add_argument("out", type=Path)
    flags = parser.parse_args()
    if flags.out.exists() and any(flags.out.iterdir()):
        print(f"{flags.out} is not empty.", file=sys.stderr)
        return 2
    make(flags.kind, flags.out)
    return 0


def make(kind: str, out: Path) -> None:
    """The folder of this kind."""
    known = subprocess.run(["git", "ls-files", "-z", *NEEDED, *FILES[kind]], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, known.stdout.decode().split("\0")):
        if not name.startswith(LEFT_OUT):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, out / name)
    (out / "README.md").write_text(with_front_matter((ROOT / "README.md").read_text(encoding="utf-8"), CHANGED[kind]))
    (out / ".gitattributes").write_text(LARGE)
    if kind in REQUIREMENTS:
        (out / "requirements.txt").write_text(flattened(ROOT / REQUIREMENTS[kind]))


def with_front_matter(readme: str, changed: dict[str, str]) -> str:
    """The README with some keys of its front matter changed, added or left out."""
    _, front, body = readme.split("---\n", 2)
    lines = [line for line in front.splitlines() if line.partition(":")[0] not in changed]
    lines += [f"{key}: {value}" for key, value in changed.items() if value]
    return "---\n" + "\n".join(lines) + "\n---\n" + body


def flattened(path: Path) -> str:
    """Requirements with those that they name in place of their names: a Space reads one file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(flattened(path.parent / line[3:]).rstrip() if line[:3] == "-r " else line for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
