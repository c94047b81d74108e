"""Chimera: what a faithful implementation must show (arXiv 2402.15758), and its cache, its trees, its bad input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toys import VOCAB_SIZE, create, output_ids, prompt_ids, random_weights, tiny

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads._weights import Weights, find_weights
from engine.drafters.heads.chimera import method
from engine.drafters.heads.chimera.method import PUBLISHED_PATHS, Chimera, plan, triple_at
from engine.drafters.heads.chimera.network import ChimeraShape, TorchNetwork
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.target import Scored, Target
from engine.training import chimera as training
from engine.training.activations import hidden_states
from engine.training.losses import soft_cross_entropy
from engine.training.packing import IGNORED
from engine.training.runs import load_target
from engine.verify import Verdict

EMBEDDED = models.ASSETS / "models" / "story-chimera"


def loud_weights(folder: Path) -> Path:
    """Random weights in which every part matters: a fresh encoder adds nothing."""
    source = random_weights("chimera", 64, VOCAB_SIZE)
    generator = torch.Generator().manual_seed(5)
    tensors = {
        name: tensor if tensor.ndim == 1 else torch.randn(tensor.shape, generator=generator) * tensor.shape[1] ** -0.5
        for name, tensor in load_file(source / "model.safetensors").items()
    }
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text((source / "config.json").read_text())
    return folder


def network_of(weights: Weights, target: Any) -> training.Chimera:
    """The weights in their training form."""
    sizes = {name: value for name, value in weights.config.items() if name in ChimeraShape.__dataclass_fields__}
    embedding, output = target.get_input_embeddings().weight, target.get_output_embeddings().weight
    network = training.Chimera(ChimeraShape(**sizes), embedding, output)
    network.load_state_dict({name: t.float() for name, t in weights.tensors.items()}, strict=False)
    return network.requires_grad_(False)


def started(target: Target, drafter: Chimera, ids: Sequence[int]) -> Context:
    context = Context(list(ids), GenerationConfig(), Noise(1))
    target.hidden_layers = drafter.needs.hidden_layers
    context.prompt_hidden = target.prefill(ids[:-1])
    drafter.start(context)
    return context


def step(target: Target, drafter: Chimera, context: Context, path: Sequence[int], next_token: int) -> None:
    """One step in which the nodes of `path` are accepted, whatever the target thinks of them."""
    context.tree = drafter.propose(context, Room(64))
    scored = target.score(context.root_id, context.tree)
    target.commit(path)
    emitted = [*(context.tree.tokens[node] for node in path), next_token]
    context.ids += emitted
    drafter.observe(Verdict(tuple(path), next_token, "correction"), emitted, Scored(scored.logits, scored.hidden))


@pytest.fixture(params=["compiled", "torch"])
def chimera(request: pytest.FixtureRequest, llama: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chimera:
    """In the form for small targets on a CPU, and in the one for all others."""
    if request.param == "torch":
        monkeypatch.setattr(method, "small_output", lambda loaded: None)
    found = make(llama, tmp_path)
    assert isinstance(found.network, TorchNetwork) == (request.param == "torch")
    return found


def make(target: Target, folder: Path, **options: object) -> Chimera:
    found = drafters.create("chimera", {"weights": str(loud_weights(folder / "w")), **options}, target)
    assert isinstance(found, Chimera)
    return found


# The network on trees is the network of training


def test_every_node_scores_as_training_scores_its_path(llama: Target, chimera: Chimera) -> None:
    """Also behind accepted nodes: the released code's mask, which hides a draft's own earlier c, would fail here."""
    network = network_of(find_weights(llama, "chimera", chimera.options.weights), llama.loaded.model)
    context = started(llama, chimera, prompt_ids(11))
    for path in ([], [0, 4, 12], [1]):
        step(llama, chimera, context, path, 7)
    tree, ids = chimera.propose(context, Room(64)), context.ids
    known = fresh_hidden(llama, ids[:-1])
    assert tree.depth == network.num_heads
    assert tree.draft_probs is not None
    for node in range(len(tree)):
        nodes = tree.path_to(node)
        row = torch.tensor([[*ids, *(tree.tokens[i] for i in nodes), *[0] * (8 - len(nodes))]])
        hidden = torch.nn.functional.pad(known, (0, 0, 0, row.shape[1] - 1 - len(known)))[None]
        scores = list(network.scores(row, hidden))[len(nodes) - 1][0, len(ids) - 2]
        assert scores.softmax(dim=0)[tree.tokens[node]].item() == pytest.approx(tree.draft_probs[node], rel=1e-3)


def fresh_hidden(target: Target, ids: Sequence[int]) -> Tensor:
    other = Target(target.loaded)
    other.hidden_layers = (-1,)
    found = other.prefill(ids)
    assert found is not None
    return found[0]


def test_the_cache_after_a_step_is_that_of_verified_states_and_trigrams(
    llama: Target, chimera: Chimera, tmp_path: Path
) -> None:
    """The target's h replaces every drafted c, with nodes accepted that were run, that were not, and none."""
    context = started(llama, chimera, prompt_ids(9))
    for path in ([0], [], [0, 4, 12, 20], [1, 7], [3]):
        step(llama, chimera, context, path, 5)
        chimera.propose(context, Room(64))
        fresh = make(llama, tmp_path)
        again = Context(list(context.ids), context.config, context.noise)
        again.prompt_hidden = (fresh_hidden(llama, context.ids[:-1]),)
        fresh.start(again)
        num_columns = 2 * (len(context.ids) - 1)
        for kept, wanted in ((chimera.cache.keys, fresh.cache.keys), (chimera.cache.values, fresh.cache.values)):
            torch.testing.assert_close(kept[:, :num_columns], wanted[:, :num_columns], atol=1e-4, rtol=1e-4)


