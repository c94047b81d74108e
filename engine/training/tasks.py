"""Chat examples made from documents: tell, retell, repair, extract, list, repeat, chat, continue.

Each task is a function from a document to a chat, or None where the document does not allow it. Every
function takes a `random.Random`, so a corpus of examples is a pure function of documents and seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from engine.training import elements, typos
from engine.training.corpus import Document, Kind
from engine.training.elements import BOYS, GIRLS, PLACES, Elements

Message = dict[str, str]
MAX_RETELL_CHARS = 900
MAX_PROSE_CHARS = 900
MAX_NUM_TURNS = 8
THINGS = (
    "ball bear bed bee bell bike bird boat book bus cake car cat chair clock coat cow cup dog doll door drum duck "
    "fish flag flower fox frog goat hat hen horse jar jug kite key lamp leaf lion mouse nest nut pan pear pen pie pig "
    "plum pot ring rock rose seed ship shoe sock spoon star stone swing toy train tree truck wall wolf"
).split()
FREE_NAMES = (
    "Zuri Milo Pip Tara Otto Lena Hana Kofi Rafi Suki Ines Bruno Nico Vera Yara Amir Dora Elsa Gus Iris Juno Kira "
    "Lars Mona Omar Pia Rolf Sena Tito Uma"
).split()


def tell_prompt(parts: Elements, rng: random.Random) -> str:
    """A request for a story that names what there is of the elements, in one of several wordings."""
    hero, place, event, lesson = parts.hero, parts.setting, parts.event, parts.lesson
    if rng.random() < 0.4:
        lines = [("Character", hero), ("Setting", place), ("What happens", event), ("Lesson", lesson)]
        return "\n".join(["Write a short story.", *(f"{label}: {value}" for label, value in lines if value)])
    opening = rng.choice(("Write a short story", "Tell me a story", "Tell a short story", "Write a story"))
    words = [opening]
    words += [f" about {hero}"] if hero else []
    words += [f", set in {place}"] if place else []
    words += [f". {rng.choice(('In the story', 'What happens'))}: {event}"] if event else []
    words += [f". {rng.choice(('The lesson', 'What is learnt', 'It teaches'))}: {lesson}"] if lesson else []
    return "".join(words) + "."


def tell(document: Document, rng: random.Random) -> list[Message]:
    """Prompt from the story's elements, answered by the story; each element is sometimes left out."""
    found = elements.story_elements(document)
    kept = {k: v if rng.random() > 0.12 else None for k, v in vars(found).items()}
    return _chat(tell_prompt(Elements(**kept), rng), document.text)


def retell(document: Document, rng: random.Random) -> list[Message] | None:
    """Same story with another hero or in another place; None where it has neither or is too long."""
    swap = _swapped_place(document.text, rng) if rng.random() < 0.25 else _swapped_hero(document.text, rng)
    if swap is None or len(document.text) > MAX_RETELL_CHARS:
        return None
    old, new = swap
    wordings = (
        f"Retell this story with {new} instead of {old}.",
        f"Tell this story again, but {_instead(old, new)}.",
        f"Change {old} to {new} in this story.",
    )
    return _chat(f"{rng.choice(wordings)}\n\n{document.text}", re.sub(rf"\b{old}\b", new, document.text))


def _instead(old: str, new: str) -> str:
    return f"call {old} {new}" if old[0].isupper() else f"in the {new}, not the {old}"


def _swapped_hero(text: str, rng: random.Random) -> tuple[str, str] | None:
    old = elements.hero_name(text)
    if old is None:
        return None
    known = GIRLS if old in GIRLS else BOYS
    return old, rng.choice([n for n in (FREE_NAMES if rng.random() < 0.15 else known) if n not in text])


def _swapped_place(text: str, rng: random.Random) -> tuple[str, str] | None:
    place = elements.setting(text)
    if place is None:
        return None
    old = place.split()[-1]
    vowel = old[0] in "aeiou"
    return old, rng.choice([p for p in PLACES if p not in text and (p[0] in "aeiou") == vowel and p != "woods"])


def repeat(document: Document, rng: random.Random) -> list[Message] | None:
    """The story's opening, word for word."""
    text = _passage(document, rng, 2, 6)
    if len(text) > MAX_RETELL_CHARS:
        return None
    return _chat(f"{rng.choice(('Repeat this text.', 'Say this again, word for word.'))}\n\n{text}", text)


def repair(document: Document, rng: random.Random) -> list[Message] | None:
    """A passage with typing and grammar mistakes in it, answered by the clean one."""
    text = _passage(document, rng, 2, 6)
    spoilt, pairs = typos.spoil(text, rng)
    if not pairs or len(text) > MAX_RETELL_CHARS:
        return None
    wordings = ("Fix the mistakes in this text.", "Correct the spelling and grammar.", "Repair this text.")
    return _chat(f"{rng.choice(wordings)}\n\n{spoilt}", text)


def extract(document: Document, rng: random.Random) -> list[Message] | None:
    """Who, where and what of a passage."""
    text = _passage(document, rng, 3, 7)
    asks = [asked for ask in (_who, _where, _what, _card) if (asked := ask(text, rng))]
    if not asks or len(text) > MAX_RETELL_CHARS:
        return None
    question, answer = rng.choice(asks)
    return _chat(f"{question}\n\n{text}", answer)


