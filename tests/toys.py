"""Fakes with known answers, and tiny models built in code: no weights, no network.

`TableTarget` is a target whose distributions are a table; `ScriptedDrafter` proposes what a function
says; `tiny` builds a randomly initialised Hugging Face model of a family, loud enough that a wrong
mask or position changes its logits.
"""

from __future__ import annotations

import functools
import importlib
import json
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import transformers
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter, Room
from engine.drafters.heads._weights import CONFIG_FILE, WEIGHTS_FILE
from engine.events import Event, SessionFinished, Stepped
from engine.loop import generate
from engine.models import LoadedModel, context_length, fingerprint_of
from engine.runtime.runner import Tell
from engine.target import Pending, Scored, Target
from engine.training.heads import Heads
from engine.training.material import Material
from engine.training.recipes import RECIPES
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict

VOCAB_SIZE = 64
WINDOW = 6
MAX_CONTEXT = 160
CPU = torch.device("cpu")


class LetterTokenizer:
    """Token i is the i-th letter. Nothing is special but the end token, whose text is `.`."""

    chat_template: str | None = None
    unk_token_id: int | None = None

    def __init__(self, vocab_size: int, eos_id: int | None = None) -> None:
        self.letters = [chr(97 + i) if i < 26 else chr(0x4E00 + i) for i in range(vocab_size)]
        if eos_id is not None:
            self.letters[eos_id] = "."
        self.eos_token_id = eos_id
        self.all_special_ids = [] if eos_id is None else [eos_id]

    def __len__(self) -> int:
        return len(self.letters)

    def __call__(self, text: str, **kwargs: Any) -> dict[str, list[int]]:
        return {"input_ids": [self.letters.index(letter) for letter in text]}

    def decode(self, ids: Iterable[int], **kwargs: Any) -> str:
        return "".join(self.letters[i] for i in ids if i < len(self))  # as tokenizers do with rows of padding

    def convert_tokens_to_ids(self, name: str) -> int | None:
        return self.letters.index(name) if name in self.letters else None

    def get_vocab(self) -> dict[str, int]:
        return {letter: i for i, letter in enumerate(self.letters)}


def loaded(model: Any, vocab_size: int, max_context: int, eos_id: int | None = None, name: str = "toy") -> LoadedModel:
    """A model under the loader's roof, with a letter tokenizer."""
    fingerprint = fingerprint_of(model) if isinstance(model, PreTrainedModel) else ""
    tokenizer = cast(Any, LetterTokenizer(vocab_size, eos_id))
    return LoadedModel(name, model, tokenizer, max_context, weights_fingerprint=fingerprint)


def stand_in(vocab_size: int, eos_id: int | None = None) -> Any:
    """What a target without a model has in its place."""
    config = transformers.LlamaConfig(vocab_size=vocab_size)
    ends = SimpleNamespace(eos_token_id=eos_id)
    return SimpleNamespace(device=CPU, dtype=torch.float32, generation_config=ends, config=config)


class Table:
    """Distributions over a tiny vocabulary that depend on the last two tokens; reproducible by seed."""

    def __init__(self, vocab_size: int, seed: int = 0, sharpness: float = 1.5) -> None:
        self.vocab_size = vocab_size
        generator = torch.Generator().manual_seed(seed)
        shape = (vocab_size + 1, vocab_size + 1, vocab_size)
        self.logits = sharpness * torch.randn(shape, generator=generator, dtype=torch.float64)

    def row(self, ids: Sequence[int]) -> Tensor:
        """Logits (v,) of the token that follows these."""
        before, last = [self.vocab_size, self.vocab_size, *ids][-2:]
        return self.logits[before, last]

    def probs(self, ids: Sequence[int]) -> Tensor:
        """Distribution (v,) of the token that follows these, float64."""
        return self.row(ids).softmax(dim=0)


