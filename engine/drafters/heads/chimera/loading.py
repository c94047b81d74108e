"""Chimera's network for a target: compiled beside a small output layer on a CPU, through torch elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

from engine.drafters.heads._weights import Weights, small_output
from engine.drafters.heads.chimera.network import Network, TorchNetwork, read_weights

if TYPE_CHECKING:
    from engine.models import LoadedModel


def load_network(weights: Weights, loaded: LoadedModel, output_layer: nn.Module) -> Network:
    """The network of a weights folder for one target, once for all sessions. Raises BadInput."""
    key = ("chimera network", weights, output_layer)
    return loaded.keep(key, lambda: _network(weights, loaded, output_layer))


def _network(weights: Weights, loaded: LoadedModel, output_layer: nn.Module) -> Network:
    read = read_weights(weights)
    output = small_output(loaded)
    if output is None:
        return TorchNetwork(read, loaded, output_layer)
    from engine.drafters.heads.chimera.compiled import CompiledNetwork

    embedding = cast(nn.Embedding, loaded.model.get_input_embeddings()).weight
    return CompiledNetwork(read, embedding.detach(), output)
