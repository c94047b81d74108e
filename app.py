"""Start SpecViz: read the flags, open the store, load the model, serve the page."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specviz.decoding.session import Sessions
    from specviz.policy import Policy
    from specviz.store import Store

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# One core stays free for the server and, at home, the browser: threads that wait for a core held by
# either stall every pass (docs/log.md, 2026-11-21). torch reads this when it is first imported.
if "OMP_NUM_THREADS" not in os.environ:
    from engine.cores import usable_cores

    os.environ["OMP_NUM_THREADS"] = str(max(1, usable_cores() - 1))

# The package of a Space with a shared GPU has to see torch being imported.
SPACES = importlib.import_module("spaces") if os.environ.get("SPACES_ZERO_GPU") else None

PORT = 7860


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status: 2 where the input cannot be used."""
    flags = parse_flags(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the store writes what it holds
    from engine.errors import EngineError
    from specviz import logs
    from specviz.store import StoreError

    logs.set_up()
    try:
        serve(flags)
    except (EngineError, StoreError, AddressTaken) as error:
        print(f"specviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def parse_flags(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, and where it is silent the environment. Exits with 2 for what does not exist."""
    from specviz import policy

    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Watch speculative decoding in the browser.",
        epilog="Each flag can be given in the environment too, under the name in brackets; a flag comes first. "
        "From there alone come SPECVIZ_AUTH=user:password, asked of everybody, and SPECVIZ_MODERATOR, the token of "
        "whoever may change all on a public instance.",
    )
    in_space = bool(os.environ.get("SPACE_ID"))
    host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if in_space else "127.0.0.1")

    def flag(name: str, about: str, default: object = None, **how: Any) -> None:
        variable = f"SPECVIZ_{name.replace('-', '_').upper()}"
        given = default if "action" in how else os.environ.get(variable) or default
        parser.add_argument(f"--{name}", default=given, help=f"{about} [{variable}]", **how)

    flag("host", "address to listen on (default %(default)s)", host)
    flag("port", "port (default %(default)s)", os.environ.get("GRADIO_SERVER_PORT", PORT), type=int)
    flag(
        "model",
        "preset, hub id, folder, folder/file.gguf or hub-id:file.gguf (default: smollm2-135m where it is there, else "
        "story)",
    )
    flag("draft", "draft model that goes with it: hub id, folder or GGUF file (default: the preset's own)", "auto")
    flag("dtype", "what weights are held in: auto, bf16, fp16 or fp32 (default: auto)", "auto")
    flag("device", "where models run: auto, cpu, cuda, cuda:1 … (default: auto)", "auto")
    flag(
        "max-context",
        "most tokens of prompt and answer together (default: all that a model can attend to)",
        0,
        type=int,
    )
    flag(
        "weights",
        f"folders of trained drafters that the page offers, parted by {os.pathsep!r}; at home any may be typed",
        "",
    )
    flag("db", "database file or URL (default: specviz.db in your data folder; in a Space, in /data)")
    flag(
        "public",
        "many visitors: only the browser that made a run may tag, note or delete it, nobody may name a model, "
        "folder or file, and what follows is strict (default: only in a Space)",
        _switch(parser, "PUBLIC", default=in_space),
        action=argparse.BooleanOptionalAction,
    )
    flag("metrics", "port of 127.0.0.1 with numbers for Prometheus (default: none)", 0, type=int)
    flag(
        "mcp",
        "offer the API to language models as tools (docs/api.md)",
        _switch(parser, "MCP", default=False),
        action=argparse.BooleanOptionalAction,
    )
    space = os.environ.get("SPACE_HOST", "") if in_space else ""
    flag("hosts", "names under which the page is reached, parted by commas; addresses in numbers always are", space)
    hub = "https://huggingface.co" if in_space else ""
    flag("frames", "sites that may show the page in a frame, parted by commas (default: in a Space the Hub)", hub)
    for spec in policy.SPECS:
        first = f"{getattr(policy.HOME, spec.name) or 'none'}, in public {getattr(policy.PUBLIC, spec.name) or 'none'}"
        flag(spec.name.replace("_", "-"), f"{spec.help} (default: {first})")
    return parser.parse_args(arguments)


def policy_from(flags: argparse.Namespace) -> Policy:
    """What visitors may ask for. Raises BadInput where a number or word cannot be used."""
    from specviz.policy import SPECS, policy_of

    said = {spec.name: getattr(flags, spec.name) for spec in SPECS}
    before = {"proxies": 1} if os.environ.get("SPACE_ID") else {}
    given = {name: value for name, value in said.items() if value is not None}
    return policy_of(flags.public, before | given, os.environ.get("SPECVIZ_MODERATOR", ""))


