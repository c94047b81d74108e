"""What a pretraining run is decided by besides its data: sizes, budgets and the schedule over them.

The schedule is a function of progress, the share of the token or the time budget that is used up,
whichever is larger, so a run under a time limit ends with its learning rate decayed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

VOCAB_SIZE = 4096
MAX_CONTEXT = 1024


@dataclass(frozen=True)
class Shape:
    """Size of a Llama model."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int


@dataclass(frozen=True)
class Stage:
    """A stretch of a run: row length, and whether every task is practised or only telling stories."""

    start: float
    """Share of the budget that is used up when it begins."""
    context: int
    has_tasks: bool = True
    is_written: bool = False
    """For heads: whether the text is the target's own, and not the corpus."""


SHORT_FIRST = (Stage(0.0, 256, has_tasks=False), Stage(0.35, 512), Stage(0.92, MAX_CONTEXT))


@dataclass(frozen=True)
class Recipe:
    """Everything a pretraining run is decided by, besides its data."""

    shape: Shape
    num_tokens: int
    batch_tokens: int
    lr: float
    limit_minutes: float
    seed: int = 1
    stages: tuple[Stage, ...] = SHORT_FIRST
    micro_tokens: int = 4096
    """Tokens of one forward pass; a batch is as many passes as it needs."""
    warmup: float = 0.02
    decay_from: float = 0.3
    eval_every_seconds: float = 300.0
    max_shard_mb: int = 45
    num_written: int = 0
    """Prompts that the target answers, for its drafters."""
    num_text_tokens: int = 0
    """Tokens of the corpus whose hidden states heads learn from first."""


_TARGET, _DRAFT = Shape(384, 8, 6, 1024), Shape(192, 3, 3, 512)
_ROWS_OF_ONE_LENGTH = (Stage(0.0, 512),)
_MOSTLY_WRITTEN = (Stage(0.0, 512), Stage(0.2, 512, is_written=True))
_TEXT_THEN_WRITTEN = (Stage(0.0, 512), Stage(0.5, 512, is_written=True))

_ANSWERS_CPU = Recipe(_DRAFT, 20_000_000, 2048, 2e-3, 12, micro_tokens=2048, num_written=2500)
_ANSWERS_GPU = Recipe(_DRAFT, 100_000_000, 16_384, 2e-3, 20, micro_tokens=16_384, num_written=40_000)
"""Of drafters, which learn from the target's own answers."""

RECIPES: dict[tuple[str, str], Recipe] = {
    ("target", "cpu"): Recipe(_TARGET, 24_000_000, 8192, 3e-3, 140),
    ("target", "gpu"): Recipe(
        Shape(512, 8, 8, 1408), 400_000_000, 65_536, 3e-3, 20, micro_tokens=65_536, max_shard_mb=15
    ),
    ("draft", "cpu"): Recipe(_DRAFT, 12_000_000, 8192, 4e-3, 15),
    ("draft", "gpu"): Recipe(_DRAFT, 200_000_000, 65_536, 4e-3, 8, micro_tokens=65_536, max_shard_mb=15),
    ("align", "cpu"): Recipe(
        _DRAFT, 8_000_000, 16_384, 2e-3, 12, stages=_ROWS_OF_ONE_LENGTH, decay_from=0.1, num_written=2500
    ),
    ("align", "gpu"): replace(
        _ANSWERS_GPU,
        num_tokens=60_000_000,
        limit_minutes=8,
        stages=_ROWS_OF_ONE_LENGTH,
        decay_from=0.1,
        max_shard_mb=15,
    ),
    ("heads", "cpu"): replace(_ANSWERS_CPU, stages=_TEXT_THEN_WRITTEN, num_text_tokens=400_000),
    ("heads", "gpu"): replace(_ANSWERS_GPU, stages=_TEXT_THEN_WRITTEN, num_text_tokens=20_000_000),
    ("hidden_transfer", "cpu"): replace(_ANSWERS_CPU, lr=8e-3, stages=_MOSTLY_WRITTEN, num_text_tokens=600_000),
    ("hidden_transfer", "gpu"): replace(
        _ANSWERS_GPU, lr=4e-3, stages=_MOSTLY_WRITTEN, micro_tokens=8192, num_text_tokens=20_000_000
    ),
}

