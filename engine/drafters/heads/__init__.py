"""Trained drafters that read the target's hidden states.

What they share stands here: weights and whom they fit (`_weights`), the drafter around them (`_trained`), the form in
which a network runs (`_layers`, `_compiled`), a decoder layer of its own (`_decoder_layer`), its best tokens
(`_candidates`), trees of guesses that do not depend on each other (`_trees`), and of those that do, level by level
(`_levels`). A further method is a folder that brings three
things:

- its network, `network.py`: a class or function of `(weights, loaded, *settings)` that takes what it needs from the
  folder (`Weights.take`, `number`, `check_sizes`) and gives the best tokens of hidden states. Beside a small target it
  may give way to the same arithmetic compiled, `kernel.py`, imported where that form is chosen;
- its tree, `method.py`: a `TrainedDrafter` whose `__init__` asks for the network with `_shared` and for the measured
  shape with `_asked`, whose `fit` keeps what pays, and whose `propose` makes a draft from `_state`. `start` and
  `observe` are there; a method that keeps more than the last state adds to them;
- its training loss, `engine/training/NAME.py`: a `heads.Heads` that scores, or overrides `forward` with a loss of its
  own, and `train(order)`, which hands it to `head_training.train_heads`.
"""
