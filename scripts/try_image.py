"""Do what the Dockerfile says in a clean root, without a container engine, and look whether the page answers there.

    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm ROOT
    sudo python scripts/try_image.py ROOT --requirements requirements.txt --port 7999

Steps run in a chroot; what is started runs as the image's user in a mount namespace of its own, where everything but
/data and /tmp can only be read. ROOT is Debian's Python in place of the image's; both stages are built in it, and it
shares this machine's network and its packages' index. Nothing is read from the project but what .dockerignore lets
through. What is looked at: health, page, a run over the API, what was written, and the run again after a restart.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PATIENCE_S = 900
BORROWED = ("/etc/resolv.conf", "/etc/hosts", "/etc/xdg/pip", "/etc/ssl/certs/ca-certificates.crt")
"""Of this machine: how its package index is found."""


@dataclass
class Image:
    """What the Dockerfile's instructions have made so far."""

    root: Path
    arguments: dict[str, str]
    places: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"
    commands: dict[str, list[str]] = field(default_factory=dict)

    def do(self, instruction: str, rest: str) -> None:
        """One instruction. Raises CalledProcessError, or ValueError for one that is not known here."""
        print(f"{instruction} {rest[:100]}", flush=True)
        match instruction:
            case "FROM":
                self.variables, self.folder, self.user = {}, "/", "0"
            case "ARG":
                name, _, default = rest.partition("=")
                self.arguments.setdefault(name, os.environ.get(name, default))
            case "ENV":
                for part in shlex.split(rest):
                    name, _, value = part.partition("=")
                    self.variables[name] = value.replace("$PATH", os.environ["PATH"])
            case "WORKDIR":
                self.folder = rest
                (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "RUN":
                self.run(["sh", "-c", rest]).check_returncode()
            case "COPY":
                self.copy(rest)
            case "USER":
                self.user = rest
            case "CMD" | "HEALTHCHECK":
                self.commands[instruction] = json.loads(rest[rest.index("[") :])
            case "VOLUME" | "EXPOSE":
                pass
            case _:
                raise ValueError(f"{instruction} is not known here")

    def run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        """In the root as its administrator."""
        inside = ["chroot", str(self.root), "sh", "-c", 'cd "$0" && exec "$@"', self.folder, *command]
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        given = {name: value for name, value in self.arguments.items() if value}
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root"}
        return subprocess.run(inside, env={**pip, **path, **given, **self.variables}, check=False)

    def copy(self, rest: str) -> None:
        """Files of the project; what comes from a former stage is in its place already."""
        if rest.startswith("--from="):
            return
        *names, into = rest.split()
        at = self.root / os.path.normpath(f"{self.folder}/{into}").lstrip("/")
        for name in context():
            if names == ["."] or name in names:
                (at / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(PROJECT / name, at / name)

    def started(self, command: list[str], extra: dict[str, str]) -> subprocess.Popen[bytes]:
        """The image's command as its user, where only /data and /tmp can be written."""
        script = (
            'mount --bind "$0" "$0" && mount --bind "$0/data" "$0/data" && mount -o remount,bind,ro "$0"'
            ' && mount -t tmpfs tmpfs "$0/tmp" && mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev"'
            ' && exec chroot --userspec="$1" "$0" sh -c \'cd "$0" && exec "$@"\' "${@:2}"'
        )
        asked = ["unshare", "-m", "bash", "-c", script, str(self.root), f"{self.user}:{self.user}", self.folder]
        return subprocess.Popen([*asked, *command], env={**self.variables, **extra})


def context() -> list[str]:
    """What the builder is sent: files in git that .dockerignore does not leave out."""
    named = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True).stdout.decode()
    lines = [line.strip() for line in (PROJECT / ".dockerignore").read_text().splitlines()]
    rules = [line for line in lines if line and not line.startswith("#")]
    return [name for name in named.split("\0") if name and not _is_left_out(name, rules)]


def _is_left_out(name: str, rules: list[str]) -> bool:
    is_out = False
    for rule in rules:
        wanted = rule.removeprefix("!").removeprefix("**/")
        above = [name, *map(str, Path(name).parents)]
        if any(fnmatch.fnmatch(one, wanted) for one in above):
            is_out = not rule.startswith("!")
    return is_out


def instructions() -> Iterator[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def lend(image: Image) -> None:
    """The ways to the package index."""
    for place in (*BORROWED, *image.places):
        if Path(place).exists():
            at = image.root / place.lstrip("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            if Path(place).is_dir():
                shutil.copytree(place, at, dirs_exist_ok=True)
            else:
                shutil.copyfile(place, at)


def build(image: Image) -> None:
    lend(image)
    python = image.root / "usr/bin/python"
    if not python.exists():
        python.symlink_to("python3")  # as the image calls it
    for instruction, rest in instructions():
        image.do(instruction, rest)


def ask(port: int, path: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def call(port: int, name: str, **values: object) -> dict[str, object]:
    event = json.loads(ask(port, f"/gradio_api/call/v2/{name}", values))["event_id"]
    *_, last = ask(port, f"/gradio_api/call/{name}/{event}").strip().split("\n\n")
    return dict(json.loads(last.partition("data: ")[2])[0])


def serve(image: Image, port: int, known: str = "") -> str:
    """Start it, look at it, and end it; the id of a run that it decoded, or showed again."""
    process = image.started(image.commands["CMD"], {"GRADIO_SERVER_PORT": str(port), "SPECVIZ_MODEL": "story"})
    until = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError):
                print("health:", ask(port, "/specviz/health"), flush=True)
                break
            time.sleep(1)
        print("page:", len(ask(port, "/")), "characters", flush=True)
        run = call(port, "get", run_id=known) if known else call(port, "generate", prompt="A story.", max_new_tokens=16)
        print("run:", run["id"], run["status"], run["emitted"], "tokens", run.get("verdict"), flush=True)
        return str(run["id"])
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--requirements", default="requirements.lock", help="the Dockerfile's REQUIREMENTS")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--lend", nargs="*", default=[], help="folders of this machine that its pip finds packages in")
    flags = parser.parse_args()
    image = Image(flags.root.resolve(), {"REQUIREMENTS": flags.requirements}, flags.lend)
    build(image)
    run = serve(image, flags.port)
    again = serve(image, flags.port, known=run)
    newest = subprocess.run(
        [
            "find",
            str(image.root),
            "-xdev",
            "-user",
            image.user,
            "-not",
            "-path",
            "*/data*",
            "-newer",
            str(image.root / "data"),
        ],
        capture_output=True,
        check=True,
    ).stdout.decode()
    kept = sorted(path.name for path in (image.root / "data").iterdir())
    print("in /data:", ", ".join(kept), "; written elsewhere:", newest.split() or "nothing")
    return 0 if run == again and not newest else 1


if __name__ == "__main__":
    sys.exit(main())