for _preset, _tokens in (("cpu", 12_000_000), ("gpu", 200_000_000)):
    # As wide as a file of 12 MB allows with a row for each of 49,152 tokens.
    RECIPES["narrow_draft", _preset] = replace(
        RECIPES["align", _preset], shape=Shape(96, 4, 3, 288), num_tokens=_tokens, batch_tokens=8192, limit_minutes=20
    )
# Of the few tokens that a CPU can show it, many small steps make more than few large ones (docs/log.md, 2026-12-01).
RECIPES["narrow_draft", "cpu"] = replace(
    RECIPES["narrow_draft", "cpu"], batch_tokens=1024, micro_tokens=1024, eval_every_seconds=1800
)
# Chimera's passes are dear: many small steps of few tokens.
RECIPES["chimera", "cpu"] = replace(
    RECIPES["heads", "cpu"], batch_tokens=2048, lr=3e-3, stages=_MOSTLY_WRITTEN, decay_from=0.1
)
# EAGLE's passes are dearer still: the target's first layers run beside it, for the states that it taps.
RECIPES["eagle", "cpu"] = replace(
    RECIPES["chimera", "cpu"],
    batch_tokens=1024,
    micro_tokens=1024,
    limit_minutes=25,
    num_written=896,
    num_text_tokens=120_000,
)
# A block drafter sees each text at other anchors every time.
RECIPES["dflash", "cpu"] = replace(
    RECIPES["eagle", "cpu"], lr=4e-3, limit_minutes=45, eval_every_seconds=1800, num_written=1600
)
RECIPES["dflash", "gpu"] = replace(RECIPES["heads", "gpu"], micro_tokens=8192, lr=4e-3)
# Heads on a trained block begin fitted, and learn from the target's own answers.
for _head in ("dspark", "dflash2"):
    RECIPES[_head, "cpu"] = replace(
        RECIPES["dflash", "cpu"],
        limit_minutes=25,
        eval_every_seconds=900,
        stages=_MOSTLY_WRITTEN,
    )
    RECIPES[_head, "gpu"] = RECIPES["dflash", "gpu"]
# Hydra's heads begin fitted, as Chimera's do; what is left to learn is in the target's own answers.
RECIPES["hydra", "cpu"] = replace(
    RECIPES["eagle", "cpu"], lr=3e-3, limit_minutes=40, eval_every_seconds=900, num_written=1600
)
# PARD goes on from a trained draft model; each token of text brings two to three masks.
RECIPES["pard", "cpu"] = replace(
    RECIPES["align", "cpu"], batch_tokens=1024, micro_tokens=1024, lr=1e-3, limit_minutes=40, num_written=1600
)
RECIPES["pard", "gpu"] = replace(RECIPES["align", "gpu"], lr=1e-3)
for _name in ("chimera", "eagle", "hydra"):
    RECIPES[_name, "gpu"] = RECIPES["heads", "gpu"]
for _preset in ("cpu", "gpu"):
    # All of its parameters are Muon's matrices, which begin at zero and have far to go.
    RECIPES["medusa", _preset] = replace(RECIPES["heads", _preset], lr=8e-3, stages=_MOSTLY_WRITTEN, decay_from=0.1)
    # Corrections begin at zero, on maps that stay as they are.
    RECIPES["transfer_corrections", _preset] = replace(
        RECIPES["hidden_transfer", _preset], lr=1.5e-3, stages=_MOSTLY_WRITTEN, decay_from=0.1
    )


@dataclass
class Progress:
    """What a checkpoint has to remember besides tensors."""

    num_tokens: int = 0
    num_steps: int = 0
    seconds: float = 0.0
    epoch: int = 0
    offset: int = 0
    """Rows of this epoch that are used up."""

    def share(self, recipe: Recipe) -> float:
        """Used share of the budget, 0 … 1."""
        return min(1.0, max(self.num_tokens / recipe.num_tokens, self.seconds / (60 * recipe.limit_minutes)))


def stage_at(recipe: Recipe, share: float) -> Stage:
    """The stage that a used-up share of the budget falls in."""
    return [stage for stage in recipe.stages if stage.start <= share][-1]


def learning_rate(recipe: Recipe, share: float) -> float:
    """Linear warm-up, flat, then linear decay to 2 % of the peak."""
    if share < recipe.warmup:
        return recipe.lr * max(share, 1e-4) / recipe.warmup
    if share < recipe.decay_from:
        return recipe.lr
    return recipe.lr * max(0.02, (1 - share) / (1 - recipe.decay_from))
