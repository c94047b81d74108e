"""The documentation agrees with the code. No weights, no network; each failure prints what the page should say."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import typing
from pathlib import Path
from typing import Any

import pytest
from toys import draft_for

from engine import cli, drafters, events, metrics, options, verify
from engine.bench import Plan, settings, summarise
from engine.bench.report import DEFINITIONS
from engine.commands import flags, generate
from engine.config import GenerationConfig
from engine.suites import Question
from scripts import readme_bench

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PACKAGES = ("engine", "specviz")
RECORDS = (
    "SessionStarted",
    "Prefilled",
    "Stepped",
    "Node",
    "Judged",
    "Emitted",
    "Candidate",
    "SessionFinished",
    "Counts",
)
IMPORT_NAMES = {"sqlalchemy": "SQLAlchemy", "markdown_it": "markdown-it-py"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next heading of the same or a higher level."""
    match = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert match, f"no heading {title!r}"
    rest = text[match.end() :]
    following = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def own_part(text: str) -> str:
    """A section without its subsections."""
    return re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """The code word that opens each table row."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def modules() -> list[str]:
    """Every module as a path; a package as its folder; migrations as their folder."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            is_folder = path.name == "__init__.py" or path.parent.name == "versions"
            name = (path.parent if is_folder else path).relative_to(ROOT).as_posix()
            found.add(f"{name}/" if is_folder else name)
    return sorted(found)


# structure


def test_every_module_has_its_line_in_structure() -> None:
    named = set(re.findall(r"`([^`]+)`", read("docs/structure.md").partition("## Modules")[2]))
    assert [name for name in modules() if name not in named] == []


