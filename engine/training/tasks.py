"""Chat examples made from stories: tell a story from its elements, retell it, repeat it.

Knows words and regular expressions only. Every function takes a `random.Random`, so a corpus of
examples is a pure function of documents and seed.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from engine.training.corpus import Document

Message = dict[str, str]
RETELL_SHARE = 0.90
REPEAT_SHARE = 0.15
MAX_RETELL_CHARS = 900

PLACES = (
    "park forest garden house school beach sea farm town village kitchen store shop lake river castle zoo mountain "
    "field woods room yard backyard pond jungle hill cave market playground library city island meadow barn bakery "
    "desert ocean bedroom attic bridge tree"
).split()
GIRLS = (
    "Lily Lucy Mia Anna Sara Emma Amy Sue Jane Molly Daisy Ella Ruby Zoe Kate Rosie Nina Clara Bella Maya Ivy Tina "
    "Grace Holly Alice Polly Jill Mary Nora Lola"
).split()
BOYS = (
    "Tim Tom Ben Max Sam Jack Timmy Tommy Leo Bob Joe Billy Jim Dan Fred Toby Finn Charlie Peter Oscar Henry Luke "
    "Adam Hugo Felix Noah Theo Ned Will Eli"
).split()
LESSONS = {
    "shar": "sharing makes everyone happy",
    "kind": "it is good to be kind",
    "honest": "always tell the truth",
    "truth": "always tell the truth",
    "listen": "listen to your parents",
    "careful": "it is important to be careful",
    "brave": "be brave and try",
    "help": "helping others feels good",
    "sorry": "say sorry when you are wrong",
    "friend": "friends are a treasure",
    "patient": "be patient",
    "work": "working together makes things easy",
    "try": "never give up",
    "greedy": "do not be greedy",
    "safe": "stay safe",
}
_LEARNT = re.compile(
    r"(?:learn(?:ed|t)|realized|knew|understood|moral(?: of the story)? (?:is|was))(?: that|:)? ([^.!?\n\"]{8,80})[.!?]"
)
_HERO = re.compile(r"\b(?:an?|the) ((?:[a-z]+ ){0,3}[a-z]+),? (?:named|called|whose name was) ([A-Z][a-z]+)")
_CREATURE = re.compile(r"\bthere (?:was|lived) (an? (?:[a-z]+,? ){0,3}[a-z]+?)(?= (?:who|that|in|at|and|on)\b|[.,])")
_EVENT = re.compile(
    r"\b(?:found|saw|sees|wanted|decided|lost|went|asked|met|made|tried|heard|had|got|took|gave|played)\b"
)
_ELEMENT = re.compile(r"^\s*[-*]?\s*\**([A-Z][A-Za-z ]+?)\**\s*:\s*(.+?)\s*$", re.MULTILINE)
_FABLE_ELEMENTS = {
    "Main Character": "hero",
    "Setting": "setting",
    "Challenge": "event",
    "Outcome": "outcome",
    "Teaching": "lesson",
    "Moral": "lesson",
}


@dataclass(frozen=True)
class Elements:
    """What a story prompt may name; any part may be missing."""

    hero: str | None = None
    setting: str | None = None
    event: str | None = None
    lesson: str | None = None


def story_elements(document: Document) -> Elements:
    """Hero, setting, event and lesson read out of the story's own prompt or text."""
    if document.prompt:
        return _prompt_elements(document.prompt)
    text = document.text
    return Elements(_hero(text), _setting(text), _event(text), _lesson(text))


def _prompt_elements(prompt: str) -> Elements:
    found = {_FABLE_ELEMENTS[k]: v.rstrip(".") for k, v in _ELEMENT.findall(prompt) if k in _FABLE_ELEMENTS}
    found.pop("outcome", None)
    return Elements(**found)


def _hero(text: str) -> str | None:
    if match := _HERO.search(text):
        return f"a {match[1]} named {match[2]}" if match[1][0] not in "aeiou" else f"an {match[1]} named {match[2]}"
    if match := _CREATURE.search(text[:160]):
        return match[1]
    return hero_name(text)


