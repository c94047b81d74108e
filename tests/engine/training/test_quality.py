"""Answers checked by rule: each check against answers whose verdict is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import models
from engine.target import Target
from engine.training import corpus, quality, report
from engine.training.corpus import Document
from engine.training.quality import Answered
from engine.training.suites import SUITES, suite_rows
from tests.engine.training.stories import STORIES

REPAIR = Answered("Repair this text.\n\nThe dgo runn to the hosue.", "The dog ran to the house.", "")
RETELL = Answered("Change Tim to Leo in this story.\n\nTim ran. Tim fell.", "Leo ran. Leo fell.", "")


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ("The dog ran to the house.", 1),
        ("The dgo runn to the hosue.", 0),
        ("The dog ran to hosue.", 2 / 3),
        ("So the dog ran to the house.", 1),
        ("", 0),
    ],
)
def test_restored_words_counts_the_corrupted_ones_only(given: str, share: float) -> None:
    assert quality.restored_words([Answered(REPAIR.prompt, REPAIR.expected, given)]) == pytest.approx(share)


@pytest.mark.parametrize(("given", "share"), [("Leo ran.", 1), ("Leo ran. Tim fell.", 0), ("He ran.", 0)])
def test_a_retelling_needs_the_new_name_without_the_old(given: str, share: float) -> None:
    assert quality.renamed([Answered(RETELL.prompt, RETELL.expected, given)]) == share


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("He ran to the park. He ran to the park. He slept.", True),
        ("She sang a little song. He ate. She sang a little song. They ate. She sang a little song.", True),
        ("She sang a little song. He ate. She sang a little song.", False),
        ("Yes. Yes. Yes. Yes.", False),
    ],
)
def test_a_loop_is_a_sentence_thrice_or_twice_in_a_row(text: str, loops: bool) -> None:
    assert quality.has_loop(text) is loops


def test_repetition_and_distinct_ngrams_have_known_values() -> None:
    assert quality.distinct(["a b a b"], 1) == 0.5
    assert quality.distinct(["a b", "a b"], 2) == 0.5
    assert quality.repetition(["a b c d a b c d"]) == pytest.approx(1 / 5)
    assert quality.exact([Answered("", "Tim", " tim "), Answered("", "Tim", "Tom")]) == 0.5


def test_a_copy_in_training_is_found() -> None:
    one, other = Document("one two three four five six seven eight nine ten eleven twelve end"), Document("short")
    assert quality.leaked([one], [one, other])["exact copies"] == 1
    assert quality.leaked([one], [other])["exact copies"] == 0
    assert quality.leaked([one], [one])["runs of 13 words also in training"] == 1


def test_suites_are_made_of_held_out_documents_with_their_answers() -> None:
    documents = [Document(text) for text in STORIES] + [Document("", kind="dialogue", turns=("Hello.", "Hi!"))]
    for suite in SUITES:
        rows = suite_rows(suite, documents, limit=3)
        assert rows
        assert rows == suite_rows(suite, documents, limit=3)
        assert all(row["prompt"] and row["answer"] for row in rows)


def test_loss_does_not_depend_on_how_the_answer_is_cut_into_blocks(model_folder: Path) -> None:
    target = Target(models.load(str(model_folder), "cpu", "fp32"))
    found = quality.held_out_losses(target, [Document(text) for text in STORIES[:3]], num_chats=2)
    assert found["story"] > 0
    assert found["chat"] != found["chat"], "no dialogue, no figure"


def test_a_report_keeps_what_people_wrote_below_its_markers(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "models.md"
    data.mkdir()
    (data / "stories.txt").write_text("\n\n\n".join(STORIES))
    out.write_text(f"# Models\n\n{report.START}\nold\n{report.END}\n\nWritten by hand.\n")
    for name, value in (("NUM_PROMPTS", 1), ("NUM_WARM_SAMPLES", 1), ("SAMPLES", (("story", 1),))):
        monkeypatch.setattr(report, name, value)
    for name in ("STORY_TOKENS", "ANSWER_TOKENS"):
        monkeypatch.setattr(quality, name, 8)
    monkeypatch.setattr(corpus, "HELDOUT_SHARE", 0.2)
    report.write_report(data, model_folder, model_folder, None, out)
    text = out.read_text()
    assert text.startswith("# Models")
    assert text.endswith("Written by hand.\n")
    assert "old" not in text.split("## Held-out loss by task")[0]
    assert "repair: corrupted words restored" in text