class TableTarget(Target):
    """A target without a model: scores are read from a table."""

    def __init__(self, table: Table, max_context: int = 64, eos_id: int | None = None) -> None:
        self.loaded = loaded(stand_in(table.vocab_size, eos_id), table.vocab_size, max_context, eos_id, "table")
        self.table = table
        self.hidden_layers = ()
        self.committed: list[int] = []
        self.pending: tuple[int, DraftTree] | None = None
        self.num_passes = 0

    @property
    def kv_length(self) -> int:
        return len(self.committed)

    def prefill(self, token_ids: Sequence[int], tell: Tell | None = None) -> tuple[Tensor, ...] | None:
        self.committed, self.pending = list(token_ids), None
        if tell is not None and token_ids:
            tell(torch.stack([self.row(token_ids[: end + 1]) for end in range(len(token_ids))]).float())
        return None

    def row(self, ids: Sequence[int]) -> Tensor:
        """Logits (v,) of the token that follows these."""
        return self.table.row(ids)

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        self.pending = root_id, tree
        self.num_passes += 1
        before = [*self.committed, root_id]
        paths = [[], *([tree.tokens[i] for i in tree.path_to(node)] for node in range(len(tree)))]
        return Pending(Scored(torch.stack([self.row(before + path) for path in paths]).float(), None))

    def discard(self) -> None:
        self.pending = None

    def commit(self, path: Sequence[int]) -> None:
        assert self.pending is not None
        root_id, tree = self.pending
        assert list(path) == list(tree.path_to(path[-1] if path else -1)), "a path goes from parent to child"
        self.committed += [root_id, *(tree.tokens[node] for node in path)]
        self.pending = None


class Rows:
    """Ready-made distributions (n + 1, v), as a rule asks for them."""

    def __init__(self, probs: Tensor) -> None:
        self.probs, self.asked = probs, set[int]()

    @property
    def width(self) -> int:
        return self.probs.shape[1]

    def likeliest(self, row: int) -> int:
        return int(self[row].argmax())

    def __getitem__(self, row: int) -> Tensor:
        self.asked.add(row)
        return self.probs[row]


@st.composite
def trees(draw: st.DrawFn, max_nodes: int = 12, vocab_size: int = 3) -> DraftTree:
    """Any tree, siblings with the same token included, as they are drawn."""
    num_nodes = draw(st.integers(0, max_nodes))
    parents = tuple(draw(st.integers(-1, i - 1)) for i in range(num_nodes))
    tokens = tuple(draw(st.integers(0, vocab_size - 1)) for _ in range(num_nodes))
    return DraftTree(tokens, parents)


# Drafters that do as they are told


class ScriptedDrafter(Drafter):
    """Proposes what `script(context, budget)` says, and remembers what it was told."""

    name = "scripted"
    title = "Scripted"
    summary = "Does as it is told."
    source = "tests"
    states_draws = True

    def __init__(self, script: Callable[[Context, int], DraftTree]) -> None:
        self.options = SimpleNamespace()
        self.script = script
        self.observed: list[tuple[Verdict, list[int]]] = []

    def propose(self, context: Context, room: Room) -> DraftTree:
        return self.script(context, room.nodes)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        self.observed.append((verdict, list(emitted)))


Script = Callable[[Context, int], DraftTree]


def right(text: Sequence[int], depth: int = 4) -> Script:
    """Always right: proposes what comes next in `text` (prompt and plain output together)."""
    return lambda context, budget: chain(text[len(context.ids) : len(context.ids) + depth])


def wrong(text: Sequence[int], vocab_size: int, depth: int = 4) -> Script:
    """Always wrong, at the first token already."""

    def script(context: Context, budget: int) -> DraftTree:
        truth = text[len(context.ids) : len(context.ids) + depth]
        return chain([(token + 1) % vocab_size for token in truth])

    return script


def random_trees(vocab_size: int, seed: int = 0, num_nodes: int = 12, truth: Sequence[int] = ()) -> Script:
    """Random shapes and tokens; sometimes the true token."""

    def script(context: Context, budget: int) -> DraftTree:
        rng = random.Random(f"{seed} {len(context.ids)}")
        parents = tuple(rng.randint(-1, i - 1) for i in range(rng.randint(0, num_nodes)))
        depths = DraftTree((0,) * len(parents), parents).depths
        tokens = []
        for depth in depths:
            place = len(context.ids) + depth - 1
            is_true = place < len(truth) and rng.random() < 0.5
            tokens.append(truth[place] if is_true else rng.randrange(vocab_size))
        drawn = DraftTree(tuple(tokens), parents)
        return DraftTree.merged([drawn.tokens[i] for i in drawn.path_to(node)] for node in range(len(drawn)))

    return script


def greedy_text(target: Target, prompt_ids: Sequence[int], num_tokens: int, **settings: Any) -> list[int]:
    """Prompt and plain output together."""
    nobody = ScriptedDrafter(lambda context, budget: EMPTY_TREE)
    config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False, **settings)
    return [*prompt_ids, *output_ids(generate(target, nobody, prompt_ids, config))]