def hero_name(text: str) -> str | None:
    """The commonest given name in the story, or None where no known name appears twice."""
    counts = Counter(w for w in re.findall(r"\b[A-Z][a-z]+\b", text) if w in GIRLS or w in BOYS)
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    return name if count >= 2 else None


def _setting(text: str) -> str | None:
    match = re.search(rf"\b(in|at|to|near|by) (?:the|a|an|her|his|their) ((?:[a-z]+ )?(?:{'|'.join(PLACES)}))\b", text)
    return f"the {match[2]}" if match else None


def _event(text: str) -> str | None:
    sentences = re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))
    for sentence in sentences[1:8]:
        clean = re.sub(r"^(?:One day|Then|So|But|And|Suddenly),? ", "", sentence).strip()
        if '"' not in clean and _EVENT.search(clean) and 4 <= len(clean.split()) <= 16:
            return clean.rstrip(".!")
    return None


def _lesson(text: str) -> str | None:
    ending = text[-400:]
    if match := _LEARNT.search(ending):
        return match[1].strip()
    return next((lesson for stem, lesson in LESSONS.items() if re.search(rf"\b{stem}", ending)), None)


def tell_prompt(elements: Elements, rng: random.Random) -> str:
    """A request for a story that names what there is of the elements, in one of several wordings."""
    hero, place, event, lesson = elements.hero, elements.setting, elements.event, elements.lesson
    if rng.random() < 0.4:
        lines = [("Character", hero), ("Setting", place), ("What happens", event), ("Lesson", lesson)]
        return "\n".join(["Write a short story.", *(f"{label}: {value}" for label, value in lines if value)])
    opening = rng.choice(("Write a short story", "Tell me a story", "Tell a short story", "Write a story"))
    parts = [opening]
    parts += [f" about {hero}"] if hero else []
    parts += [f", set in {place}"] if place else []
    parts += [f". {rng.choice(('In the story', 'What happens'))}: {event}"] if event else []
    parts += [f". {rng.choice(('The lesson', 'What is learnt', 'It teaches'))}: {lesson}"] if lesson else []
    return "".join(parts) + "."


def tell(document: Document, rng: random.Random) -> list[Message]:
    """Prompt from the story's elements, answered by the story; each element is sometimes left out."""
    elements = story_elements(document)
    kept = {k: v if rng.random() > 0.12 else None for k, v in vars(elements).items()}
    return _chat(tell_prompt(Elements(**kept), rng), document.text)


def retell(document: Document, rng: random.Random) -> list[Message] | None:
    """Same story with another hero's name, or None where it has no known hero or is too long."""
    old = hero_name(document.text)
    if old is None or len(document.text) > MAX_RETELL_CHARS:
        return None
    new = rng.choice([n for n in (GIRLS if old in GIRLS else BOYS) if n not in document.text])
    ask = rng.choice(
        (
            "Retell this story with {new} instead of {old}.",
            "Tell this story again, but call {old} {new}.",
            "Change {old} to {new} in this story.",
        )
    ).format(new=new, old=old)
    return _chat(f"{ask}\n\n{document.text}", re.sub(rf"\b{old}\b", new, document.text))


def repeat(document: Document, rng: random.Random) -> list[Message] | None:
    """The story's opening, word for word."""
    sentences = re.split(r"(?<=[.!?])\s+", document.text)
    text = " ".join(sentences[: rng.randint(2, 6)])
    if len(text) > MAX_RETELL_CHARS:
        return None
    return _chat(f"{rng.choice(('Repeat this text.', 'Say this again, word for word.'))}\n\n{text}", text)


def examples(documents: list[Document], seed: int) -> Iterator[list[Message]]:
    """One pass over the documents as chats, in random order; retellings and repeats mixed in."""
    rng = random.Random(seed)
    order = list(documents)
    rng.shuffle(order)
    for document in order:
        yield tell(document, rng)
        if rng.random() < RETELL_SHARE and (chat := retell(document, rng)):
            yield chat
        if rng.random() < REPEAT_SHARE and (chat := repeat(document, rng)):
            yield chat


def _chat(user: str, assistant: str) -> list[Message]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
