"""How long a bench will take: before its start from known speeds, then from the runs it has made.

Pure: from a plan, its records and speeds to seconds. A round takes one run of each contender and one
more of plain decoding, which the others' texts are compared with. Before its first round a bench warms
up with one run of each contender. An estimate before the start takes every answer for as long as it
may be, so it is an upper bound for answers that end early.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping

from engine.bench.runner import Cell, Plan, Record, Round, complete_rounds


def num_runs(plan: Plan, finished: Collection[Record] = ()) -> int:
    """Runs that are left, those of the warm-up and the reference runs included."""
    left = rounds_left(plan, finished)
    return len(left) * (len(plan.contenders) + 1) + (len(plan.contenders) if left else 0)


def rounds_left(plan: Plan, finished: Collection[Record] = ()) -> list[Round]:
    """Rounds that are still to be run."""
    done = complete_rounds(finished, plan)
    return [of for of in plan.rounds if of not in done]


def seconds_before(plan: Plan, seconds_per_token: Mapping[str, float], finished: Collection[Record] = ()) -> float:
    """Seconds that the rest may take at these speeds. `plain`'s must be among them; it stands for unknown ones."""
    plain = seconds_per_token["plain"]
    once = sum(seconds_per_token.get(name, plain) for name in plan.contenders)
    left = rounds_left(plan, finished)
    num_answers = sum(len(plan.questions[index].turns) for _, index in left)
    return plan.config.max_new_tokens * (num_answers * (once + plain) + (once if left else 0.0))


def seconds_left(plan: Plan, records: Collection[Record]) -> float | None:
    """Seconds that the rest will take if runs go on as they went; None before the first whole run."""
    times: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if isinstance(record, Cell):
            times[record.method].append(record.seconds)
    if not times:
        return None
    means = {name: statistics.fmean(found) for name, found in times.items()}
    typical = statistics.fmean(means.values())
    runs = {name: len(times[name]) for name in plan.contenders}
    num_skipped = sum(not isinstance(record, Cell) for record in records)
    wanted = (len(plan.questions) - num_skipped) * plan.num_repeats
    left = {name: max(0, wanted - done) for name, done in runs.items()}
    references = means.get("plain", typical) * max(left.values())
    return references + sum(means.get(name, typical) * count for name, count in left.items())


def seconds_per_token(cells: Collection[Cell]) -> dict[str, float]:
    """Each contender's time per emitted token, all its runs together."""
    seconds: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    for cell in cells:
        seconds[cell.method] += cell.seconds
        tokens[cell.method] += cell.num_emitted
    return {name: seconds[name] / tokens[name] for name in seconds if tokens[name]}
