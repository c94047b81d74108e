"""Training of heads: what is asked where, two stages, shared material, a folder that the drafter loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toys import VOCAB_SIZE, losses_of, random_weights, untrained

from engine import cli, drafters, models
from engine.config import GenerationConfig
from engine.drafters import corpus
from engine.drafters.copying._corpus import CORPUS_FILE
from engine.drafters.heads._weights import WEIGHTS_FILE
from engine.errors import BadInput
from engine.loop import generate
from engine.target import Target
from engine.training import acceptance, activations, asked, head_training, material, recipes, requests, runs, written
from engine.training.heads import Heads, labels_of, placed
from engine.training.packing import IGNORED
from engine.training.recipes import Progress

METHODS = [name for name in runs.names() if name in ("medusa", "mlp_speculator")]
END = 9


def test_each_trained_method_has_its_training() -> None:
    """By the module's name alone."""
    trained = [name for name in drafters.names() if drafters.get(name).needs.weights]
    assert set(trained) <= set(runs.names())


def test_head_i_is_asked_for_the_token_i_places_behind_the_roots_next() -> None:
    labels = labels_of(torch.arange(10, 18)[None], num_heads=3, end_ids=())
    assert labels[:, 0].tolist() == [[12, 13, 14, 15], [13, 14, 15, 16], [14, 15, 16, 17]]


def test_behind_the_end_of_a_text_nothing_is_asked() -> None:
    ids = torch.tensor([[1, 2, 3, END, 4, 5, 6, IGNORED]])
    labels = labels_of(ids, num_heads=2, end_ids=(END,))
    assert labels[0, 0].tolist() == [3, END, IGNORED, 5, 6]
    assert labels[1, 0].tolist() == [END, IGNORED, IGNORED, 6, IGNORED]


def test_what_begins_an_answer_may_be_several_tokens() -> None:
    """Only in a row: the last of them alone begins nothing."""
    ids = torch.tensor([[8, 7, 1, 7, 2, 8, 7, 3, 4, END, 7, 5, 6]])
    labels = labels_of(ids, 1, (END,), (8, 7))[0, 0].tolist()
    assert labels == [IGNORED, 7, 2, 8, 7, 3, 4, END, IGNORED, IGNORED, IGNORED]


def test_tokens_that_are_not_scored_are_not_asked() -> None:
    places = torch.tensor([-1, 0, 1, -1])
    labels = torch.tensor([1, 2, 3, IGNORED, 0])
    assert placed(labels, places, -7).tolist() == [0, 1, -7, IGNORED, -7]


def test_only_answers_are_asked_where_a_token_begins_them() -> None:
    """From the token that begins it, whose hidden state scores the answer's first token."""
    begin, user = 8, 7
    ids = torch.tensor([[user, 1, begin, 2, 3, END, user, 4, begin, 5, 6, END, IGNORED, IGNORED]])
    labels = labels_of(ids, 1, (END,), (begin,))[0, 0].tolist()
    unasked = IGNORED
    assert labels == [unasked, unasked, 3, END, unasked, unasked, unasked, unasked, 6, END, unasked, unasked]


