"""What a simple story is about, read out of its words: hero, names, place, event, lesson.

Knows word lists and regular expressions only; what it finds is a pure function of the text, so that a
held-out answer can be checked by the rule that made it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from engine.training.corpus import Document

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
NAMES = frozenset(GIRLS + BOYS) - {"Will", "Grace", "Ivy", "Ruby", "Daisy", "Holly"}
"""Given names that are hardly ever another word."""
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
_PLACE = re.compile(rf"\b(in|at|to|near|by) (?:the|a|an|her|his|their) ((?:[a-z]+ )?(?:{'|'.join(PLACES)}))\b")
_ELEMENT = re.compile(r"^\s*[-*]?\s*\**([A-Z][A-Za-z ]+?)\**\s*:\s*(.+?)\s*$", re.MULTILINE)
_FABLE_ELEMENTS = {
    "Main Character": "hero",
    "Setting": "setting",
    "Challenge": "event",
    "Outcome": "outcome",
    "Teaching": "lesson",
    "Moral": "lesson",
}
INFINITIVES = {"found": "find", "saw": "see", "had": "have", "got": "get", "made": "make", "lost": "lose", "ate": "eat"}
_DEED = re.compile(
    rf"\b([A-Z][a-z]+) ({'|'.join(INFINITIVES)}) (an? (?:[a-z]+ ){{0,3}}?[a-z]+)"
    r"(?=[.,!]| (?:and|in|on|that|who|with|to|at|for|from|under|near|by|of|which|called|named|inside|behind)\b)"
)


@dataclass(frozen=True)
class Elements:
    """What a story prompt may name; any part may be missing."""

    hero: str | None = None
    setting: str | None = None
    event: str | None = None
    lesson: str | None = None


@dataclass(frozen=True)
class Deed:
    """Somebody did something to something: `Lily found a small bird`."""

    who: str
    verb: str
    what: str


def story_elements(document: Document) -> Elements:
    """Hero, setting, event and lesson read out of the story's own prompt or text."""
    if document.prompt:
        return _prompt_elements(document.prompt)
    text = document.text
    return Elements(_hero(text), setting(text), _event(text), _lesson(text))


def sentences(text: str) -> list[str]:
    """The text's sentences, white space made single."""
    return re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))


def hero_name(text: str) -> str | None:
    """The commonest given name in the story, or None where no known name appears twice."""
    counts = Counter(w for w in re.findall(r"\b[A-Z][a-z]+\b", text) if w in GIRLS or w in BOYS)
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    return name if count >= 2 else None


def names(text: str) -> list[str]:
    """Known given names in order of first appearance."""
    return list(dict.fromkeys(word for word in re.findall(r"\b[A-Z][a-z]+\b", text) if word in NAMES))


def setting(text: str) -> str | None:
    """The first place that is named with a word of place before it."""
    match = _PLACE.search(text)
    return f"the {match[2]}" if match else None


def deeds(text: str) -> list[Deed]:
    """What known people found, saw, had, got, made, lost or ate, in order; no two with one beginning."""
    found = [Deed(*match) for match in _DEED.findall(text) if match[0] in NAMES]
    counts = Counter((deed.who, deed.verb) for deed in found)
    return [deed for deed in found if counts[deed.who, deed.verb] == 1]


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


def _event(text: str) -> str | None:
    for sentence in sentences(text)[1:8]:
        clean = re.sub(r"^(?:One day|Then|So|But|And|Suddenly),? ", "", sentence).strip()
        if '"' not in clean and _EVENT.search(clean) and 4 <= len(clean.split()) <= 16:
            return clean.rstrip(".!")
    return None


def _lesson(text: str) -> str | None:
    ending = text[-400:]
    if match := _LEARNT.search(ending):
        return match[1].strip()
    return next((lesson for stem, lesson in LESSONS.items() if re.search(rf"\b{stem}", ending)), None)
