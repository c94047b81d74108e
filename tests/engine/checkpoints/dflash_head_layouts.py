"""DSpark's and DFlash 2's published layouts, written small, and references from the formats' description.

Backbone and target are dflash_layouts.py's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from tests.engine.checkpoints.dflash_layouts import PUBLISHED, Published, Reference
from tests.engine.checkpoints.eagle_layouts import NUM_DRAFTED, NUM_TOKENS, WIDTH, Tensors, some

RANK, TAPS, GROUP = 6, 3, 16


def markov(num_tokens: int, num_scored: int, width: int, kind: str, *, reads_token: bool = True) -> Tensors:
    """A head, loud enough that every part of it tells."""
    own = "markov_head"
    found = {f"{own}.markov_w1.weight": 4 * some(num_tokens, RANK, seed=1)}
    found[f"{own}.markov_w2.weight"] = 4 * some(num_scored, RANK, seed=2)
    if kind == "gated":
        found |= {f"{own}.gate_proj.weight": 3 * some(RANK, width + RANK), f"{own}.gate_proj.bias": some(RANK)}
    if kind == "rnn":
        joint = 3 * RANK, 2 * RANK + width
        found |= {f"{own}.joint_proj.weight": 3 * some(*joint), f"{own}.joint_proj.bias": some(joint[0])}
    columns = width + RANK * reads_token
    return found | {"confidence_head.proj.weight": 2 * some(1, columns), "confidence_head.proj.bias": some(1)}


def _on(layout: str, tensors: Tensors, config: dict[str, Any], **changed: Any) -> Published:
    """A layout of DFlash's with more tensors and keys; those of `dflash_config` are added to what is there."""
    published = PUBLISHED[layout]()
    nested = {**published.config.get("dflash_config", {}), **config.pop("dflash_config", {})}
    told = {**published.config, **config} | ({"dflash_config": nested} if nested else {})
    return dataclasses.replace(published, tensors=published.tensors | tensors, config=told, **changed)


def _deepspec() -> Published:
    own = {"markov_rank": RANK, "markov_head_type": "vanilla", "enable_confidence_head": True}
    own |= {"confidence_head_with_markov": True, "architectures": ["Qwen3DSparkModel"]}
    return _on("DeepSpec", markov(NUM_TOKENS, NUM_TOKENS, WIDTH, "vanilla"), own)


def _specforge() -> Published:
    """Keys within `dflash_config`; the root's row foresees although nothing says so; confidence of the state alone."""
    own = {"markov_rank": RANK, "markov_head_type": "vanilla", "projector_type": "dspark"}
    own |= {"enable_confidence_head": True, "confidence_head_with_markov": False}
    tensors = markov(NUM_TOKENS, NUM_TOKENS, WIDTH, "vanilla", reads_token=False)
    return _on("z-lab", tensors, {"architectures": ["DSparkDraftModel"], "dflash_config": own}, is_anchor_asked=True)


def _speculators() -> Published:
    """Some tokens drafted, tables padded longer, a state that goes along the block."""
    own = {"speculators_model_type": "dspark", "markov_rank": RANK, "markov_head_type": "rnn"}
    own |= {"enable_confidence_head": True, "confidence_head_with_markov": True, "sample_from_anchor": True}
    return _on("speculators", markov(NUM_TOKENS + 16, NUM_DRAFTED, 48, "rnn"), own, is_anchor_asked=True)


def _older() -> Published:
    """Heads below `logit_head.`, and the root not asked."""
    tensors = {f"logit_head.{name}": tensor for name, tensor in markov(NUM_TOKENS, NUM_TOKENS, WIDTH, "gated").items()}
    own = {"markov_rank": RANK, "markov_head_type": "gated", "sample_from_anchor": False}
    return _on("DeepSpec", tensors, own, is_anchor_asked=False)


DSPARK: dict[str, Callable[[], Published]] = {
    "DeepSpec": _deepspec,
    "SpecForge": _specforge,
    "speculators": _speculators,
    "older": _older,
}


