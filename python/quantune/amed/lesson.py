"""What training makes least: how far the network is from its labels, and from what it was in float."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from quantune.amed.data import Pictures
from quantune.graph.model import Graph
from quantune.reference.torch_graph import TorchGraph

BATCH = 256


@dataclass(frozen=True)
class Lesson:
    """loss = (1 - share) · cross-entropy + share · KL(float network's classes || the network's).

    The second part is knowledge distillation (G. Hinton et al., 2015, arXiv:1503.02531) at temperature 1,
    from the network to itself: it says of every class what few labels cannot.

    Attributes:
        teacher: the network in float. share: of distillation, 0 to 1.
    """

    teacher: TorchGraph
    share: float

    @classmethod
    def of(cls, graph: Graph, share: float, device: torch.device) -> Lesson:
        return cls(TorchGraph(graph).to(device).requires_grad_(False), share)

    @torch.no_grad()
    def wanted(self, images: Tensor) -> Tensor | None:
        """[N, classes] logarithms of the float network's probabilities; None where nothing is asked of it."""
        if self.share == 0:
            return None
        return F.log_softmax(self.teacher(images)[0], 1)

    def loss(self, logits: Tensor, labels: Tensor, wanted: Tensor | None) -> Tensor:
        """Mean over the batch. logits: [N, classes]; labels: [N]; wanted: as `wanted` gives it."""
        exact = F.cross_entropy(logits, labels)
        if wanted is None:
            return exact
        distance = F.kl_div(F.log_softmax(logits, 1), wanted, reduction="batchmean", log_target=True)
        return (1 - self.share) * exact + self.share * distance


class Examination:
    """Pictures held out with what the float network says of them, found once."""

    def __init__(self, lesson: Lesson, pictures: Pictures) -> None:
        self.lesson, self.pictures = lesson, pictures
        parts = zip(pictures.images.split(BATCH), pictures.labels.split(BATCH), strict=True)
        self._parts = [(images, labels, lesson.wanted(images)) for images, labels in parts]

    @torch.no_grad()
    def measured(self, network: torch.nn.Module) -> tuple[float, float]:
        """(mean loss, share of pictures classified right)."""
        loss, hits = 0.0, 0
        for images, labels, wanted in self._parts:
            logits = network(images)
            loss += float(self.lesson.loss(logits, labels, wanted)) * len(labels)
            hits += int((logits.argmax(1) == labels).sum())
        return loss / len(self.pictures), hits / len(self.pictures)