def test_structure_names_nothing_that_does_not_exist() -> None:
    named = re.findall(r"`((?:engine|specviz)/[^`<]*)`", read("docs/structure.md"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_structure_tells_a_prompts_life_in_eight_steps() -> None:
    life = section(read("docs/structure.md"), "A prompt's life")
    assert re.findall(r"^(\d)\.", life, re.MULTILINE) == list("12345678")


def test_readme_tree_names_what_exists() -> None:
    folders: list[str] = []
    for line in read("README.md").split("## Where things are")[1].split("```")[1].strip("\n").splitlines():
        indent = (len(line) - len(line.lstrip())) // 2
        folders = folders[:indent]
        names = re.split(r"\s{2,}", line.strip())[0].split()
        for name in names:
            assert (ROOT / "".join(folders) / name).exists(), line
        folders.append(names[0])


# methods


def test_readme_method_table_is_the_registry() -> None:
    table = re.search(r"<!-- methods:start -->\n(.*)\n<!-- methods:end -->", read("README.md"), re.DOTALL)
    assert table
    wanted = []
    for name in drafters.names():
        drafter = drafters.get(name)
        cells = (f"`{name}`", drafter.summary, drafter.needs.describe(), drafter.guarantee, drafter.source)
        wanted.append(f"| {' | '.join(cells)} |")
    assert table[1].splitlines()[2:] == wanted


def test_each_method_has_its_row() -> None:
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \|(.*)\|$", read("docs/methods.md"), re.MULTILINE))
    assert list(rows) == drafters.names()
    for name, row in rows.items():
        _, needs, guarantee, shape, paper = (cell.strip() for cell in row.split("|"))
        drafter = drafters.get(name)
        assert (needs, guarantee, paper) == (drafter.needs.describe(), drafter.guarantee, drafter.source)
        assert shape in ("no draft", "chain", "tree", "chain or tree")


@pytest.mark.parametrize("name", drafters.names())
def test_each_method_has_its_section_with_its_options(name: str) -> None:
    text = section(read("docs/methods.md"), name)
    for part in ("**From the ", "**Our choice:**", "**Options:**", "**Failure modes:**"):
        assert part in text or (part == "**Options:**" and "| Option | Default |" in text)
    wanted = [
        f"| `{spec.name}` | `{spec.default}` | {', '.join(spec.choices) or spec.range_text()} | {spec.help} |"
        for spec in options.specs(drafters.get(name).Options)
    ]
    assert re.findall(r"^\| `.*\|$", text, re.MULTILINE) == wanted


def test_methods_page_has_no_other_sections() -> None:
    assert re.findall(r"^## (.+)$", read("docs/methods.md"), re.MULTILINE) == drafters.names()


def test_each_verification_rule_has_its_row() -> None:
    assert first_cells(own_part(section(read("docs/methods.md"), "Methods"))) == [*verify.names()]


# events and figures


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_has_its_section_with_every_field(name: str) -> None:
    record = getattr(events, name)
    text = own_part(section(read("docs/events.md"), name))
    assert first_cells(text) == [field.name for field in dataclasses.fields(record)]
    kind = {field.name: field.default for field in dataclasses.fields(record)}.get("kind")
    assert kind is None or f"`kind` is `{kind}`" in text


def test_no_record_is_forgotten() -> None:
    assert {name for name, it in vars(events).items() if dataclasses.is_dataclass(it)} == set(RECORDS)
    titles = re.findall(r"^##+ (.+)$", read("docs/events.md"), re.MULTILINE)
    assert sorted(titles) == sorted(RECORDS)


@pytest.mark.parametrize(
    "values", [events.Origin, events.Status, events.StopReason], ids=["origin", "status", "reason"]
)
def test_events_page_names_every_value(values: Any) -> None:
    assert [value for value in typing.get_args(values) if f"`{value}`" not in read("docs/events.md")] == []


def test_glossary_defines_every_figure_in_the_codes_own_words() -> None:
    text = section(read("docs/glossary.md"), "Figures")
    rows = [f"| `{name}` | {definition} |" for name, definition in metrics.DEFINITIONS.items()]
    assert re.findall(r"^\| `.*\|$", text, re.MULTILINE) == rows
    shown = {field.name for field in dataclasses.fields(metrics.Metrics)}
    assert shown <= set(metrics.DEFINITIONS)


def test_glossary_has_a_row_for_every_origin_and_status() -> None:
    text = section(read("docs/glossary.md"), "Words")
    for word in ("plain token", "bonus token", "correction token", "unreached", "accept, reject"):
        assert f"| {word} |" in text


# measurements


def test_readme_table_is_the_newest_report() -> None:
    given = read("README.md")
    wanted = readme_bench.updated(given, readme_bench.newest())
    assert given == wanted, "run: python scripts/readme_bench.py"


def test_the_newest_whole_report_is_chosen_whatever_its_name(tmp_path: Path) -> None:
    for name, day, is_complete in (("a", 3, True), ("b", 1, True), ("c", 9, False)):
        report = {"created_at": f"2026-01-0{day}T00:00:00+00:00", "is_complete": is_complete}
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    assert readme_bench.newest(tmp_path).name == "a.json"
    with pytest.raises(SystemExit, match="holds no report"):
        readme_bench.newest(tmp_path / "empty")


def test_a_new_report_changes_the_readme_between_the_marks_only(tmp_path: Path) -> None:
    report = json.loads(readme_bench.newest().read_text(encoding="utf-8"))
    row = {"suite": "novel", "category": "", "method": "magic", "tokens_per_second": 9.0, "speedup": 2.0}
    row |= {"speedup_low": None, "speedup_high": None, "block_efficiency": None, "same_text": "1/1"}
    cost = {"num_context": 99, "passes": [{"num_rows": 1, "ms": 5.0, "ratio": 1.0}]}
    report |= {
        "rows": [row, {**row, "category": "qa"}],
        "row_cost": cost,
        "skipped": [{"suite": "novel", "category": "qa", "num_questions": 3}],
    }
    path = tmp_path / "new.json"
    path.write_text(json.dumps(report))
    given = read("README.md")
    changed = readme_bench.updated(given, path)
    for mark in ("<!-- bench:start -->", "<!-- bench:end -->"):
        assert changed.count(mark) == 1
    assert changed.split("<!-- bench:start -->")[0] == given.split("<!-- bench:start -->")[0]
    assert changed.split("<!-- bench:end -->")[1] == given.split("<!-- bench:end -->")[1]
    assert changed.count("| novel | `magic` | 9 | 2.00× | – | 1/1 |") == 1
    assert "at 99 tokens of context: 1 → 5 ms (1.00×)." in changed
    assert "Skipped, too long for the context: 3 of novel qa." in changed


def bench_readme(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "scripts/readme_bench.py", *words], cwd=ROOT, capture_output=True, text=True)


def test_the_readme_script_runs_as_a_program() -> None:
    done = bench_readme("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_bench_page_defines_every_figure_in_the_codes_own_words() -> None:
    rows = [f"| `{name}` | {definition} |" for name, definition in DEFINITIONS.items()]
    assert re.findall(r"^\| `.*\|$", section(read("docs/bench.md"), "Figures"), re.MULTILINE) == rows


def test_bench_page_names_every_key_of_a_report() -> None:
    named = set(first_cells(section(read("docs/bench.md"), "Report")))
    plan = Plan({}, [Question("suite", ("prompt",))], GenerationConfig())
    report = summarise([], settings(draft_for(8, 64), plan), plan, (256, []))
    assert {*report.to_dict(), "cells"} == named


# commands


def engine_commands(text: str) -> list[list[str]]:
    """The arguments of every `python -m engine …` line."""
    found = re.findall(r"^\s*\S*python -m engine (.+?)(?:\s+#.*)?$", text, re.MULTILINE)
    return [shlex.split(command) for command in found]


def check_engine_command(arguments: list[str]) -> None:
    args = cli._parser().parse_args(arguments)
    given = generate.given_options(getattr(args, "set", []))
    if hasattr(args, "method"):
        options.parse(drafters.get(args.method).Options, given, args.method)
    if hasattr(args, "temperature"):
        flags.config_of(args)


def readme_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", read("README.md"), re.DOTALL)
    return engine_commands("\n".join(blocks))


@pytest.mark.parametrize("arguments", readme_commands(), ids=" ".join)
def test_engine_commands_of_the_readme_are_understood(arguments: list[str]) -> None:
    check_engine_command(arguments)


def test_readme_shows_every_engine_command() -> None:
    shown = {arguments[0] for arguments in readme_commands()}
    assert shown == set(cli._parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", read("README.md").replace("make and git", "")))
    assert {"run", "test", "check", "train"} <= named <= targets


def planned(*arguments: str) -> str:
    """What make would do."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_train_calls_the_engine_as_it_wants_to_be_called() -> None:
    commands = engine_commands(planned("train", "DATA=some folder", "OUT=out"))
    assert [command[:2] for command in commands] == [["train", "target"], ["train", "draft"]]
    for command in commands:
        check_engine_command(command)


def test_make_run_calls_the_app_as_it_wants_to_be_called() -> None:
    import app

    plan = planned("run", "PORT=7999", "MODEL=some model", "DB=some.db")
    flags = app.parse_flags(shlex.split(next(line for line in plan.splitlines() if " app.py " in line))[2:])
    assert (flags.port, flags.model, flags.db) == (7999, "some model", "some.db")


def test_ci_runs_make_test_and_nothing_else() -> None:
    path = ROOT / ".ci" / "run"
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert [line for line in lines[1:] if not line.startswith("cd ")] == ["make test"]
    assert path.stat().st_mode & 0o111 == 0o111


# packages and versions


def pins(name: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in read(name).splitlines())
    return dict(line.split("==") for line in lines if line and not line.startswith("-"))


def imported(paths: list[Path]) -> set[str]:
    """Top-level packages that the files import, this project's and Python's own left out."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {*PACKAGES, "app"}


def test_everything_imported_is_pinned() -> None:
    paths = [ROOT / "app.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    wanted = {IMPORT_NAMES.get(name, name) for name in imported(paths)}
    assert wanted - set(pins("requirements.txt")) == set()


def test_the_engine_needs_no_page_and_no_database() -> None:
    allowed = {"torch", "transformers", "tokenizers", "safetensors", "accelerate", "numpy", "numba", "llvmlite", "tqdm"}
    assert imported(list((ROOT / "engine").rglob("*.py"))) <= allowed


def test_space_header_agrees_with_the_pins() -> None:
    header = dict(re.findall(r"^(\w+): (.+)$", read("README.md").split("---\n")[1], re.MULTILINE))
    assert header["sdk"] == "gradio"
    assert header["sdk_version"] == pins("requirements.txt")["gradio"]
    assert header["python_version"] == '"3.12"'
    assert header["license"] == "apache-2.0"
    assert (ROOT / header["app_file"]).is_file()
    assert len(header["short_description"]) <= 60


def test_changelog_opens_with_this_version_and_its_date() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    newest = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", read("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == version


# pages


def pages() -> list[Path]:
    folders = (DOCS, ROOT / "assets", ROOT / "tests")
    return sorted([*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))])


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_local_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and "mailto:" not in link]
    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, fragment = link.partition("#")
    linked = (page.parent / name).resolve() if name else page
    if not linked.exists() or not fragment:
        return linked.exists()
    headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
    return fragment in map(anchor, headings)


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda page: page.stem)
def test_decisions_have_their_four_parts_and_a_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.search(r"^\d{4}-\d\d-\d\d$", text, re.MULTILINE)
    for part in ("**Question.**", "**Choice.**", "**What was measured.**", "**What would change it.**"):
        assert part in text