class Copying(Heads):
    """Knows the text by heart: head i is sure of the token that is i places behind the hidden state's number."""

    num_heads = 2
    end_ids = (END,)

    def __init__(self, text: Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.text = text

    def scores(self, ids: Tensor, hidden: Tensor) -> Any:
        num_places = ids.shape[1] - 1 - self.num_heads
        for i in range(self.num_heads):
            places = (hidden[0, :num_places, 0].long() + 2 + i).clamp(max=len(self.text) - 1)
            yield torch.nn.functional.one_hot(self.text[places], 12)[None].float()

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def config(self) -> dict[str, Any]:
        return {}


def test_held_out_ranks_are_taken_at_every_place_of_the_answer() -> None:
    """Two tokens of prompt, five of answer: a draft behind each but the last, whose root ends the text."""
    text = torch.tensor([1, 2, 3, 4, 5, 6, END])
    hidden = torch.arange(6.0)[:, None].bfloat16()
    ranks = head_training.heldout_ranks(Copying(text), material.Answers("story", [(2, text, hidden)]))
    unknown = head_training.UNASKED
    assert ranks.tolist() == [[0, 0], [0, 0], [0, 0], [0, unknown]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe a thousand times smaller."""
    stages = (recipes.Stage(0.0, 192), recipes.Stage(0.5, 192, is_written=True))
    recipe = recipes.RECIPES["heads", "cpu"]
    tiny = replace(
        recipe,
        num_tokens=12_000,
        batch_tokens=512,
        stages=stages,
        num_written=12,
        num_text_tokens=4000,
        micro_tokens=256,
    )
    for name in ("heads", *METHODS):
        monkeypatch.setitem(recipes.RECIPES, (name, "cpu"), tiny)
    monkeypatch.setattr(written, "MAX_NEW_TOKENS", 24)
    monkeypatch.setattr(acceptance, "MAX_NEW_TOKENS", 24)
    monkeypatch.setattr(asked, "NUM_HELDOUT", 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    stories = [f"The fox Tim {i} saw a ball. He ran to the park and played {i} times. The end." for i in range(200)]
    (folder / "stories.txt").write_text("\n\n\n".join(stories))
    return folder


def losses(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


def test_training_writes_weights_that_the_drafter_loads(
    small: None, data: Path, model_folder: Path, tmp_path: Path
) -> None:
    """All methods from the material of the first."""
    material = tmp_path / "material"
    words = ["--data", str(data), "--target", str(model_folder), "--written", str(material), "--texts", "tasks"]
    loaded = models.load(str(model_folder), "cpu", "auto")
    for name in METHODS:
        out = tmp_path / name
        assert cli.main(["train", name, *words, "--out", str(out)]) == 0
        made = {path: path.stat().st_mtime_ns for path in material.rglob("*")}
        config = json.loads((out / "config.json").read_text())
        assert (config["target"], config["target_fingerprint"]) == ("target", loaded.weights_fingerprint)
        figures = json.loads((out / "acceptance.json").read_text())["story"]
        assert figures["places"] > 10
        assert all(0 <= share <= 1 for row in figures["by_head_and_rank"] for share in row)
        card = (out / "README.md").read_text()
        assert "block efficiency on story" in card
        assert "acceptance on story" in card
        assert str(tmp_path) not in card
        target = Target(loaded)
        drafter = drafters.create(name, {"weights": str(out)}, target)
        assert len(list(generate(target, drafter, "A fox", GenerationConfig(max_new_tokens=5)))) >= 3
    assert {path: path.stat().st_mtime_ns for path in material.rglob("*")} == made


def test_a_chat_model_is_asked_requests_and_its_answers_are_all_that_is_learnt_from(
    small: None, data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads, then a draft model, table and corpus from the same answers; of the most frequent tokens alone."""
    functions = "".join(f'def f{i}(a):\n    """Add {i} to a."""\n    return a + {i}\n\n\n' for i in range(30))
    (tmp_path / "library.py").write_text(functions)
    monkeypatch.setattr(requests, "_library", lambda: [tmp_path / "library.py"])
    monkeypatch.setattr(requests, "ROWS", 4)
    monkeypatch.setattr(material, "MOST_SCORED", 20)
    recipe = replace(recipes.RECIPES["heads", "cpu"], num_written=40)
    for name in ("heads", "mlp_speculator", "medusa"):
        monkeypatch.setitem(recipes.RECIPES, (name, "cpu"), recipe)
    narrow = replace(recipe, shape=recipes.Shape(32, 1, 2, 48), num_tokens=2_000)
    monkeypatch.setitem(recipes.RECIPES, ("narrow_draft", "cpu"), narrow)
    shared = tmp_path / "material"
    words = ["--data", str(data), "--target", str(model_folder), "--written", str(shared)]
    for name in ("mlp_speculator", "draft", "aded", "sam_decoding"):
        assert cli.main(["train", name, *words, "--out", str(tmp_path / name)]) == 0
    assert not (shared / "text").exists()
    kinds = {json.loads(line)["kind"] for line in (shared / "requests.jsonl").read_text().splitlines()}
    assert {"code", "subjects"} <= kinds
    assert len(json.loads((tmp_path / "mlp_speculator/vocabulary.json").read_text())) == 20
    answers = [row.ids[row.num_prompt :] for row in written.read(shared / "written.jsonl")]
    target = Target(models.load(str(model_folder), "cpu", "auto"))
    kept = corpus.load(str(tmp_path / "sam_decoding" / CORPUS_FILE), target.facts)
    assert kept[: sum(map(len, answers))] == [token for answer in answers for token in answer]
    trained = {"mlp_speculator": {"weights": str(tmp_path / "mlp_speculator")}}
    trained["draft_model"] = {"model": str(tmp_path / "draft")}
    for name, options in trained.items():
        drafter = drafters.create(name, options, target)
        assert len(list(generate(target, drafter, "A fox", GenerationConfig(max_new_tokens=5)))) >= 3
    assert "tied embeddings begun with the target's main directions" in (tmp_path / "draft/README.md").read_text()
    assert all(
        len(part["by_position"]) == 4 for part in json.loads((tmp_path / "draft/acceptance.json").read_text()).values()
    )


def test_hidden_transfer_trains_maps_and_then_corrections(
    small: None, data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run keeps the maps that are there."""
    recipe = replace(recipes.RECIPES["medusa", "cpu"], limit_minutes=1)
    for name in ("hidden_transfer", "transfer_corrections"):
        monkeypatch.setitem(recipes.RECIPES, (name, "cpu"), recipe)
    out = tmp_path / "hidden_transfer"
    words = ["train", "hidden_transfer", "--data", str(data), "--target", str(model_folder), "--out", str(out)]
    words += ["--texts", "tasks"]
    assert cli.main(words) == 0
    maps, whole = (load_file(folder / WEIGHTS_FILE) for folder in (out / "maps", out))
    assert {name.split(".")[0] for name in maps} == {"transfer"}
    assert {name.split(".")[0] for name in whole} == {"transfer", "correction"}
    assert all(torch.equal(whole[name], tensor) for name, tensor in maps.items())
    target = Target(models.load(str(model_folder), "cpu", "auto"))
    drafter = drafters.create("hidden_transfer", {"weights": str(out)}, target)
    assert len(list(generate(target, drafter, "A fox", GenerationConfig(max_new_tokens=5)))) >= 3
    made = (out / "maps" / WEIGHTS_FILE).stat().st_mtime_ns
    assert cli.main(words) == 0
    assert (out / "maps" / WEIGHTS_FILE).stat().st_mtime_ns == made


def test_the_stages_take_their_text_from_the_corpus_and_from_the_target(
    small: None, data: Path, model_folder: Path, tmp_path: Path
) -> None:
    order = runs.Order("medusa", "cpu", data, tmp_path / "out", str(model_folder), texts="tasks")
    recipe = order.recipe("heads")
    gathered = material.gather(order, recipe)
    from engine.training.medusa import make

    job = head_training.HeadTraining("medusa", recipe, make(gathered, recipe), gathered)
    sources = {}
    for name, folder in (("text", gathered.text), ("written", gathered.written)):
        sources[name] = {tuple(row.tolist()) for ids, _ in activations.shards(folder, 0) for row in ids}
    assert not sources["text"] & sources["written"]
    progress = Progress()
    seen = []
    for batch in job.batches(progress):
        (ids, *_), *_ = batch
        seen.append(next(name for name, rows in sources.items() if tuple(ids[0].tolist()) in rows))
        progress.num_tokens += sum(micro[0].shape[0] * (micro[0].shape[1] - 1) for micro in batch)
        if progress.share(recipe) >= 1:
            break
    assert seen == sorted(seen)
    assert abs(seen.count("text") - seen.count("written")) <= 4


@pytest.mark.parametrize("name", METHODS)
def test_training_may_begin_with_weights_of_the_same_kind(name: str, tmp_path: Path) -> None:
    for other in METHODS:
        tensors = load_file(random_weights(other, 64, VOCAB_SIZE) / WEIGHTS_FILE)
        (tmp_path / other).mkdir()
        save_file({key: tensor + 1 for key, tensor in tensors.items()}, tmp_path / other / WEIGHTS_FILE)
    trained = untrained(name, 64, VOCAB_SIZE)
    trained.begin_with(tmp_path / name)
    for key, tensor in load_file(tmp_path / name / WEIGHTS_FILE).items():
        assert torch.equal(trained.tensors()[key], tensor)
    for folder in [tmp_path / "nowhere", *(tmp_path / other for other in METHODS if other != name)]:
        with pytest.raises(BadInput, match="does not hold what is trained here"):
            trained.begin_with(folder)


@pytest.mark.parametrize("name", METHODS)
def test_heads_learn_a_text_by_heart(name: str) -> None:
    """Loss far below that of a uniform guess: shifts that are off by one could not be learnt from such states."""
    import importlib
    from types import SimpleNamespace

    vocab_size, width = 32, 32
    output = torch.randn(vocab_size, width)
    sizes = {"hidden_size": width, "vocab_size": vocab_size, "vocabulary": None}
    material: Any = SimpleNamespace(**sizes, target=object(), output_table=output)
    trained = importlib.import_module(f"engine.training.{name}").make(material, recipes.RECIPES["heads", "cpu"])
    ids = torch.randint(0, vocab_size, (1, 40))
    hidden = torch.randn(1, 39, width)
    losses = losses_of(trained, ids, hidden, num_steps=150, lr=1e-2)
    assert losses[-1] < losses[0] / 10