def test_another_drafters_accepted_tokens_are_read_too(llama: Target, chimera: Chimera, tmp_path: Path) -> None:
    """As in a fallback: nothing of them was drafted here."""
    context = started(llama, chimera, prompt_ids(9))
    context.tree = _shape_tree([11, 12])
    scored = llama.score(context.root_id, context.tree)
    llama.commit([0, 1])
    context.ids += [11, 12, 13]
    chimera.observe(Verdict((0, 1), 13, "bonus"), [11, 12, 13], scored)
    fresh = make(llama, tmp_path)
    again = started(Target(llama.loaded), fresh, context.ids)
    assert chimera.propose(context, Room(64)).tokens == fresh.propose(again, Room(64)).tokens


def test_steps_of_another_drafter_may_come_one_after_another(llama: Target, chimera: Chimera, tmp_path: Path) -> None:
    """States wait for the next draft, and nothing of an earlier draft is moved for tokens that happen to equal it."""
    context = started(llama, chimera, prompt_ids(9))
    step(llama, chimera, context, [0, 4], 7)
    stale = chimera.propose(context, Room(64))
    twice = [[stale.tokens[node] for node in stale.path_to(12)], [stale.tokens[0], 3], [5]]
    for first, *texts in ([chimera], [chimera, *twice], [chimera, [11, 12], *twice]):
        for text in texts:
            context.tree = _shape_tree(text)
            scored = llama.score(context.root_id, context.tree)
            llama.commit(range(len(text)))
            context.ids += [*text, 13]
            first.observe(Verdict(tuple(range(len(text))), 13, "bonus"), [*text, 13], scored)
        fresh = make(llama, tmp_path)
        again = started(Target(llama.loaded), fresh, context.ids)
        found, wanted = first.propose(context, Room(64)), fresh.propose(again, Room(64))
        assert found.tokens == wanted.tokens
        assert found.draft_probs == pytest.approx(wanted.draft_probs, rel=1e-3)


def _shape_tree(tokens: Sequence[int]) -> Any:
    from engine.tree import chain

    return chain(tokens)


def test_remembering_trigrams_changes_no_draft(llama: Target, tmp_path: Path) -> None:
    found = []
    for remembers in (True, False):
        drafter = make(llama, tmp_path, remembers=remembers)
        events = generate(llama, drafter, prompt_ids(30), GenerationConfig(max_new_tokens=40))
        found.append([event.nodes for event in events if isinstance(event, Stepped)])
    assert found[0] == found[1]
    assert any(len(nodes) > 10 for nodes in found[0])


# Training


def test_the_first_c_comes_to_resemble_the_hidden_state_that_it_stands_in_for() -> None:
    network, ids, hidden = taught()
    before = resemblance(network, ids, hidden)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(40):
        loss = network(ids, hidden)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert resemblance(network, ids, hidden) > before + 0.1


def test_the_fitted_start_foresees_more_than_an_untrained_one() -> None:
    network, ids, hidden = taught()

    def agreement() -> list[float]:
        wanted = torch.nn.functional.linear(hidden, network.output).argmax(dim=-1)
        scores = enumerate(network.scores(ids, hidden), start=1)
        return [(s.argmax(dim=-1) == wanted[:, k : k + s.shape[1]]).float().mean().item() for k, s in scores]

    before = agreement()
    network.fit(ids, hidden)
    assert all(after > share + 0.2 for after, share in zip(agreement(), before, strict=True))


