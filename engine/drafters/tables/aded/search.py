"""Monte-Carlo tree search over a tri-gram table: ADED (arXiv 2407.12021), Section 3.2 and its released code.

States are (token before, token); the root is the context's last two. One iteration selects by PUCT,
expands every successor at once, rolls out by the table's weights, scores 1 + the sum of weights along
the whole path, and backs that up. Compiled; a pure function of its arguments, seed included.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.drafters.trigrams import OVERLAY_SUCCESSORS, find
from engine.runtime.compiled import njit

Array = np.ndarray[Any, Any]


@njit(cache=True)
def puct(value: float, visits: float, prior: float, parent_visits: float, c1: float, c2: float) -> float:
    """W/N + (c1 + ln((N_parent + c2 + 1) / c2)) · p · √N_parent / (1 + N); an unvisited child is infinitely good."""
    if visits == 0:
        return math.inf
    bonus = c1 + math.log((parent_visits + c2 + 1) / c2)
    return value / visits + bonus * prior * math.sqrt(parent_visits) / (1 + visits)


@njit(cache=True)
def _random(state: Array) -> float:
    """Uniform in [0, 1) from a xorshift generator's one-word state."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return float(x >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True)
def _roll_out(
    before: int, token: int, num_left: int, state: Array, found_tokens: Array, found_weights: Array, table: Any
) -> float:
    """Sum of the weights of up to `num_left` tokens drawn in proportion to them."""
    total = 0.0
    for _ in range(num_left):
        num = find(before, token, found_tokens, found_weights, table)
        if num == 0:
            break
        mass = 0.0
        for i in range(num):
            mass += float(found_weights[i])
        left, chosen = _random(state) * mass, num - 1
        for i in range(num):
            left -= float(found_weights[i])
            if left < 0:
                chosen = i
                break
        total += float(found_weights[chosen])
        before, token = token, int(found_tokens[chosen])
    return total


@njit(cache=True)
def search(
    before: int, root: int, num_iterations: int, num_transitions: int, c1: float, c2: float, seed: int, table: Any
) -> tuple[Array, Array, Array, Array]:
    """Nodes of the search tree as (tokens, parents, visits, depths); node 0 is the root, parents come first."""
    capacity = 1 + num_iterations * OVERLAY_SUCCESSORS
    tokens, parents = np.zeros(capacity, np.int64), np.full(capacity, -1, np.int64)
    depths, first_child = np.zeros(capacity, np.int64), np.full(capacity, -1, np.int64)
    num_children = np.zeros(capacity, np.int64)
    priors, visits, values = np.zeros(capacity), np.zeros(capacity), np.zeros(capacity)
    found_tokens, found_weights = np.zeros(OVERLAY_SUCCESSORS, np.int32), np.zeros(OVERLAY_SUCCESSORS, np.float32)
    state = np.array([np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)])
    tokens[0] = root
    num_nodes = 1
    for _ in range(num_iterations):
        node, score = 0, 1.0
        while num_children[node] > 0:
            best, best_value = -1, -1.0
            for child in range(first_child[node], first_child[node] + num_children[node]):
                found = puct(values[child], visits[child], priors[child], visits[node], c1, c2)
                if found > best_value:
                    best, best_value = child, found
            node = best
            score += priors[node]
        if depths[node] < num_transitions and first_child[node] < 0:
            last = tokens[parents[node]] if node > 0 else before
            num = find(last, tokens[node], found_tokens, found_weights, table)
            first_child[node], num_children[node] = num_nodes, num
            for i in range(num):
                child = num_nodes + i
                tokens[child], parents[child], depths[child] = found_tokens[i], node, depths[node] + 1
                priors[child] = found_weights[i]
            num_nodes += num
            if num > 0:
                # The released code goes on from the child that it inserted last.
                node = num_nodes - 1
                score += priors[node]
        last = tokens[parents[node]] if node > 0 else before
        num_left = num_transitions - depths[node]
        score += _roll_out(last, tokens[node], num_left, state, found_tokens, found_weights, table)
        while node >= 0:
            visits[node] += 1
            values[node] += score
            node = parents[node]
    return tokens[:num_nodes], parents[:num_nodes], visits[:num_nodes], depths[:num_nodes]


@njit(cache=True)
def draft(
    before: int,
    root: int,
    num_iterations: int,
    num_transitions: int,
    num_paths: int,
    max_nodes: int,
    c1: float,
    c2: float,
    seed: int,
    table: Any,
) -> tuple[Array, Array]:
    """(tokens, parents) of a draft tree: the most visited prefixes, each with its heaviest successor behind it.

    Parent -1 is the root. Prefixes come by visits, earlier found first among equals, so a tree cut
    short keeps the best of them.
    """
    tokens, parents, visits, _ = search(before, root, num_iterations, num_transitions, c1, c2, seed, table)
    order = np.argsort(-visits[1:], kind="mergesort") + 1
    place = np.full(len(tokens), -2, np.int64)
    place[0] = -1
    out_tokens, out_parents = np.zeros(max_nodes, np.int64), np.zeros(max_nodes, np.int64)
    found_tokens, found_weights = np.zeros(OVERLAY_SUCCESSORS, np.int32), np.zeros(OVERLAY_SUCCESSORS, np.float32)
    num = 0
    for node in order[:num_paths]:
        if visits[node] == 0 or place[parents[node]] == -2:
            continue
        place[node] = _add(tokens[node], place[parents[node]], num, out_tokens, out_parents)
        num = max(num, place[node] + 1)
        if num == max_nodes:
            break
        last = tokens[parents[node]]
        if find(last, tokens[node], found_tokens, found_weights, table):
            heaviest = found_tokens[_heaviest(found_tokens, found_weights, last, tokens[node], table)]
            num = max(num, _add(heaviest, place[node], num, out_tokens, out_parents) + 1)
        if num == max_nodes:
            break
    return out_tokens[:num], out_parents[:num]


@njit(cache=True)
def _heaviest(found_tokens: Array, found_weights: Array, before: int, token: int, table: Any) -> int:
    num = find(before, token, found_tokens, found_weights, table)
    return int(np.argmax(found_weights[:num]))


@njit(cache=True)
def _add(token: int, parent: int, num: int, tokens: Array, parents: Array) -> int:
    """Place of the token below the parent: the one that is there, or a new one at the end."""
    for i in range(num):
        if parents[i] == parent and tokens[i] == token:
            return i
    tokens[num], parents[num] = token, parent
    return num
