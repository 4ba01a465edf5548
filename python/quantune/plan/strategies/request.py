"""What a strategy is given."""

from __future__ import annotations

from dataclasses import dataclass

from quantune.graph.model import Graph
from quantune.plan.schema import Quantization
from quantune.sensitivity.result import Sensitivity


@dataclass(frozen=True)
class Request:
    """Everything a strategy may look at.

    Attributes:
        quantizations: value name → scale and zero point from calibration, network inputs included.
        sensitivity: None for strategies that need none.
        menu: weight bits that pay on the target, widest first.
        float_mac: the price of a float multiply-accumulate in 8-bit ones on the target.
        max_drop_sqnr_db: how far the predicted SQNR of the outputs may fall below uniform int8.
    """

    model: str
    graph: Graph
    target: str
    quantizations: dict[str, Quantization]
    sensitivity: Sensitivity | None = None
    menu: tuple[int, ...] = (8,)
    max_drop_sqnr_db: float = 1.0
    float_mac: float = 2.0