def output_ids(events: Iterable[Event]) -> list[int]:
    """Emitted tokens; a run that failed fails the test."""
    ids = []
    for event in events:
        if isinstance(event, SessionFinished):
            assert event.reason != "failed", event.message
        if isinstance(event, Stepped):
            ids += [token.token_id for token in event.emitted]
    return ids


def steps_of(events: Sequence[Event]) -> list[Stepped]:
    """The steps among a run's events."""
    return [event for event in events if isinstance(event, Stepped)]


def finished(events: Sequence[Event]) -> SessionFinished:
    """How a whole run ended."""
    assert isinstance(events[-1], SessionFinished)
    return events[-1]


# Tiny Hugging Face models


def _sizes(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": MAX_CONTEXT,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        **more,
    }


_SMALL: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "hidden_size": 64, "eos_token_id": None, "bos_token_id": None}
_SLIDING = {
    "head_dim": 16,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 16,
}
_GPT2: dict[str, Any] = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": MAX_CONTEXT}
_OPT: dict[str, Any] = {"word_embed_proj_dim": 64, "ffn_dim": 96, "init_std": 0.2}
BORDER = 24
"""Tokens up to which the LongRoPE family reads with short factors."""
_LONGROPE = {
    "original_max_position_embeddings": BORDER,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 8,
        "long_factor": [4.0 + i for i in range(8)],
    },
}
_MOE = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaConfig(**_sizes()),
    "qwen2": lambda: transformers.Qwen2Config(**_sizes()),
    "qwen3": lambda: transformers.Qwen3Config(**_sizes(head_dim=16)),
    "mistral": lambda: transformers.MistralConfig(**_sizes(sliding_window=None, head_dim=16)),
    "gemma2": lambda: transformers.Gemma2Config(**_sizes(**_SLIDING)),
    "gemma3": lambda: transformers.Gemma3TextConfig(**_sizes(**_SLIDING)),
    "phi3": lambda: transformers.Phi3Config(**_sizes()),
    "phi3_longrope": lambda: transformers.Phi3Config(**_sizes(**_LONGROPE)),
    "stablelm": lambda: transformers.StableLmConfig(**_sizes()),
    "mixtral": lambda: transformers.MixtralConfig(**_sizes(**_MOE)),
    "opt": lambda: transformers.OPTConfig(**_sizes(**_OPT)),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**_sizes()),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=VOCAB_SIZE, initializer_range=0.2, eos_token_id=None, **_GPT2),
}
_OWN_NAMES: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "n_embd": 64, "n_layer": 2, "n_head": 4, "eos_token_id": None}
REFUSED: dict[str, Callable[[], Any]] = {
    "gptj": lambda: transformers.GPTJConfig(rotary_dim=8, **_OWN_NAMES),
    "codegen": lambda: transformers.CodeGenConfig(rotary_dim=8, **_OWN_NAMES),
    "gpt_neo": lambda: transformers.GPTNeoConfig(
        num_layers=2, num_heads=4, attention_types=[[["global"], 2]], **_SMALL
    ),
    "bloom": lambda: transformers.BloomConfig(n_layer=2, n_head=4, **_SMALL),
    "mpt": lambda: transformers.MptConfig(vocab_size=VOCAB_SIZE, d_model=64, n_layers=2, n_heads=4, max_seq_len=160),
    "falcon": lambda: transformers.FalconConfig(num_hidden_layers=2, num_attention_heads=4, **_SMALL),
    "falcon with ALiBi": lambda: transformers.FalconConfig(
        num_hidden_layers=2, num_attention_heads=4, alibi=True, **_SMALL
    ),
    "gpt_oss": lambda: transformers.GptOssConfig(**_sizes(head_dim=16, num_experts_per_tok=2, num_local_experts=4)),
    "llama4_text": lambda: transformers.Llama4TextConfig(**_sizes(head_dim=16, num_local_experts=2)),
    "mamba": lambda: transformers.MambaConfig(vocab_size=16, hidden_size=16, state_size=4, num_hidden_layers=1),
    "lfm2": lambda: transformers.Lfm2Config(**_sizes(layer_types=["conv", "full_attention"])),
}
"""Families that the engine does not run, whose config is named as here but for the words behind a space."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def build(config: Any, dtype: str = "float32", seed: int = 0, attention: str = "eager") -> PreTrainedModel:
    """A randomly initialised model; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return cast(PreTrainedModel, model.to(DTYPES[dtype]).requires_grad_(False).eval())


