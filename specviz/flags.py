"""What `app.py` is told: by its command line and, where that is silent, by the environment.

It knows names, defaults and what each means; it opens nothing, loads nothing and does not know what is done with them.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadInput
from specviz.policy import HOME, PUBLIC, SPECS, Policy, policy_of

PORT = 7860
YES, NO = ("1", "true", "yes"), ("0", "false", "no")


def parse_flags(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, and where it is silent the environment. Exits with 2 for what does not exist."""
    flags = Flags()
    add_address(flags)
    add_models(flags)
    add_what_is_kept_and_offered(flags)
    add_doors(flags)
    for spec in SPECS:
        first = f"{getattr(HOME, spec.name) or 'none'}, in public {getattr(PUBLIC, spec.name) or 'none'}"
        flags.add(spec.name.replace("_", "-"), f"{spec.help} (default: {first})")
    return flags.parser.parse_args(arguments)


def is_in_space() -> bool:
    """Whether the Hub runs this as a Space."""
    return bool(os.environ.get("SPACE_ID"))


@dataclass(frozen=True)
class Flags:
    """Each flag is a name of the environment too."""

    parser: argparse.ArgumentParser = field(
        default_factory=lambda: argparse.ArgumentParser(
            prog="app.py",
            description="Watch speculative decoding in the browser.",
            epilog="Each flag can be given in the environment too, under the name in brackets; a flag comes first. "
            "From there alone come SPECVIZ_AUTH=user:password, asked of everybody, and SPECVIZ_MODERATOR, the token of "
            "whoever may change all on a public instance.",
        )
    )

    def add(self, name: str, about: str, default: object = None, **how: Any) -> None:
        """A flag that takes a value; an empty one in the environment is none."""
        variable = _variable(name)
        given = os.environ.get(variable) or default
        self.parser.add_argument(f"--{name}", default=given, help=f"{about} [{variable}]", **how)

    def add_switch(self, name: str, about: str, *, default: bool) -> None:
        """A flag that is on or off. Exits with 2 where the environment says anything else."""
        variable = _variable(name)
        given = os.environ.get(variable, "").strip().lower()
        if given not in ("", *YES, *NO):
            self.parser.error(f"{variable} is {given!r}; wanted 1, true or yes, or 0, false or no")
        is_on = given in YES if given else default
        how = argparse.BooleanOptionalAction
        self.parser.add_argument(f"--{name}", default=is_on, action=how, help=f"{about} [{variable}]")


def add_address(flags: Flags) -> None:
    """Where it listens."""
    host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if is_in_space() else "127.0.0.1")
    flags.add("host", "address to listen on (default %(default)s)", host)
    flags.add("port", "port (default %(default)s)", os.environ.get("GRADIO_SERVER_PORT", PORT), type=int)


def add_models(flags: Flags) -> None:
    """What it loads, and how."""
    flags.add(
        "model",
        "preset, hub id, folder, folder/file.gguf or hub-id:file.gguf (default: smollm2-135m where it is there, else "
        "story)",
    )
    flags.add("draft", "draft model that goes with it: hub id, folder or GGUF file (default: the preset's own)", "auto")
    flags.add("dtype", "what weights are held in: auto, bf16, fp16 or fp32 (default: auto)", "auto")
    flags.add("device", "where models run: auto, cpu, cuda, cuda:1 … (default: auto)", "auto")
    about = "most tokens of prompt and answer together (default: all that a model can attend to)"
    flags.add("max-context", about, 0, type=int)
    about = "folders or hub ids of trained drafters that the page offers, parted by"
    about = f"{about} {os.pathsep!r}; at home any may be typed"
    flags.add("weights", about, "")


def add_what_is_kept_and_offered(flags: Flags) -> None:
    """The store, whose it is, and what is served beside the page."""
    flags.add("db", "database file or URL (default: specviz.db in your data folder; in a Space, in /data)")
    about = "folder, such as a bucket's, where a closed copy of all runs is kept and read back at the start"
    flags.add("copy-to", f"{about} (default: none)")
    flags.add_switch(
        "public",
        "many visitors: only the browser that made a run may tag, note or delete it, nobody may name a model, "
        "folder or file, and what follows is strict (default: only in a Space)",
        default=is_in_space(),
    )
    flags.add("metrics", "port of 127.0.0.1 with numbers for Prometheus (default: none)", 0, type=int)
    flags.add_switch("mcp", "offer the API to language models as tools (docs/api.md)", default=False)


def add_doors(flags: Flags) -> None:
    """By which names it is reached, and who may frame it."""
    space, hub = (os.environ.get("SPACE_HOST", ""), "https://huggingface.co") if is_in_space() else ("", "")
    about = "names under which the page is reached, parted by commas; addresses in numbers always are"
    flags.add("hosts", about, space)
    about = "sites that may show the page in a frame, parted by commas (default: in a Space the Hub)"
    flags.add("frames", about, hub)


def policy_from(flags: argparse.Namespace) -> Policy:
    """What visitors may ask for. Raises BadInput where a number or word cannot be used."""
    said = {spec.name: getattr(flags, spec.name) for spec in SPECS}
    before = {"proxies": 1} if is_in_space() else {}
    given = {name: value for name, value in said.items() if value is not None}
    return policy_of(flags.public, before | given, os.environ.get("SPECVIZ_MODERATOR", ""))


def credentials() -> tuple[str, str] | None:
    """User and password of SPECVIZ_AUTH; None where there is none. Raises BadInput for anything else."""
    given = os.environ.get("SPECVIZ_AUTH", "")
    user, colon, password = given.partition(":")
    if given and not (user and colon and password):
        raise BadInput("SPECVIZ_AUTH cannot be read; wanted user:password.")
    return (user, password) if given else None


def words(text: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _variable(name: str) -> str:
    return f"SPECVIZ_{name.replace('-', '_').upper()}"