def taught() -> tuple[training.Chimera, Tensor, Tensor]:
    """An untrained network, and a tiny target's states of text that repeats."""
    target = tiny("llama").model
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 12, (6, 8), generator=generator).repeat(1, 5)
    torch.manual_seed(2)
    weights = find_weights(Target(tiny("llama")), "chimera", str(random_weights("chimera", 64, VOCAB_SIZE)))
    return network_of(weights, target).requires_grad_(True), ids, stock_hidden(ids)


def stock_hidden(ids: Tensor) -> Tensor:
    from toys import stock

    return hidden_states(stock("llama"), ids).float()


def resemblance(network: training.Chimera, ids: Tensor, hidden: Tensor) -> float:
    """Mean cosine of c at a place and h of the next."""
    places = torch.arange(30).expand(len(ids), -1)
    first = next(network.steps(ids, hidden, places, places))
    wanted = hidden[:, 1:31]
    return torch.nn.functional.cosine_similarity(first.encoded, wanted, dim=-1).mean().item()


def test_a_later_step_sees_its_own_earlier_steps_and_no_other_places() -> None:
    network, ids, hidden = taught()
    network.load_state_dict(
        {
            name: torch.randn(tensor.shape, generator=torch.Generator().manual_seed(i)) * 0.2
            for i, (name, tensor) in enumerate(network.named_parameters())
        },
        strict=False,
    )
    places, both = torch.tensor([[3, 17]]).expand(len(ids), -1), torch.tensor([[0, 1]]).expand(len(ids), -1)
    found = [step.logits for step in network.steps(ids, hidden, places, both)]
    alone = [step.logits for step in network.steps(ids, hidden, places[:, 1:], both[:, :1])]
    for two, one in zip(found, alone, strict=True):
        torch.testing.assert_close(two[:, 1:], one)
    changed = ids.clone()
    changed[:, 3 + 2] = (changed[:, 3 + 2] + 1) % 12
    again = [step.logits for step in network.steps(changed, hidden, places[:, :1], both[:, :1])]
    torch.testing.assert_close(again[0], found[0][:, :1])
    # The fourth step's own three tokens are those behind the changed one and two more: it sees the second step's.
    again_fed = changed[:, 3 + 3 : 3 + 5]
    assert torch.equal(again_fed, ids[:, 3 + 3 : 3 + 5])
    assert not torch.allclose(again[3], found[3][:, :1], atol=1e-4)


def test_the_soft_loss_and_its_gradient_are_those_of_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 5, 7, generator=generator, requires_grad=True)
    probs = torch.randn(2, 5, 7, generator=generator).softmax(dim=-1)
    labels = torch.randint(0, 7, (2, 5), generator=generator)
    labels[0, 2:] = IGNORED
    kept = labels != IGNORED
    flat = logits[kept]
    cross_entropy = torch.nn.functional.cross_entropy
    wanted = 0.7 * cross_entropy(flat, probs[kept]) + 0.3 * cross_entropy(flat, labels[kept])
    given = soft_cross_entropy(logits, probs, labels, 0.3)
    assert given.item() == pytest.approx(wanted.item(), rel=1e-5)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (given, wanted)]
    torch.testing.assert_close(*gradients)


def test_text_begins_with_repeated_trigrams_everywhere_alike() -> None:
    ids = [7, 8, 9, 10]
    triples = [triple_at(ids, place) for place in range(4)]
    assert triples == [(7, 7, 7), (7, 8, 8), (7, 8, 9), (8, 9, 10)]
    assert training.trigrams(torch.tensor([ids]))[0].tolist() == [list(triple) for triple in triples]


# Trees


def test_a_pass_runs_the_nodes_of_a_depth_that_have_children_and_they_see_their_ancestors() -> None:
    shape = shapes.Shape(PUBLISHED_PATHS, (0.0,) * len(PUBLISHED_PATHS))
    levels = plan(shape, torch.device("cpu"))
    assert [[shape.paths[n] for n in level.nodes if n >= 0] for level in levels[:3]] == [
        [],
        [(0,), (1,), (2,), (3,)],
        [(0, 0), (0, 1), (0, 2), (1, 0)],
    ]
    assert sorted(child for level in levels for child in level.children) == list(range(25))
    # c of the root and g of the node; then c and g of each ancestor besides.
    assert [level.mask.sum(dim=1).tolist() for level in levels] == [[0], [2] * 4, [4] * 4, [6], [8]]


