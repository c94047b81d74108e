"""What visitors may ask of this instance: one frozen record, made from flags and `SPECVIZ_…` names.

At home everything; in public little, unless whoever runs the instance says otherwise. The door to the device, the lists
and the shelf of benchmarks all read this record, so that page, API and tools are held to the same; the page's foot and
the program's first lines say it in words. Knows nothing of models, runs or pages.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine import options
from engine.errors import BadInput
from engine.options import option
from specviz.text import without_folders

MAX_NEW_TOKENS = 2_000
"""Of any run that a page is asked for."""
SMALL_IMPORT_CHARS = 5_000_000
SMALL_BENCHMARK_RUNS, SMALL_BENCHMARK_TOKENS = 200, 128
_SIZES = ("off", "small", "any")


@dataclass(frozen=True)
class Policy:
    """As at home where nothing else is said. Numbers that are 0 limit nothing."""

    is_public: bool = False
    models: str = option(
        "", "models that visitors may choose beside the first one, parted by commas; in public none else", kind="text"
    )
    max_tokens: int = option(MAX_NEW_TOKENS, "longest answer", low=1, high=MAX_NEW_TOKENS, unit="tokens")
    run_seconds: int = option(0, "longest run, without loading; 0 for any", low=0, high=86_400, unit="seconds")
    race_seconds: int = option(0, "longest race, without loading; 0 for any", low=0, high=86_400, unit="seconds")
    per_visitor: int = option(
        0, "a visitor's places in the line, the running one among them; 0 for any", low=0, high=17
    )
    per_address: int = option(0, "an address's places in the line; 0 for any", low=0, high=17)
    proxies: int = option(0, "trusted proxies before this server, whose X-Forwarded-For is believed", low=0, high=8)
    imports: str = option("any", "files of runs that visitors bring", choices=_SIZES)
    benchmarks: str = option("any", "benchmarks that visitors start", choices=_SIZES)
    sharing: str = option("listed", "who sees a run unless its visitor says otherwise", choices=("listed", "private"))
    keep_days: float = option(0.0, "runs older than this are deleted; 0 for never", low=0, high=36_500, unit="days")
    keep_gb: float = option(0.0, "the oldest runs beyond this are deleted; 0 for never", low=0, high=100_000, unit="GB")
    contact: str = option("", "whom visitors may write to, said in the page's foot", kind="text")
    moderator: str = field(default="", repr=False)
    """The token of whoever may tag, note, stop and delete what others made; empty where nobody may."""

    def offered(self) -> tuple[str, ...] | None:
        """Models that visitors may choose beside the first one; None where they may choose any."""
        named = tuple(name.strip() for name in self.models.split(",") if name.strip())
        return named if named or self.is_public else None

    def check_length(self, num_tokens: int) -> None:
        """Raises BadInput for an answer that is too long."""
        if num_tokens > self.max_tokens:
            raise BadInput(f"max_new_tokens is {num_tokens:,}; this instance takes at most {self.max_tokens:,}.")

    def check_import(self, num_chars: int) -> None:
        """Raises BadInput where a file of so many characters is not taken in."""
        if self.imports == "off":
            raise BadInput("This instance takes no files of runs; open them in a SpecViz of your own.")
        if self.imports == "small" and num_chars > SMALL_IMPORT_CHARS:
            raise BadInput(
                f"The file has {num_chars:,} characters; this instance takes at most {SMALL_IMPORT_CHARS:,}."
            )

    def check_benchmark(self, num_runs: int, num_tokens: int) -> None:
        """Raises BadInput where a benchmark of so many runs, so long each, is not measured."""
        if self.benchmarks == "off":
            raise BadInput("This instance measures no benchmarks for its visitors; they run in a SpecViz of your own.")
        self.check_length(num_tokens)
        if self.benchmarks == "small" and (num_runs > SMALL_BENCHMARK_RUNS or num_tokens > SMALL_BENCHMARK_TOKENS):
            raise BadInput(
                f"That is {num_runs:,} runs of up to {num_tokens:,} tokens; this instance measures at most "
                f"{SMALL_BENCHMARK_RUNS} of {SMALL_BENCHMARK_TOKENS}."
            )

    def seconds(self, num_sessions: int) -> float:
        """How long one turn may decode: a run, or a race of several; 0 for any."""
        return self.run_seconds if num_sessions == 1 else self.race_seconds

    def is_moderator(self, token: object) -> bool:
        """Whether this is the moderator's token, compared in constant time."""
        if not self.moderator or not isinstance(token, str):
            return False
        return hmac.compare_digest(_digest(token), _digest(self.moderator))

    def shown(self, sentence: str) -> str:
        """A sentence as visitors read it: in public without the folders that it names."""
        return without_folders(sentence) if self.is_public else sentence

    def in_words(self) -> str:
        """For the page's foot and the first lines of the log."""
        whose = "A public instance." if self.is_public else "At home: everybody who opens this page may change all."
        return " ".join(filter(None, (whose, self._limits(), self._doings(), self._keeping(), self._whom())))

    def _limits(self) -> str:
        length = f"Answers have up to {self.max_tokens:,} tokens"
        run = f"a run {self.run_seconds} s" if self.run_seconds else ""
        race = f"a race {self.race_seconds} s" if self.race_seconds else ""
        each = f"a visitor {self.per_visitor} places in the line" if self.per_visitor else ""
        return f"{', '.join(filter(None, (length, run, race, each)))}." if self.is_public or run or race or each else ""

    def _doings(self) -> str:
        said = {"off": "none", "small": "small ones", "any": ""}
        things = {"imported files": said[self.imports], "benchmarks": said[self.benchmarks]}
        limited = [f"{name}: {word}" for name, word in things.items() if word]
        return f"{'; '.join(limited).capitalize()}." if limited else ""

    def _keeping(self) -> str:
        age = f"for {self.keep_days:g} days" if self.keep_days else ""
        size = f"up to {self.keep_gb:g} GB in all" if self.keep_gb else ""
        return f"Runs are kept {', '.join(filter(None, (age, size)))}." if age or size else ""

    def _whom(self) -> str:
        return f"Contact: {self.contact}." if self.contact else ""


HOME = Policy()
PUBLIC = Policy(
    is_public=True,
    max_tokens=512,
    run_seconds=60,
    race_seconds=180,
    per_visitor=2,
    per_address=4,
    imports="off",
    benchmarks="off",
    sharing="private",
    keep_days=30.0,
    keep_gb=10.0,
)
SPECS = options.specs(Policy)
"""What flags say."""


def policy_of(is_public: bool, given: Mapping[str, object], moderator: str = "") -> Policy:
    """The policy of an instance: its kind's own numbers, and what is given in place of them. Raises BadInput."""
    known = {spec.name: spec for spec in SPECS}
    said: dict[str, Any] = {name: known[name].parse(value) for name, value in given.items()}
    return replace(PUBLIC if is_public else HOME, **said, moderator=moderator)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
