"""The network as layers: what strategies, the reference and the report look at instead of IR."""

from quantune.graph.model import CONTRACTIONS, Graph, Layer, LayerKind

__all__ = ["CONTRACTIONS", "Graph", "Layer", "LayerKind"]