def test_options_cut_the_measured_tree(llama: Target, tmp_path: Path) -> None:
    folder = loud_weights(tmp_path / "w")
    rows = [[[0], 0.6], [[0, 0], 0.4], [[1], 0.2], [[0, 0, 0], 0.2], [[0, 1], 0.1], [[2], 0.05]]
    (folder / "shape.json").write_text(json.dumps(rows))

    def paths(**options: object) -> list[tuple[int, ...]]:
        drafter = drafters.create("chimera", {"weights": str(folder), **options}, llama)
        assert isinstance(drafter, Chimera)
        context = started(llama, drafter, prompt_ids(9))
        assert len(drafter.propose(context, Room(64))) == len(drafter.shape)
        return list(drafter.shape.paths)

    assert paths(budget=6) == [tuple(path) for path, _ in rows]
    assert paths(budget=3) == [(0,), (0, 0), (1,)]
    assert paths(budget=64, depth=1) == [(0,), (1,), (2,)]
    assert paths(budget=64, top_k=1) == [(0,), (0, 0), (0, 0, 0)]
    assert len(paths()) <= 6


def test_a_prompt_of_one_token_drafts_from_the_second_step_on(llama: Target, tmp_path: Path) -> None:
    events = generate(llama, make(llama, tmp_path), [5], GenerationConfig(max_new_tokens=4))
    sizes = [len(event.nodes) for event in events if isinstance(event, Stepped)]
    assert sizes[0] == 0
    assert sizes[1] > 0


# Bad input


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    folder = random_weights("chimera", 32, VOCAB_SIZE)
    with pytest.raises(BadInput, match=r"width 32 with 64 tokens; tiny-llama has width 64"):
        drafters.create("chimera", {"weights": str(folder)}, Target(tiny("llama")))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num_heads": 0}, "num_heads"), ({"num_attention_heads": 3}, "do not divide"), ({"num_heads": 9}, "lack heads.")],
)
def test_a_config_that_does_not_fit_is_refused(
    llama: Target, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    folder = loud_weights(tmp_path / "w")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(BadInput, match=message):
        drafters.create("chimera", {"weights": str(folder)}, llama)


# The embedded weights


def test_without_the_context_or_the_known_state_later_heads_foresee_less() -> None:
    """Removing the encoder's attention, or h from the heads' input, lowers the top-1 accuracy of each later head."""
    target, tokenizer = load_target("story", "cpu")
    rows = heldout_texts(tokenizer)
    hidden = [hidden_states(target, row[None]).float() for row in rows]
    weights = find_weights(Target(models.load("story", "cpu")), "chimera", str(EMBEDDED))
    network = network_of(weights, target)
    whole = top_1(network, rows, hidden)
    no_context = network_of(weights, target)
    no_context.encoder.o_proj.weight.zero_()
    no_known = network_of(weights, target)
    for head in no_known.heads:
        head.weight[:, : weights.number("hidden_size")] = 0  # type: ignore[index]
    for maimed in (no_context, no_known):
        left = top_1(maimed, rows, hidden)
        assert all(less < more for less, more in zip(left[1:], whole[1:], strict=True)), (whole, left)


def heldout_texts(tokenizer: Any) -> list[Tensor]:
    """What the embedded target writes on a few questions of the story suite, with the questions."""
    from engine import suites

    target = Target(models.load("story", "cpu"))
    texts = []
    for question in suites.questions("story", 6):
        ids = target.loaded.encode(question.turns[0])
        plain = drafters.create("plain", {}, target)
        texts.append([*ids, *output_ids(generate(target, plain, ids, GenerationConfig(max_new_tokens=64)))])
    return [torch.tensor(ids) for ids in texts]


def top_1(network: training.Chimera, rows: Sequence[Tensor], hidden: Sequence[Tensor]) -> list[float]:
    """Accuracy of each head with the true tokens fed."""
    right = torch.zeros(network.num_heads)
    places = 0
    for row, states in zip(rows, hidden, strict=True):
        scores = list(network.scores(row[None], states))
        for head, logits in enumerate(scores):
            wanted = row[2 + head : 2 + head + logits.shape[1]]
            right[head] += (logits[0].argmax(dim=-1) == wanted).sum()
        places += scores[0].shape[1]
    return (right / places).tolist()


def test_remembering_trigrams_changes_no_draft_of_the_embedded_weights() -> None:
    target = Target(models.load("story", "cpu"))
    found = []
    for remembers in (True, False):
        drafter = drafters.create("chimera", {"remembers": remembers, "budget": 16}, target)
        events = generate(target, drafter, "Tell me a story about a dog.", GenerationConfig(max_new_tokens=40))
        found.append([event.nodes for event in events if isinstance(event, Stepped)])
    assert found[0] == found[1]


def test_create_covers_it(llama: Target) -> None:
    assert isinstance(create("chimera", llama), Chimera)
