"""Start a public instance and try what a stranger may try: each is refused in a sentence, and others go on unharmed.

    python scripts/try_public.py
    python scripts/try_public.py --imports any      the same where files of runs are taken

The instance is `app.py --public` with the embedded model and a database of its own, thrown away afterwards. Addresses
of visitors are made up, as a proxy would tell them. Prints a table; exits with 1 where something went through.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 400.0
STRANGER, BYSTANDER = "203.0.113.7", "198.51.100.9"
EVIL = "https://evil.example"
NUM_RACES, NUM_PLACES = 17, 2
TOO_MUCH = ("wanted at most 2,000", "takes no files", "more than this server takes")
"""What a file of such a step may be refused with."""
NUM_NODES = 30_000


@dataclass
class Instance:
    """The server that is tried."""

    url: str
    seen: list[tuple[str, str, bool]] = field(default_factory=list)
    """What was tried, what came of it, and whether that is right."""

    def client(self, address: str) -> httpx.Client:
        """A program at an address."""
        return httpx.Client(base_url=self.url, headers={"X-Forwarded-For": address}, timeout=PATIENCE_S)

    def call(self, name: str, given: list[Any], address: str) -> Any:
        """What an endpoint answers to these and else its own defaults; a sentence of its own as an exception."""
        with self.client(address) as client:
            wanted = client.get("/gradio_api/info").json()["named_endpoints"][f"/{name}"]["parameters"]
            data = [*given, *(one.get("parameter_default") for one in wanted[len(given) :])]
            asked = client.post(f"/gradio_api/call/{name}", json={"data": data})
            if asked.is_error:
                raise Said(asked.json()["detail"])
            with client.stream("GET", f"/gradio_api/call/{name}/{asked.json()['event_id']}") as answer:
                return _last(answer.iter_lines())

    def serve(self, elem_id: str, name: str, given: Any) -> httpx.Response:
        """What one of the page's components answers."""
        with self.client(STRANGER) as client:
            parts = client.get("/config").json()["components"]
            component = next(part["id"] for part in parts if part["props"].get("elem_id") == elem_id)
            body = {"data": given, "component_id": component, "fn_name": name, "session_hash": "stranger"}
            return client.post("/gradio_api/component_server", json=body)

    def note(self, what: str, came: str, is_right: bool) -> None:
        """Into the table."""
        self.seen.append((what, came, is_right))
        print(f"| {what} | {came} | {'yes' if is_right else 'NO'} |", flush=True)


