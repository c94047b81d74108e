"""What people ask a chat model: requests of many kinds, for the target to answer and its drafters to learn from.

Passages and dialogues of a corpus are given to be summarised, rewritten, read closely or gone on with; questions
that the corpus holds are asked as they are; functions of Python's standard library are asked for by their
docstrings; how-to, lists and letters are made of subjects and wordings; the rest the target asks itself ("Magpie",
arXiv 2406.08464: it is given its chat template up to where a user speaks). Whatever shares 13 words in a row with a
question of the suites is dropped. Knows texts; knows no drafter.
"""

from __future__ import annotations

import ast
import itertools
import json
import lzma
import random
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import models
from engine.training import batches
from engine.training.corpus import Document

Source = Iterator[str]


@dataclass(frozen=True)
class Request:
    """What a user says, and of which kind it is."""

    kind: str
    text: str


SHARED_WORDS = 13
"""So many words in a row that a suite has too make a request one of the suite's."""
OWN_SHARE = 0.3
MARK, ROWS, MOST_TRIES, MAX_REQUEST_TOKENS, MIN_REQUEST_CHARS = "@user@", 128, 4, 72, 12
"""How the target is let ask: in batches, and no oftener than a multiple of what is wanted."""
MAX_PASSAGE_CHARS, MIN_PASSAGE_CHARS = 900, 200

QUESTION_FILES = {
    "tasks/gsm8k.train.jsonl.xz": "question",
    "tasks/self_instruct.seed_tasks.jsonl": "instruction",
}
"""Files of a corpus that hold questions, and the field that they are in."""
READING_FILE, TALES_FILE = "tasks/fairytaleqa.qa.jsonl.xz", "tasks/fairytaleqa.stories.jsonl.xz"

ABOUT_PASSAGES = (
    "Summarize: {}",
    "Summarize the following text in two sentences.\n\n{}",
    "{}\n\nSummarize the text above.",
    "Rewrite this text in simpler words.\n\n{}",
    "Rewrite the following passage in the present tense.\n\n{}",
    "Correct the grammar and spelling of this text.\n\n{}",
    "List the people and places that are named in this text.\n\n{}",
    "Extract the most important facts from this text as a bulleted list.\n\n{}",
    "Continue this story.\n\n{}",
    "What is this text about?\n\n{}",
    "Give this text a title and explain your choice.\n\n{}",
    "Answer with a quote from the text: what happens first?\n\n{}",
)
ABOUT_DIALOGUES = (
    "Summarize this conversation.\n\n{}",
    "What does the customer want?\n\n{}",
    "Write the next reply in this conversation.\n\n{}",
    "Extract all names, times and places from this conversation as a list.\n\n{}",
)
ABOUT_CODE = (
    "Explain what this Python code does.\n\n{}",
    "Add comments to this Python code.\n\n{}",
    "Rewrite this Python function with better variable names.\n\n{}",
    "Write a unit test for this Python function.\n\n{}",
    "Find possible bugs in this code.\n\n{}",
)
WORDINGS = (
    "How do I {do}?",
    "Write a step by step guide: how to {do}.",
    "Give me five tips to {do}.",
    "Write a short email to {who} about how to {do}.",
    "Write a letter to {who}. The subject is {what}.",
    "What are the advantages and disadvantages of {what}?",
    "Explain {what} to a ten year old child.",
    "Write a short poem about {what}.",
    "Write a short story about {who} and {what}.",
    "Make a list of ten facts about {what}.",
    "Compare {what} and {other}. Use a table.",
    "Write a blog post about {what}.",
    "Write a dialogue between {who} and a teacher about {what}.",
    "Imagine you are {who}. What do you think about {what}?",
    "What is {what}, and how does it relate to {other}?",
    "Write a product description for something that helps to {do}.",
    "Give me a plan for one week to {do}.",
    "Who invented or discovered {what}? Tell me its history.",
    "Write a Python program that deals with {what}.",
    "Design an SQL table for {what} and write two queries.",
    "Write an HTML page about {what}.",
)
DOINGS = (
    "learn to cook|save money|prepare for an exam|write a CV|sleep better|plan a trip|grow tomatoes|train a puppy|"
    "start to run|read more books|clean a kitchen|repair a bicycle|learn a language|give a speech|make new friends|"
    "lower stress|build a website|organise a party|take good photos|choose a laptop|move to another city|paint a room|"
    "bake bread|meet a deadline|ask for a raise|back up files|sort a large file|protect a password|keep bees|"
    "teach a child to swim|write a song|save water|start a small business|explain a hard idea|plan a garden|"
    "fix a leaking tap|remember names|make a budget|write clean code|find a flat"
).split("|")
PEOPLE = (
    "a friend|my neighbour|a customer|my manager|a new colleague|the city council|a landlord|my grandmother|"
    "a hotel|a newspaper|a pirate|an astronaut|a detective|a farmer|a nurse|an old sailor|a young queen|a robot|"
    "a shy dragon|a school class|a travel agency|a musician|the support team|a famous scientist"
).split("|")
SUBJECTS = (
    "photosynthesis|the water cycle|gravity|black holes|machine learning|inflation|democracy|the stock market|"
    "volcanoes|the immune system|vaccines|solar power|electric cars|public transport|remote work|social media|"
    "the French Revolution|the Roman Empire|the printing press|coffee|chocolate|tea|chess|football|jazz|yoga|"
    "meditation|the moon|coral reefs|rain forests|bees|elephants|dinosaurs|the internet|encryption|databases|"
    "binary search|sorting algorithms|recursion|open source software|climate change|recycling|healthy food|sleep|"
    "dreams|friendship|courage|autumn|the sea|mountains|bridges|trains|libraries|museums|Shakespeare|mathematics|"
    "prime numbers|probability|the Pythagorean theorem|DNA|atoms|electricity|magnets|time zones|money|taxes|"
    "insurance|job interviews|teamwork|leadership|kindness|gardens|bicycles|a lost key|an empty house|a red balloon|"
    "quantum physics|artificial intelligence|supply and demand|the United Nations|Japanese food|Italian cities|"
    "African rivers|Indian festivals|polar bears|robots|space travel|operating systems|web browsers|email"
).split("|")