@functools.cache
def tiny(family: str, dtype: str = "float32", seed: int = 0) -> LoadedModel:
    """A tiny model for the engine to run (it changes the model's attention and linear layers)."""
    config = FAMILIES[family]()
    return loaded(build(config, dtype, seed), VOCAB_SIZE, context_length(config), name=f"tiny-{family}")


@functools.cache
def stock(family: str, dtype: str = "float32", seed: int = 0) -> PreTrainedModel:
    """The same weights in an untouched transformers model: the reference."""
    return build(FAMILIES[family](), dtype, seed)


@functools.cache
def draft_for(vocab_size: int, max_context: int, seed: int = 7) -> LoadedModel:
    """A tiny Llama of any vocabulary, to draft for a target that it knows nothing of."""
    config = transformers.LlamaConfig(**_sizes(vocab_size=vocab_size, max_position_embeddings=max_context))
    return loaded(build(config, seed=seed), vocab_size, max_context, name="tiny-draft")


def untrained(name: str, hidden_size: int, vocab_size: int) -> Heads:
    """What a trained method's training begins with."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        target = build(transformers.LlamaConfig(**_sizes(hidden_size=hidden_size, vocab_size=vocab_size)))
        material = Material("tiny", target, cast(Any, None), Path(), Path(), [])
        return cast(Heads, importlib.import_module(f"engine.training.{name}").make(material, RECIPES["heads", "cpu"]))


@functools.cache
def random_weights(name: str, hidden_size: int, vocab_size: int) -> Path:
    """A folder with a trained method's weights, untrained, as its training would write it; for any target."""
    heads = untrained(name, hidden_size, vocab_size)
    return write_weights(Path(tempfile.mkdtemp(prefix=f"{name}-")), heads.tensors(), heads.config())


def write_weights(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """A weights folder, as training writes it."""
    folder.mkdir(exist_ok=True)
    save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return folder


def create(name: str, target: Target, **options: object) -> Drafter:
    """A method of the registry for a tiny target; skips the test where it cannot run on one."""
    if drafters.get(name).needs.weights and isinstance(target.loaded.model, PreTrainedModel):
        size = target.loaded.model.config.get_text_config().hidden_size
        # A budget of its own, since on a tiny target no number of nodes need pay.
        weights = str(random_weights(name, size, len(target.loaded.tokenizer)))
        options = {"weights": weights, "budget": 12, **options}
        return drafters.create(name, options, target)
    reason = drafters.get(name).unavailable(target)
    if reason is not None and not drafters.get(name).needs.draft_model:
        pytest.skip(reason)
    return drafters.create(name, options, target)


@torch.inference_mode()
def stock_logits(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """Logits (t, v) of a plain causal pass, float32."""
    return cast(Tensor, model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float())


@torch.inference_mode()
def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """What a model makes of states (k, h) behind its last norm: logits (k, v) float32."""
    logits: Tensor = model.get_output_embeddings()(states).float()  # type: ignore[operator,misc]
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return softcap * torch.tanh(logits / softcap) if softcap else logits


def prompt_ids(num_tokens: int, vocab_size: int = VOCAB_SIZE, seed: int = 1) -> list[int]:
    """Some tokens."""
    rng = random.Random(seed)
    return [rng.randrange(vocab_size) for _ in range(num_tokens)]


# Statistics


def assert_fits(counts: Tensor, probs: Tensor, alpha: float = 1e-6) -> None:
    """Chi-square goodness of fit of observed counts to a law; rare cells are merged."""
    expected = probs.double().flatten() * counts.sum()
    observed = counts.double().flatten()
    impossible = expected == 0
    assert not observed[impossible].any(), "an outcome of probability zero was observed"
    is_rare = expected < 5
    pairs = [(observed[~is_rare], expected[~is_rare]), (observed[is_rare].sum()[None], expected[is_rare].sum()[None])]
    observed, expected = (torch.cat(column) for column in zip(*pairs, strict=True))
    observed, expected = observed[expected > 0], expected[expected > 0]
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = torch.tensor(len(expected) - 1, dtype=torch.float64)
    p_value = torch.special.gammaincc(freedom / 2, statistic / 2).item()
    assert p_value > alpha, f"chi-square {statistic:.1f} on {len(expected) - 1} degrees of freedom"