def _who(text: str, rng: random.Random) -> tuple[str, str] | None:
    names = ", ".join(elements.names(text))
    return (rng.choice(("Who is in this story?", "Name the people in this story.")), names) if names else None


def _where(text: str, rng: random.Random) -> tuple[str, str] | None:
    place = elements.setting(text)
    return (rng.choice(("Where does this story happen?", "Name the place in this story.")), place) if place else None


def _what(text: str, rng: random.Random) -> tuple[str, str] | None:
    deeds = elements.deeds(text)
    if not deeds:
        return None
    deed = rng.choice(deeds)
    return f"What did {deed.who} {elements.INFINITIVES[deed.verb]}?", deed.what


def _card(text: str, rng: random.Random) -> tuple[str, str] | None:
    names, place = elements.names(text), elements.setting(text)
    if not names or not place:
        return None
    return "Fill in a card for this story.", f"Character: {names[0]}\nSetting: {place}"


def make_list(document: Document, rng: random.Random) -> list[Message]:
    """Items as a numbered or dashed list, or as many times over; asks nothing of the document."""
    items = rng.sample(THINGS, rng.randint(3, 8))
    said = ", ".join(items[:-1]) + rng.choice((" and ", ", ")) + items[-1]
    kind = rng.randrange(4)
    if kind == 0:
        return _chat(f"Make a numbered list: {said}.", "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)))
    if kind == 1:
        return _chat(f"Make a list with dashes: {said}.", "\n".join(f"- {item}" for item in items))
    if kind == 2:
        sentence = f"I see a {items[0]} and a {items[1]}."
        num_times = rng.randint(2, 6)
        return _chat(f"Say this {num_times} times: {sentence}", "\n".join([sentence] * num_times))
    return _chat(f"Write one line about each: {said}.", "\n".join(f"This is a {item}." for item in items))


def chat(document: Document, rng: random.Random) -> list[Message] | None:
    """The opening turns of a dialogue about getting something done."""
    num_turns = min(len(document.turns) // 2 * 2, MAX_NUM_TURNS)
    roles = ("user", "assistant")
    turns = document.turns[:num_turns]
    return [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)] or None


def go_on(document: Document, rng: random.Random) -> list[Message] | None:
    """A few paragraphs of a book, the first of them given."""
    paragraphs = [p for p in document.text.split("\n\n") if p.strip()]
    start = rng.randrange(max(1, len(paragraphs) - 3))
    text, given = "", paragraphs[start][:MAX_PROSE_CHARS]
    for paragraph in paragraphs[start + 1 :]:
        if len(text) + len(paragraph) > MAX_PROSE_CHARS:
            break
        text = f"{text}\n\n{paragraph}" if text else paragraph
    return _chat(f"Go on with this text.\n\n{given}", text) if text else None


@dataclass(frozen=True)
class Task:
    """A kind of chat, and how many of them an epoch makes per document it can be made from."""

    make: Callable[[Document, random.Random], list[Message] | None]
    kind: Kind
    share: float


TASKS: dict[str, Task] = {
    "story": Task(tell, "story", 1.0),
    "retell": Task(retell, "story", 0.7),
    "repair": Task(repair, "story", 0.6),
    "extract": Task(extract, "story", 0.45),
    "repeat": Task(repeat, "story", 0.12),
    "list": Task(make_list, "story", 0.1),
    "chat": Task(chat, "dialogue", 0.15),
    "continue": Task(go_on, "prose", 6.0),
}
"""Shares chosen so that stories keep about 40 % of the tokens; `docs/models.md` gives each task's own."""


def examples(documents: list[Document], seed: int, has_tasks: bool = True) -> Iterator[list[Message]]:
    """One pass over the documents as chats, in random order; without tasks, only the stories told."""
    rng = random.Random(seed)
    order = list(documents)
    rng.shuffle(order)
    for document in order:
        for name, task in TASKS.items():
            if task.kind != document.kind or not (has_tasks or name == "story"):
                continue
            whole, part = divmod(task.share, 1)
            for _ in range(int(whole) + (rng.random() < part)):
                if made := task.make(document, rng):
                    yield made


def chat_text(chat: list[Message], tokenizer: PreTrainedTokenizerBase) -> str:
    """A whole chat in the tokenizer's template; without one, its contents and an end of text."""
    if tokenizer.chat_template:
        return str(tokenizer.apply_chat_template(chat, tokenize=False))
    return "\n\n".join(message["content"] for message in chat) + (tokenizer.eos_token or "")


def prompt_ids(chat: list[Message], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids of a chat up to where the next answer begins."""
    if tokenizer.chat_template:
        text = str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    else:
        text = "\n\n".join(message["content"] for message in chat) + "\n\n"
    # Without a template a prompt begins as the tokenizer has it, when it is decoded too.
    ids: list[int] = tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"]
    return ids


def _passage(document: Document, rng: random.Random, fewest: int, most: int) -> str:
    """Neighbouring sentences from a random place; the opening half of the time."""
    found = elements.sentences(document.text)
    num_sentences = rng.randint(fewest, most)
    start = 0 if rng.random() < 0.5 else rng.randrange(max(1, len(found) - num_sentences))
    return " ".join(found[start : start + num_sentences])


def _chat(user: str, assistant: str) -> list[Message]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