def passages(documents: Sequence[Document], rng: random.Random) -> Source:
    """Tasks on a piece of a story, a book or a dialogue; none where all documents are too short."""
    has_some = True
    while has_some:
        has_some = False
        for document in rng.sample(documents, len(documents)):
            wordings = ABOUT_DIALOGUES if document.kind == "dialogue" else ABOUT_PASSAGES
            if passage := _passage(document, rng):
                has_some = True
                yield rng.choice(wordings).format(passage)


def _passage(document: Document, rng: random.Random) -> str | None:
    """Whole sentences, or turns, from somewhere in a document; None where it is too short."""
    if document.kind == "dialogue":
        speakers = itertools.cycle(("User", "Assistant"))
        turns = [f"{who}: {said}" for who, said in zip(speakers, document.turns, strict=False)]
        parts, join = turns, "\n"
    else:
        start = rng.randrange(max(1, len(document.text) - 4 * MAX_PASSAGE_CHARS))
        near = document.text[start : start + 4 * MAX_PASSAGE_CHARS]
        parts, join = re.split(r"(?<=[.!?]) +", near)[1 if start else 0 :], " "
    limit, kept = rng.randint(MIN_PASSAGE_CHARS, MAX_PASSAGE_CHARS), ""
    for part in parts:
        if len(kept) + len(part) > limit:
            break
        kept = join.join((kept, part)) if kept else part
    return kept if len(kept) >= MIN_PASSAGE_CHARS else None


def questions(folder: Path, rng: random.Random) -> Source:
    """Questions that the corpus holds, each once."""
    found = [row[field] for name, field in QUESTION_FILES.items() for row in _rows(folder / name)]
    yield from rng.sample(found, len(found))


def readings(folder: Path, rng: random.Random) -> Source:
    """Questions on a passage of a tale, with the passage before or behind them."""
    tales: dict[str, list[str]] = {row["title"]: row["sections"] for row in _rows(folder / TALES_FILE)}
    rows = list(_rows(folder / READING_FILE))
    for row in rng.sample(rows, len(rows)):
        places = [int(number) for number in re.findall(r"\d+", str(row["sections"]))]
        sections = tales.get(row["story"], [])
        if len(places) == 1 and places[0] <= len(sections):
            text = re.sub(r"\s+", " ", sections[places[0] - 1])[: 2 * MAX_PASSAGE_CHARS]
            yield f"{text}\n\n{row['question']}" if rng.random() < 0.5 else f"{row['question']}\n\n{text}"


