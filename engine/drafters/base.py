"""What a drafter is: three verbs, a frozen dataclass of options, and a statement of its needs.

A drafter object serves one session. Whatever it learns dies with it; weights that several sessions
share are read-only and come from models.py. To add a method, add `engine/drafters/<family>/<name>.py` with
one subclass called `DRAFTER`; menus, command line, legend and the contract suite find it there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor

from engine import verify
from engine.config import GenerationConfig
from engine.errors import BadInput
from engine.noise import Noise
from engine.options import specs
from engine.tree import EMPTY_TREE, MAX_BUDGET, DraftTree
from engine.verify import DraftMode, Drawing, Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.runtime.prompt_top import PromptTop
    from engine.target import Scored, Target

Hidden = tuple[Tensor, ...] | None
"""Hidden states (rows, h) of each layer that was asked for."""


@dataclass(frozen=True)
class Needs:
    """What a drafter has to be given."""

    draft_model: bool = False
    weights: bool = False
    own_layers: bool = False
    """Whether it runs layers of the target itself."""
    hidden_layers: tuple[int, ...] = ()
    """Hidden states of the target that it reads, as indices into transformers' hidden_states."""
    prompt_top_k: int = 0
    """Of how many of the target's likeliest tokens behind each token of the prompt it wants to know."""
    prompt_probs: bool = False
    """Whether it asks for their probabilities too."""

    def __or__(self, other: Needs) -> Needs:
        """What both need together; `own_hidden` and `PromptTop` give each its own of it."""
        return Needs(
            draft_model=self.draft_model or other.draft_model,
            weights=self.weights or other.weights,
            own_layers=self.own_layers or other.own_layers,
            hidden_layers=tuple(dict.fromkeys((*self.hidden_layers, *other.hidden_layers))),
            prompt_top_k=max(self.prompt_top_k, other.prompt_top_k),
            prompt_probs=self.prompt_probs or other.prompt_probs,
        )

    def own_hidden(self, given: Hidden, united: Needs) -> Hidden:
        """Of the hidden states that several needs together were given, these needs' own layers, in their order."""
        places = [united.hidden_layers.index(layer) for layer in self.hidden_layers]
        return given and (tuple(given[place] for place in places) or None)

    def describe(self) -> str:
        """In words, for tables and menus."""
        parts = ["a draft model"] * self.draft_model + ["trained weights"] * self.weights
        parts += ["the target's hidden states"] * bool(self.hidden_layers) + ["the target's layers"] * self.own_layers
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True)
class Room:
    """What a draft may take: of this step's budget, of the tokens that may still be emitted, of the context."""

    nodes: int
    depth: int = MAX_BUDGET

    @property
    def chain(self) -> int:
        """Most tokens in a row."""
        return min(self.nodes, self.depth)


@dataclass
class Context:
    """The session as a drafter may see it; the loop keeps `ids` up to date."""

    ids: list[int]
    """Committed token ids, prompt included; the last one is the root."""
    config: GenerationConfig
    noise: Noise
    prompt_hidden: Hidden = None
    """Of each layer that the drafter asked for, (t, h): what the target made of all of the prompt but its last."""
    prompt_top: PromptTop | None = None
    """The target's likeliest tokens behind these, where the drafter asked for them."""
    tree: DraftTree = EMPTY_TREE
    """The draft as it was last scored: cut to the budget, and not always of this drafter's making."""

    @property
    def draft_mode(self) -> DraftMode:
        """How the tokens of a draft are to be chosen."""
        return self.config.draft_mode

    @property
    def root_id(self) -> int:
        """The last emitted token, not yet in the KV cache."""
        return self.ids[-1]

    @property
    def position(self) -> int:
        """Absolute place of the token that follows the root."""
        return len(self.ids)


@dataclass(frozen=True)
class NoOptions:
    """For a drafter without options."""


class Drafter(ABC):
    """Proposes a tree of tokens; the target decides."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    guarantee: ClassVar[Literal["exact", "lossy"]] = "exact"
    needs: Needs = Needs()
    """Of the method, for tables and menus; an object may set its own, as they depend on the target."""
    drawings: tuple[Drawing, ...] = ()
    """The ways in which, asked to, it draws its nodes and says from what; an object may have fewer."""
    caveat: str = ""
    """What is to be said before its runs on this target; else empty."""
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any, target: Target) -> None:
        """Raises BadInput where what it needs is not there."""
        self.options = options

    @property
    def settings(self) -> dict[str, Any]:
        """Its options by name, in their order, fit for JSON."""
        return {spec.name: getattr(self.options, spec.name) for spec in specs(type(self.options))}

    @classmethod
    def unavailable(cls, target: Target | None = None) -> str | None:
        """Why it cannot run here, in a sentence; None where it can."""
        return None

    def check(self, config: GenerationConfig) -> None:
        """Raises BadInput where it cannot work under these settings."""
        drawing = config.drawing
        if drawing is not None and drawing not in self.drawings:
            does = "draws otherwise with these options" if self.drawings else "chooses its drafts"
            rules = ", ".join(verify.fitting(self.drawings))
            raise BadInput(
                f"Rule {config.rule} needs {verify.DRAWN[drawing]}, and {self.name} {does}; choose one of: {rules}."
            )

    def fit(self, costs: Costs) -> None:  # noqa: B027
        """Take the size that pays where passes and drafts cost this; before any session, by who makes the drafter."""

    def start(self, context: Context) -> None:
        """A session begins: the prompt is known, nothing is emitted."""
        self.context = context

    @abstractmethod
    def propose(self, context: Context, room: Room) -> DraftTree:
        """Nodes that may follow the root, no more and no deeper than there is room for."""

    def while_scoring(self, context: Context) -> None:  # noqa: B027
        """The pass over `context.tree` is under way: what can be done before its verdict, as on another device."""

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:  # noqa: B027
        """The step is over: `emitted` was appended to the context.

        Row 0 of `scored` is the root's, row i + 1 that of node i of `context.tree`. Told of every
        step, also of one whose tree another drafter proposed (`fallback.py`).
        """
