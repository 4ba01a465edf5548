"""What a layer may be: its price, its noise, and whether it is on the menu here, by precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quantune.graph.model import Layer
from quantune.plan.cost import Price
from quantune.plan.strategies.request import Request

MARGIN = 0.03
"""What is faster or smaller by less is neither: prices are not measured more exactly."""


@dataclass(frozen=True)
class Offers:
    """Everything v2 weighs about one contraction.

    Attributes:
        prices: of the menu's widths, widest first, by precision ("w8a8", …).
        island: of f32, boundaries included.
        local: the layer's own noise-to-signal ratio with 8-bit weights; `narrowed`: what a width adds to it.
        added: what a width adds to the noise-to-signal ratio of the outputs.
        storage: the part of it that storing the output in 8 bits makes, which an island keeps.
        weights: how many; asked: the menu was given, so fewer bits are wanted for their own sake.
    """

    prices: Mapping[str, Price]
    island: Price
    local: float
    narrowed: Mapping[str, float]
    added: Mapping[str, float]
    storage: float
    weights: int
    asked: bool

    @property
    def widest(self) -> str:
        return next(iter(self.prices))

    @property
    def base(self) -> Price:
        """Of the widest weights on the menu, which all others are compared with."""
        return self.prices[self.widest]

    @property
    def offered(self) -> list[str]:
        """The widest first; others where they pay; f32 where even that is faster."""
        widths = [name for name in self.prices if name == self.widest or self.asked or self.pays(name)]
        return [*widths, *(["f32"] if self._faster(self.island) else [])]

    def pays(self, precision: str) -> bool:
        """Whether it is faster or smaller than the widest by the margin."""
        price = self.price(precision)
        return self._faster(price) or price.bytes < (1 - MARGIN) * self.base.bytes

    def price(self, precision: str) -> Price:
        return self.island if precision == "f32" else self.prices[precision]

    def noise(self, precision: str, factor: float) -> float:
        """What the layer contributes to the outputs' noise-to-signal ratio.

        Rounding spreads by `factor`; what narrower weights add was observed (`sensitivity.probes`).
        """
        if precision == "f32":
            return factor * self.storage
        return factor * self.local + self.added[precision]

    def growth(self, precision: str) -> float:
        """Bytes beyond the widest; fewer count only when asked for, then by the bits of the weights."""
        if precision != "f32" and self.asked:
            return -self.weights * (int(self.widest[1]) - int(precision[1])) / 8
        return max(0.0, float(self.price(precision).bytes - self.base.bytes)) if precision == "f32" else 0.0

    def _faster(self, price: Price) -> bool:
        return price.microseconds < (1 - MARGIN) * self.base.microseconds


def noise_factor(output_nsr: float, offers: Iterable[Offers]) -> float:
    """What the layers' noise is multiplied by on its way to the outputs, by the measured `output_nsr`."""
    total = sum(found.local for found in offers)
    return output_nsr / total if total > 0 else 1.0


def offers_of(request: Request, layer: Layer) -> Offers | None:
    """None for a layer without measurements."""
    assert request.sensitivity is not None and request.prices is not None and layer.weight is not None
    metrics = request.sensitivity.layers[layer.name]
    if metrics.local_nsr is None:
        return None
    read = bool(request.graph.consumers()[layer.name])
    stored = metrics.activation_sqnr_db if read else None
    nsr = metrics.weight_nsr
    return Offers(
        prices={f"w{b}a8": request.prices.of(layer.name, f"w{b}a8") for b in request.menu},
        island=request.prices.island(request.graph, layer, read),
        local=metrics.local_nsr,
        narrowed={f"w{b}a8": max(0.0, nsr[b] - nsr[8]) for b in request.menu},
        added={f"w{b}a8": metrics.added_nsr[b] for b in request.menu},
        storage=0.0 if stored is None else 10 ** (-stored / 10),
        weights=layer.weight_count,
        asked=request.asked,
    )
