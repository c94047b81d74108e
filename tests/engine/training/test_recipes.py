"""How a training's recipe runs its course."""

from __future__ import annotations

import itertools

from engine.training import recipes


def test_the_learning_rate_rises_stays_and_falls() -> None:
    recipe = recipes.RECIPES["target", "cpu"]
    rates = [recipes.learning_rate(recipe, share / 100) for share in range(101)]
    assert max(rates) == recipe.lr
    assert rates[0] < rates[1] < rates[2]
    assert all(after <= before for before, after in itertools.pairwise(rates[2:]))
    assert 0 < rates[-1] < 0.05 * recipe.lr
