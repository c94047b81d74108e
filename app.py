"""Start SpecViz: read the flags, open the store, load the model, serve the page."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from specviz.decoding.session import Sessions
    from specviz.store import Store

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# One core stays free for the server and, at home, the browser: threads that wait for a core held by
# either stall every pass (docs/log.md, 2026-11-21). torch reads this when it is first imported.
if "OMP_NUM_THREADS" not in os.environ:
    from engine.cores import usable_cores

    os.environ["OMP_NUM_THREADS"] = str(max(1, usable_cores() - 1))


def shared_gpu() -> Any:
    """The package of a Space with a shared GPU, which has to see torch being imported; None where there is no such GPU.

    Exits with a sentence where the package is missing.
    """
    if not os.environ.get("SPACES_ZERO_GPU"):
        return None
    try:
        return importlib.import_module("spaces")
    except ImportError as error:
        raise SystemExit(
            f"specviz: this Space shares a GPU, and its package cannot be imported ({error}); "
            "install requirements-zerogpu.txt."
        ) from error


SPACES = shared_gpu()


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status: 2 where the input cannot be used."""
    from specviz.flags import parse_flags

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


def warning(host: str, is_public: bool, has_password: bool) -> str:
    """What to say before listening; empty where nobody but this machine can come, or strangers may do no harm."""
    is_near = host in ("localhost", "::1") or host.startswith("127.")
    if is_near or is_public or has_password:
        return ""
    return (
        f"Warning: listening on {host}, so whoever reaches this machine may read, change and delete every run. "
        "Set SPECVIZ_AUTH=user:password, start it with --public, or listen on 127.0.0.1."
    )


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
    from specviz.flags import credentials, policy_from, words

    policy = policy_from(flags)
    check_address(flags.host, flags.port)
    if flags.mcp:
        check_mcp()
    from specviz.store import Retention, copied_to, open_store  # what fails soonest is imported first

    copied = copied_to(Path(flags.copy_to), flags.db) if flags.copy_to else contextlib.nullcontext(0)
    with copied as num_back, open_store(flags.db) as store:
        if num_back:
            print(f"{num_back:,} runs were read back from the copy in {flags.copy_to}.", flush=True)
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
        first = next(iter(device.models()))
        device.hold(first)
        sessions = Sessions(device, store, Visitors(policy))
        sessions.warm_up(first, PLAIN)
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