class DSparkReference(Reference):
    """The head's steps as its description says."""

    def law(self, tokens: Sequence[int]) -> tuple[Tensor, float]:
        """Behind these tokens of the block: the law (n,) of the next place, and the confidence there."""
        states = self.states
        inner = torch.zeros(RANK)
        for place, token in enumerate((self.ids[-1], *tokens)):
            state, before = states[place], self._part("markov_head.markov_w1.weight")[token]
            added, inner = self._added(before, state, inner)
        weight = self._part("confidence_head.proj.weight")[0]
        given = torch.cat((state, before))[: len(weight)]
        doubt = given @ weight + self._part("confidence_head.proj.bias")[0]
        return (self.logits(state[None])[0] + added).softmax(dim=0), float(doubt.sigmoid())

    def _added(self, before: Tensor, state: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
        kind = self.published.config.get("dflash_config", self.published.config).get("markov_head_type")
        if kind == "gated":
            gate = self._affine("gate_proj", torch.cat((state, before))).sigmoid()
            before = gate * before
        if kind == "rnn":
            gate, candidate, out = self._affine("joint_proj", torch.cat((inner, before, state))).chunk(3)
            inner = gate.sigmoid() * inner + (1 - gate.sigmoid()) * candidate.tanh()
            before = out.tanh()
        return self._part("markov_head.markov_w2.weight") @ before, inner

    def _affine(self, name: str, given: Tensor) -> Tensor:
        return self._part(f"markov_head.{name}.weight") @ given + self._part(f"markov_head.{name}.bias")

    def _part(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else self.tensors[f"logit_head.{name}"]


def selector(width: int, num_tokens: int) -> Tensors:
    """A selector, and convolutions that are no identities."""
    name = "candidate_selector"
    found = {f"{name}.predecessor_codebook": 4 * some(num_tokens, RANK, seed=1)}
    found[f"{name}.successor_codebook"] = 4 * some(num_tokens, RANK, seed=2)
    found[f"{name}.hidden_projection.weight"] = 2 * some(RANK, width)
    for number in range(2):
        for part in ("attention", "mlp"):
            own, rows = f"layers.{number}.{part}_conv", 2 * TAPS * width // GROUP
            base = 0.5 * some(2, TAPS, width, seed=number + len(part))
            found[f"{own}.base_kernel"] = base + pad(torch.ones(2, 1, width), (0, 0, 0, TAPS - 1))
            found[f"{own}.kernel_projection.weight"] = 0.5 * some(rows, width, seed=number + len(part))
    return found


_SELECTOR = {"conv_kernel_size": TAPS, "conv_group_size": GROUP, "selector_rank": RANK, "selector_top_k": 5}


def _z_lab() -> Published:
    config = {"architectures": ["DFlash2DraftModel"], "dflash_config": dict(_SELECTOR)}
    return _on("z-lab", selector(WIDTH, NUM_TOKENS), config)


def _vllm() -> Published:
    """Another width than the target's, every token, tables padded longer, scores scaled and bent."""
    published, padded = PUBLISHED["speculators"](), NUM_TOKENS + 16
    tensors = {name: tensor for name, tensor in published.tensors.items() if name not in ("d2t", "t2d")}
    tensors |= selector(48, padded) | {"lm_head.weight": 4 * some(padded, 48)}
    own = {"speculators_model_type": "dflash2", "output_multiplier": 0.5, "final_logit_softcapping": 4.0, **_SELECTOR}
    scales = (1.0, 0.5, 4.0)
    return dataclasses.replace(published, tensors=tensors, config={**published.config, **own}, scales=scales)


DFLASH2: dict[str, Callable[[], Published]] = {"z-lab": _z_lab, "speculators": _vllm}


class DFlash2Reference(Reference):
    """Convolutions and selector as their description says."""

    def law(self, tokens: Sequence[int]) -> Tensor:
        """Behind these tokens of the block: the law (n,) of the next place, nothing outside its candidates."""
        states, before = self.states[len(tokens)], [self.ids[-1], *tokens][-1]
        logits = self.logits(states[None])[0, :NUM_TOKENS]
        best = logits.topk(_SELECTOR["selector_top_k"])
        name = "candidate_selector"
        given = self.tensors[f"{name}.predecessor_codebook"][before]
        given = given * (self.tensors[f"{name}.hidden_projection.weight"] @ states)
        scores = best.values + self.tensors[f"{name}.successor_codebook"][best.indices] @ given
        return torch.full_like(logits, -torch.inf).scatter(0, best.indices, scores).softmax(dim=0)

    def _around(self, name: str, given: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        base = self.tensors[f"{name}_conv.base_kernel"]
        delta = (given @ self._of(f"{name}_conv.kernel_projection").T).view(len(given), 2, TAPS, -1)
        kernels = base + delta.repeat_interleave(GROUP, dim=3)
        return self._convolved(part(self._convolved(given, kernels[:, 0])), kernels[:, 1])

    @staticmethod
    def _convolved(x: Tensor, kernels: Tensor) -> Tensor:
        return torch.stack([sum(kernels[i, t] * x[i - t] for t in range(min(TAPS, i + 1))) for i in range(len(x))])  # type: ignore[misc]