def code(rng: random.Random) -> Source:
    """Functions of the standard library: completed from their docstrings, written, explained, tested, rewritten."""
    functions = [found for path in _library() for found in _functions(path)]
    for signature, doc, source in rng.sample(functions, len(functions)):
        kind = rng.random()
        if kind < 0.4:
            yield f'Complete this Python function:\n\n\n{signature}\n    """{doc}"""\n'
        elif kind < 0.6:
            yield f"Write a Python function `{signature.removeprefix('def ').rstrip(':')}`. {doc.splitlines()[0]}"
        elif len(source) <= MAX_PASSAGE_CHARS:
            yield rng.choice(ABOUT_CODE).format(f"```python\n{source}\n```")


def _library() -> list[Path]:
    return sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


def _functions(path: Path) -> Iterator[tuple[str, str, str]]:
    """(first line, docstring, source) of a module's functions that say what they do."""
    text = path.read_text(encoding="utf-8", errors="replace")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and not node.name.startswith("_"):
            doc = ast.get_docstring(node)
            if doc and len(doc) < MAX_PASSAGE_CHARS // 2 and (source := ast.get_source_segment(text, node)):
                yield f"def {node.name}({ast.unparse(node.args)}):", doc, source


def subjects(rng: random.Random) -> Source:
    """How-to, lists, letters, explanations and more, of one subject each."""
    while True:
        yield rng.choice(WORDINGS).format(
            do=rng.choice(DOINGS), who=rng.choice(PEOPLE), what=rng.choice(SUBJECTS), other=rng.choice(SUBJECTS)
        )


@torch.inference_mode()
def asked_by(target: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, num_requests: int, seed: int) -> list[str]:
    """What the target itself says where its chat template lets a user speak; about so many, none twice."""
    whole = str(tokenizer.apply_chat_template([{"role": "user", "content": MARK}], tokenize=False))
    begin = tokenizer(whole.split(MARK)[0], add_special_tokens=False)["input_ids"]
    ends, found = models.end_ids(target, tokenizer), dict[str, None]()
    for number in range(-(-MOST_TRIES * num_requests // ROWS)):
        if len(found) >= num_requests:
            break
        torch.manual_seed(seed * 1000 + number)
        texts = batches.continued(target, [begin] * ROWS, MAX_REQUEST_TOKENS, ends, temperature=1.0, top_p=0.95)
        said = (str(tokenizer.decode(text.ids[len(begin) : -1])).strip() for text in texts if text.ids[-1] in ends)
        found |= dict.fromkeys(text for text in said if len(text) >= MIN_REQUEST_CHARS)
    return list(found)


def save(requests: Iterable[Request], path: Path) -> None:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(asdict(request)) + "\n" for request in requests))


def load(path: Path) -> list[Request]:
    """What `save` wrote."""
    return [Request(**json.loads(line)) for line in path.read_text().splitlines()]


def mixed(sources: Mapping[str, tuple[float, Source]], num_requests: int, rng: random.Random) -> list[Request]:
    """So many different requests, each kind by its share; one that ends leaves its share to the others."""
    left = dict(sources)
    found: dict[str, Request] = {}
    for _ in range(20 * num_requests):
        if not left or len(found) == num_requests:
            break
        kind = rng.choices(list(left), [share for share, _ in left.values()])[0]
        if text := next(left[kind][1], None):
            found.setdefault(text, Request(kind, text))
        else:
            del left[kind]
    return list(found.values())


def gather(
    folder: Path, documents: Sequence[Document], own: Iterable[str], num_requests: int, seed: int
) -> list[Request]:
    """Requests of all kinds, of which `own` are the target's own. The shares are written here and nowhere else."""
    rng = random.Random(seed)
    sources = {
        "own": (OWN_SHARE, iter(own)),
        "code": (0.18, code(rng)),
        "questions": (0.14, questions(folder, rng)),
        "passages": (0.14, passages(documents, rng)),
        "reading": (0.06, readings(folder, rng)),
        "subjects": (0.18, subjects(rng)),
    }
    return mixed(sources, num_requests, rng)


def apart(requests: Iterable[Request], suites: Iterable[str]) -> list[Request]:
    """Requests that share fewer than `SHARED_WORDS` words in a row with every text of the suites."""
    theirs = {run for text in suites for run in _runs(text)}
    return [request for request in requests if theirs.isdisjoint(_runs(request.text))]


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    for start in range(len(words) - SHARED_WORDS + 1):
        yield tuple(words[start : start + SHARED_WORDS])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines; none where there is no such file."""
    if path.is_file():
        opener = lzma.open if path.suffix == ".xz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
