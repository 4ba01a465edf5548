"""What a strategy is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from quantune.graph.model import Graph
from quantune.plan.budget import Goal
from quantune.plan.cost import Prices
from quantune.plan.schema import Quantization
from quantune.sensitivity.result import Sensitivity


@dataclass(frozen=True)
class Request:
    """Everything a strategy may look at.

    Attributes:
        quantizations: value name → scale and zero point from calibration, network inputs included.
        sensitivity: None for strategies that need none.
        prices: what every layer and boundary costs on the target; None for strategies that need none.
        menu: weight bits to choose from, widest first.
        asked: the menu is the user's wish: then fewer bits are worth having even where they are not faster.
        max_drop_sqnr_db: how far the predicted SQNR of the outputs may fall below uniform int8.
        goal: of the exact strategy, which looks at no other limit.
    """

    model: str
    graph: Graph
    target: str
    quantizations: dict[str, Quantization]
    sensitivity: Sensitivity | None = None
    prices: Prices | None = None
    menu: tuple[int, ...] = (8,)
    asked: bool = False
    max_drop_sqnr_db: float = 1.0
    goal: Goal = field(default_factory=Goal)
