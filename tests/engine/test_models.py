"""Names to models: what cannot be loaded is refused with a sentence that says what exists."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import toys
import transformers
from model_folders import save_model
from safetensors.torch import load_file, save_file
from toys import loaded, tiny

from engine import models
from engine.errors import BadInput, UnknownName
from engine.runtime.device import choose_device, choose_dtype

CPU = torch.device("cpu")


def refusal(call: Callable[[], object]) -> str:
    """The one-line message of the BadInput that a call raises."""
    with pytest.raises(BadInput) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    return message


def load(name: object) -> models.LoadedModel:
    return models.load(str(name), "cpu", "fp32")


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model folder, to be spoilt."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def test_a_folder_is_loaded_with_its_tokenizer_and_context(model_folder: Path) -> None:
    found = load(model_folder)
    assert found.dtype == torch.float32
    assert found.device == CPU
    assert found.max_context == 256
    assert found.eos_ids == {0}
    assert not any(parameter.requires_grad for parameter in found.model.parameters())


def test_a_model_is_loaded_once_and_shared(model_folder: Path) -> None:
    assert load(model_folder) is load(model_folder)


def test_a_model_that_drafts_for_itself_has_weights_of_its_own(model_folder: Path) -> None:
    target = load(model_folder)
    assert models.load_draft(str(model_folder), target).model is not target.model


@pytest.mark.parametrize("name", ["storyy", "./nowhere", "/no/such/folder", "~/no-such-folder", "a/b/c"])
def test_an_unknown_name_lists_the_presets(name: str) -> None:
    with pytest.raises(UnknownName, match="story"):
        load(name)


@pytest.mark.parametrize("name", ["nobody/nothing", "no body/nothing", "nobody/nothing?", "qwen3-8b"])
def test_a_hub_name_that_cannot_be_fetched_is_refused_and_presets_are_named(name: str) -> None:
    message = refusal(lambda: load(name))
    assert name in message
    assert "story" in message


def test_every_preset_names_a_model_or_an_embedded_folder() -> None:
    for preset in models.presets().values():
        for source in (preset.target, preset.draft):
            assert source is None or source.count("/") == 1
        assert preset.title
    assert (models.ASSETS / models.presets()["story"].target / "config.json").is_file()


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5000])


def replace_by_noise(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 20)


def empty_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def lose_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def lose_a_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})


def other_shape(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 64}))


def spoil_the_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def unknown_architecture(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "perceptron"}))


def spoil_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def unknown_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": {"type": "Banana"}}))


def another_programs_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(["no", "tokenizer"]))


def unreadable_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe\x00{{")


def lose_the_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


SPOILT = [cut_off, replace_by_noise, empty_the_weights, lose_the_weights, lose_a_tensor, other_shape]
SPOILT += [spoil_the_config, unknown_architecture, spoil_the_tokenizer, lose_the_tokenizer]
SPOILT += [unknown_tokenizer, another_programs_tokenizer, unreadable_template]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_folder_is_refused_and_named(spoil: Callable[[Path], None], folder: Path) -> None:
    spoil(folder)
    assert str(folder) in refusal(lambda: load(folder))


def test_a_folder_without_a_config_says_what_is_wanted(tmp_path: Path) -> None:
    assert "config.json" in refusal(lambda: load(tmp_path))


def test_a_draft_model_with_another_vocabulary_is_refused_with_both_sizes(model_folder: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", vocab_size=270)
    message = refusal(lambda: models.load_draft(str(other), load(model_folder)))
    assert "270" in message
    assert "280" in message
    same_size = save_model(tmp_path / "same-size", texts=("zebra zoo zigzag " * 9, "quick queue " * 9))
    assert "vocabulary" in refusal(lambda: models.load_draft(str(same_size), load(model_folder)))


def test_a_target_without_a_known_draft_model_says_how_to_name_one(model_folder: Path) -> None:
    assert "option model" in refusal(lambda: models.load_draft("auto", load(model_folder)))


def test_a_prompt_becomes_a_user_message_where_there_is_a_chat_template(model_folder: Path) -> None:
    found = load(model_folder)
    assert found.tokenizer.decode(found.encode("Hi.")) == "<|user|>Hi.<|assistant|>"


def test_a_conversation_is_encoded_as_the_template_says(model_folder: Path) -> None:
    found = load(model_folder)
    said = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": ""}, {"role": "user", "content": "Go"}]
    assert found.encode(said[:1]) == found.encode("Hi.")
    assert found.tokenizer.decode(found.encode(said)) == "<|user|>Hi.<|assistant|><|end|><|user|>Go<|assistant|>"
    said[2]["content"] = "\ud800"
    assert found.tokenizer.decode(found.encode(said)).endswith("<|user|>?<|assistant|>")
    for unusable in ([], [{"role": "user", "content": " "}]):
        assert "empty" in refusal(lambda unusable=unusable: found.encode(unusable))


def test_a_conversation_without_a_template_is_parted_by_blank_lines(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    found = load(tmp_path / "base")
    said = [{"role": "user", "content": "One."}, {"role": "assistant", "content": "Two."}]
    assert (
        found.tokenizer.decode(found.encode([*said, {"role": "user", "content": "Three."}])) == "One.\n\nTwo.\n\nThree."
    )


@pytest.mark.parametrize(
    "template",
    ["{% if %}", "{{ raise_exception('x') }}", "{{ 1 + 'a' }}", "{{ nothing.at.all }}", "{% for %}", "{{ 1 / 0 }}"],
)
def test_a_broken_template_is_refused_and_the_model_named(template: str, folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template)
    found = load(folder)
    assert f"The chat template of {folder} cannot be used" in refusal(lambda: found.encode("Hi."))


def test_a_tokenizer_of_a_larger_model_is_refused_when_it_says_so(folder: Path) -> None:
    small = save_model(folder.parent / "small", vocab_size=270)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, small / name)
    found = load(small)
    assert found.vocab_size == 270
    ids = found.tokenizer("Once upon a time there was a small fox named Tim.")["input_ids"]
    assert max(ids) >= 270
    message = refusal(lambda: found.encode("Once upon a time there was a small fox named Tim."))
    assert f"token {max(ids)}" in message
    assert "270" in message


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_a_fingerprint_is_the_same_in_every_dtype(stored: str, folder: Path) -> None:
    if stored == "bfloat16":
        path = folder / "model.safetensors"
        save_file({name: t.bfloat16() for name, t in load_file(path).items()}, path, metadata={"format": "pt"})
    found = {models.load(str(folder), "cpu", dtype).weights_fingerprint for dtype in ("fp32", "bf16", "fp16")}
    assert len(found) == 1
    assert found != {""}


def test_the_embedded_drafters_name_the_embedded_targets_weights() -> None:
    own = {models.load("story", "cpu", dtype).weights_fingerprint for dtype in ("bf16", "fp16")}
    for method in ("medusa", "mlp_speculator", "chimera", "hidden_transfer"):
        folder = models.ASSETS / "models" / f"story-{method}"
        assert {json.loads((folder / "config.json").read_text())["target_fingerprint"]} == own
        assert next(iter(own)) in (folder / "README.md").read_text()


def test_what_is_made_for_a_model_is_made_once_and_goes_with_it() -> None:
    made, model = [], loaded(None, 5, 9)
    for _ in range(2):
        assert model.keep("thing", lambda: made.append(1) or "thing") == "thing"
    assert made == [1]
    assert dataclasses.replace(model, name="other").kept == {}


@pytest.mark.parametrize("prompt", ["", " ", "\n\t"])
def test_an_empty_prompt_is_refused(prompt: str, model_folder: Path) -> None:
    assert "empty" in refusal(lambda: load(model_folder).encode(prompt))


def test_any_text_can_be_a_prompt(model_folder: Path) -> None:
    found = load(model_folder)
    for prompt in ("\ud800", "\u202eabc", "😀", "<img src=x onerror=alert(1)>", "${x}", "a\x00b"):
        assert found.encode(prompt)


@pytest.mark.parametrize(
    ("given_ids", "wanted"), [(3, {3}), ([3, 4], {3, 4}), (None, {1}), ([], set())], ids=["one", "two", "none", "empty"]
)
def test_end_tokens_come_from_the_generation_config_or_else_the_tokenizer(given_ids: object, wanted: set[int]) -> None:
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=given_ids))
    assert loaded(model, 5, 9, eos_id=1).eos_ids == wanted


def test_a_fingerprint_tells_vocabularies_apart() -> None:
    assert tiny("llama").vocabulary_fingerprint == tiny("gpt2").vocabulary_fingerprint
    other = loaded(None, 64, 9, eos_id=2)
    assert other.vocabulary_fingerprint != tiny("llama").vocabulary_fingerprint


CONTEXTS = {
    "full": (transformers.LlamaConfig(max_position_embeddings=96), 96),
    "gpt2": (transformers.GPT2Config(n_positions=96), 96),
    "mistral without window": (transformers.MistralConfig(max_position_embeddings=96, sliding_window=None), 96),
    "mistral with window": (transformers.MistralConfig(max_position_embeddings=96, sliding_window=32), 32),
    "phi3 with window": (transformers.Phi3Config(max_position_embeddings=96, sliding_window=32, pad_token_id=None), 32),
    "gemma2 mixed": (transformers.Gemma2Config(max_position_embeddings=96, sliding_window=32), 96),
    "qwen2 all sliding": (
        transformers.Qwen2Config(
            max_position_embeddings=96,
            sliding_window=32,
            use_sliding_window=True,
            max_window_layers=0,
            num_hidden_layers=2,
        ),
        32,
    ),
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_model_whose_every_layer_slides_is_held_to_its_window(name: str) -> None:
    config, wanted = CONTEXTS[name]
    assert models.context_length(config) == wanted


def test_devices_and_dtypes_that_do_not_exist_are_refused_with_those_that_do() -> None:
    assert "cpu" in refusal(lambda: choose_device("tpu"))
    assert "cpu" in refusal(lambda: choose_device("cuda:99"))
    assert "bf16" in refusal(lambda: choose_dtype("int4", CPU))
    assert choose_dtype("fp32", CPU) == choose_dtype("float32", CPU) == torch.float32
    assert choose_dtype("auto", CPU) in (torch.float32, torch.bfloat16)


def test_a_gpu_that_only_imitates_bf16_computes_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16


def test_weights_stored_in_bf16_are_read_so_on_a_processor_without_bf16_units(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "has_fast_bf16", lambda: False)
    monkeypatch.setattr("engine.runtime.device.has_fast_bf16", lambda: False)
    assert models.load("story", "cpu").dtype == torch.bfloat16
    assert models.load("story", "cpu", "fp32").dtype == torch.float32
    assert models.load(str(model_folder), "cpu").dtype == torch.float32, "it is stored in float32"


def test_the_first_token_without_a_row_is_refused() -> None:
    found = toys.loaded(toys.build(toys.FAMILIES["llama"]()), toys.VOCAB_SIZE + 1, 64)
    last, beyond = found.tokenizer.decode([toys.VOCAB_SIZE - 1]), found.tokenizer.decode([toys.VOCAB_SIZE])
    assert found.encode(last) == [toys.VOCAB_SIZE - 1]
    assert f"gives token {toys.VOCAB_SIZE}" in refusal(lambda: found.encode(beyond))
