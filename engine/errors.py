"""Everything the engine raises on purpose.

    EngineError
    ├── BadInput          the user's mistake: what was given, what was wanted, what exists
    │   ├── UnknownName   a method, option, preset or model that does not exist
    │   └── ContextFull   the prompt does not fit the target's context
    └── RunFailed         the run itself broke (not the user's mistake)

A message is one or two plain sentences, fit to be shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterable


class EngineError(Exception):
    """Root of the tree above."""


class BadInput(EngineError):
    """The input cannot be used as given."""


class UnknownName(BadInput):
    """A name that is not registered; the message lists the ones that are."""

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        super().__init__(f"Unknown {kind} {given!r}; there are: {', '.join(sorted(known)) or 'none'}.")


class ContextFull(BadInput):
    """The prompt and the tokens asked for do not fit the target's context."""

    def __init__(self, num_prompt_tokens: int, max_context: int) -> None:
        super().__init__(
            f"The prompt has {num_prompt_tokens} tokens, and this model's context holds {max_context}; "
            f"at most {max_context - 1} fit, so that one token can follow."
        )


class RunFailed(EngineError):
    """The run broke for a reason that is not the user's."""


def told(error: Exception) -> str:
    """What ended a run, in a sentence: the engine's own words as they are, memory that ran out in plain ones."""
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            f"The memory ran out ({first_line(error)}); what was written until then stands. A shorter text "
            "(--max-context), fewer draft nodes, a smaller draft model or another dtype needs less."
        )
    return f"{type(error).__name__}: {error}"


MOST_TOLD = 300
"""Characters of what went wrong elsewhere, which may repeat the whole of a broken file."""


def first_line(error: Exception) -> str:
    """The first line of what went wrong elsewhere, without its full stop; long ones cut."""
    lines = str(error).strip().splitlines()
    return lines[0][:MOST_TOLD].rstrip(". ") if lines else type(error).__name__