def words(text: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def credentials() -> tuple[str, str] | None:
    """User and password of SPECVIZ_AUTH; None where there is none. Raises BadInput for anything else."""
    from engine.errors import BadInput

    given = os.environ.get("SPECVIZ_AUTH", "")
    user, colon, password = given.partition(":")
    if given and not (user and colon and password):
        raise BadInput("SPECVIZ_AUTH cannot be read; wanted user:password.")
    return (user, password) if given else None


def warning(host: str, is_public: bool, has_password: bool) -> str:
    """What to say before listening; empty where nobody but this machine can come, or strangers may do no harm."""
    is_near = host in ("localhost", "::1") or host.startswith("127.")
    if is_near or is_public or has_password:
        return ""
    return (
        f"Warning: listening on {host}, so whoever reaches this machine may read, change and delete every run. "
        "Set SPECVIZ_AUTH=user:password, start it with --public, or listen on 127.0.0.1."
    )


def _switch(parser: argparse.ArgumentParser, name: str, *, default: bool) -> bool:
    """A flag of the environment that is on or off. Exits with 2 for anything else."""
    given = os.environ.get(f"SPECVIZ_{name}", "").strip().lower()
    if given not in ("", "1", "true", "yes", "0", "false", "no"):
        parser.error(f"SPECVIZ_{name} is {given!r}; wanted 1, true or yes, or 0, false or no")
    return given in ("1", "true", "yes") if given else default


class AddressTaken(Exception):
    """The server cannot listen there."""


def check_address(host: str, port: int) -> None:
    """Raises AddressTaken with a sentence."""
    if not 0 < port < 65536:
        raise AddressTaken(f"Port {port} does not exist; choose one from 1 to 65535 with --port.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AddressTaken(
                f"Cannot listen on {host}:{port} ({reason}); choose another with --port or --host."
            ) from error


def check_mcp() -> None:
    """Raises BadInput where the package that Gradio needs is not there."""
    from engine.errors import BadInput

    if importlib.util.find_spec("mcp") is None:
        raise BadInput('--mcp needs a package that is not installed: pip install "gradio[mcp]"')


def model_from(flags: argparse.Namespace) -> tuple[str, str]:
    """The model to open, and where none was named why it is this one, said in one line. Nothing is fetched for it."""
    from engine.models import default_model

    if flags.model:
        return flags.model, ""
    default = default_model()
    if default.reason:
        print(default.reason, flush=True)
    return default.name, default.reason


def serve_metrics(port: int, store: Store, sessions: Sessions) -> None:
    """Raises AddressTaken with a sentence."""
    from specviz import vitals

    check_address(vitals.HOST, port)
    vitals.serve(port, store, sessions)


def serve(flags: argparse.Namespace) -> None:
    """Open, load, listen."""
    policy = policy_from(flags)
    check_address(flags.host, flags.port)
    if flags.mcp:
        check_mcp()
    from specviz.store import Retention, open_store  # what fails soonest is imported first

    with open_store(flags.db) as store:
        store.keep_only(Retention(policy.keep_days or None, int(policy.keep_gb * 1e9) or None))
        from specviz import ui
        from specviz.decoding.device import PLAIN, Loading
        from specviz.decoding.local import LocalDevice
        from specviz.decoding.session import Sessions
        from specviz.decoding.visitors import Visitors
        from specviz.decoding.zero import ZeroDevice

        model, why = model_from(flags)
        how: dict[str, Any] = {
            "takes_own": not flags.public,
            "loading": Loading(flags.draft, flags.dtype, flags.device),
            "weights": [folder for folder in flags.weights.split(os.pathsep) if folder],
            "policy": policy,
            "max_context": flags.max_context,
        }
        device = LocalDevice(model, **how) if SPACES is None else ZeroDevice(SPACES, model, **how)
        device.hold(model)
        sessions = Sessions(device, store, Visitors(policy))
        sessions.warm_up(model, PLAIN)
        page = ui.build(sessions, store, note="" if flags.public else why)
        print(*filter(None, (warning(flags.host, flags.public, bool(credentials())), policy.in_words())), sep="\n")
        if flags.metrics:
            serve_metrics(flags.metrics, store, sessions)
        print(f"SpecViz: http://{flags.host}:{flags.port}  model {model}, runs are kept in {store.kept}", flush=True)
        try:
            page.launch(
                server_name=flags.host,
                server_port=flags.port,
                quiet=True,
                auth=credentials(),
                **ui.launch_options(flags.mcp, words(flags.hosts), words(flags.frames), policy, store),
            )
        except OSError as error:
            raise AddressTaken(f"Cannot serve on {flags.host}:{flags.port} ({error}).") from error
        finally:
            sessions.close()


if __name__ == "__main__":
    sys.exit(main())