class Said(Exception):
    """The instance refused, in this sentence."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imports", default="off", choices=("off", "small", "any"))
    flags = parser.parse_args()
    print("| tried | what came of it | as it should be |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), flags.imports) as instance:
        known = instance.call("generate", ["The first run.", "plain", 8], BYSTANDER)["id"]
        for trial in (parallel_races, large_models, other_sites, large_bodies, hostile_import, broken_requests):
            trial(instance)
            unharmed(instance, known, trial.__name__.replace("_", " "))
    return 0 if all(is_right for _, _, is_right in instance.seen) else 1


@contextlib.contextmanager
def running(folder: Path, imports: str) -> Iterator[Instance]:
    """The instance, until the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--public", "--proxies", "1", "--imports", imports, "--port", str(port), "--db", str(folder / "runs.db")]
    flags += ["--run-seconds", "20", "--race-seconds", "40", "--sharing", "listed"]  # so that trials are short and seen
    environment = {**os.environ, "SPECVIZ_MODEL": "story", "HF_HUB_OFFLINE": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py"), *flags], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            instance = Instance(f"http://127.0.0.1:{port}")
            wait_until(lambda: httpx.get(instance.url).is_success)
            yield instance
        finally:
            process.terminate()
            process.wait(60)


def parallel_races(instance: Instance) -> None:
    """A loop that asks for races of eight methods at once, from one address; another visitor runs beside it."""
    methods = ["plain", "draft_model", "prompt_lookup", "aded", "token_recycling", "jacobi", "lookahead", "copyspec"]
    said: list[str] = []
    answered: list[Any] = []

    def race() -> None:
        try:
            answered.append(instance.call("compare", ["Tell a story.", methods, 512], STRANGER))
        except Said as refusal:
            said.append(str(refusal))

    threads = [threading.Thread(target=race) for _ in range(NUM_RACES)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(said) == NUM_RACES - NUM_PLACES)
    started = time.monotonic()
    run = instance.call("generate", ["Beside the races.", "plain", 8], BYSTANDER)
    waited = time.monotonic() - started
    num_over = len(answered)
    for thread in threads:
        thread.join()
    came = (
        f"{len(said)} refused: {said[0]} Another visitor's run came after {waited:.0f} s, {num_over} race(s) before it."
    )
    instance.note(f"{NUM_RACES} races at once", came, len(answered) == NUM_PLACES and run["status"] == "finished")
    try:
        instance.call("compare", ["Tell a story.", methods, 2_000], STRANGER)
    except Said as refusal:
        instance.note("a race of 2,000 tokens", str(refusal), "at most 512" in str(refusal))


def large_models(instance: Instance) -> None:
    """Models that the machine cannot hold, and files of the server."""
    for what, given in {
        "the 8B preset": ["Hi", "plain", 8, 0, 0, None, True, "qwen3-8b"],
        "a hub id": ["Hi", "plain", 8, 0, 0, None, True, "Qwen/Qwen3-8B"],
        "a folder": ["Hi", "plain", 8, 0, 0, None, True, "/etc"],
        "its draft model": ["Hi", "draft_model", 8, 0, 0, {"model": "Qwen/Qwen3-0.6B"}],
        "a folder of weights": ["Hi", "medusa", 8, 0, 0, {"weights": "/etc"}],
    }.items():
        try:
            instance.call("generate", given, STRANGER)
            instance.note(what, "it ran", False)
        except Said as refusal:
            instance.note(
                what, str(refusal)[:160], "there are: story" in str(refusal) or "choose one of" in str(refusal)
            )


def other_sites(instance: Instance) -> None:
    """A page of another site that speaks to this server, and a name that it made point here."""
    body = json.dumps({"data": "{}", "component_id": 1, "fn_name": "import_runs", "session_hash": "x"})
    across = {"Content-Type": "text/plain", "Origin": EVIL}
    with instance.client(STRANGER) as client:
        for what, status, answer in (
            ("a cross-site POST", 403, client.post("/gradio_api/component_server", content=body, headers=across)),
            (
                "the same without an origin",
                415,
                client.post("/gradio_api/component_server", content=body, headers={"Content-Type": "text/plain"}),
            ),
            ("a cross-site read", 403, client.get("/config", headers={"Origin": EVIL})),
            ("a name made to point here", 421, client.get("/config", headers={"Host": "evil.example"})),
        ):
            instance.note(what, answer.text[:160], answer.status_code == status)
        policy = client.get("/").headers.get("content-security-policy", "")
        instance.note("the page in another site's frame", policy[-22:], policy.endswith("frame-ancestors 'self'"))


def large_bodies(instance: Instance) -> None:
    """What fills memory or disk."""
    size = 200_000_000
    headers = {"Content-Type": "application/json"}
    with instance.client(STRANGER) as client:
        for what, status, answer in (
            ("a body of 200 MB", 413, client.post("/gradio_api/queue/join", content=_bytes(size), headers=headers)),
            ("an upload", 403, client.post("/gradio_api/upload", files={"files": b"x" * 1_000})),
        ):
            instance.note(what, answer.text[:160], answer.status_code in (status, 400))


def hostile_import(instance: Instance) -> None:
    """A file with a run of the year 9999 and a step of very many nodes."""
    answer = instance.serve("runs", "import_runs", {"text": hostile_file(), "visitor": "a" * 32})
    sentence = json.loads(answer.json()).get("error", "") if answer.is_success else answer.text
    is_right = any(map(sentence.count, TOO_MUCH))
    instance.note(f"a file of the year 9999, {NUM_NODES:,} nodes in a step", sentence[:200], is_right)


def broken_requests(instance: Instance) -> None:
    """Answers tell nothing of the machine."""
    for given in ([{"a": 1}], [["Hi"]], [], [None, None, "x"]):
        try:
            answer = str(instance.call("generate", given, STRANGER))
        except Said as refusal:
            answer = str(refusal)
        is_quiet = not any(word in answer for word in ("Traceback", "Error:", str(ROOT), "/home", ".py"))
        instance.note(f"generate with {json.dumps(given)}", answer[:120] or "nothing", is_quiet)


def unharmed(instance: Instance, known: str, what: str) -> None:
    """Another visitor runs and reads as before, and nothing strange leads the list."""
    run = instance.call("generate", [f"After {what}.", "plain", 8], BYSTANDER)
    same = instance.call("get", [known], BYSTANDER)["id"]
    newest = instance.call("list", ["", "", "", 5], BYSTANDER)
    is_right = run["status"] == "finished" and same == known and all(row["created_at"] < "2100" for row in newest)
    instance.note(f"others after {what}", f"a run of {run['emitted']} tokens, and the first one is there", is_right)


def hostile_file() -> str:
    """As SpecViz exports runs, with sizes and a time that none has."""
    started = {
        "kind": "session_started",
        "schema_version": 1,
        "session_id": "hostile",
        "method": "plain",
        "prompt": "x",
    }
    started |= {"created_at": "9999-12-31T00:00:00+00:00", "prompt_ids": [1], "method_options": {}, "model": "story"}
    started |= {"guarantee": "exact", "device": "cpu", "dtype": "float32", "config": {}, "machine": {}}
    node = {"token_id": 1, "text": "x", "parent": -1, "status": "rejected", "draft_prob": None, "target_prob": None}
    token = {"token_id": 1, "text": "x", "origin": "correction", "node": None, "target_prob": None, "alternatives": []}
    step = {"kind": "stepped", "step": 0, "root_id": 1, "nodes": [node] * NUM_NODES, "path": [], "emitted": [token]}
    step |= {"draft_ns": 1, "target_ns": 1, "verify_ns": 1, "commit_ns": 1, "host_ns": 1, "kv_length": 1}
    return "\n".join(map(json.dumps, (started, step)))


def wait_until(condition: Callable[[], object]) -> None:
    """Raises TimeoutError."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return
        time.sleep(0.2)
    raise TimeoutError("what was waited for never came")


def _last(lines: Iterator[str]) -> Any:
    """The last event of a stream: an endpoint's answer, or its sentence."""
    kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        kind = value if name == "event" else kind
        if name == "data" and kind == "complete":
            return json.loads(value)[0]
        if name == "data" and kind == "error":
            found = json.loads(value)
            raise Said(found.get("error", str(found)) if isinstance(found, dict) else str(found))
    raise Said("nothing")


def _bytes(size: int) -> Iterator[bytes]:
    for _ in range(size // 1_000_000):
        yield b"x" * 1_000_000


if __name__ == "__main__":
    sys.exit(main())
