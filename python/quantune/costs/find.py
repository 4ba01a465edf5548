"""What the planner asks for: the prices of a network, with as much measuring as is wanted and possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from quantune.costs.calibrate import BOUNDARIES, calibrate, missing, shapes_of, works_of
from quantune.costs.prices import prices
from quantune.costs.store import open_store
from quantune.graph.model import Graph
from quantune.plan.cost import Prices
from quantune.progress import Progress, Silent
from quantune.targets import Target

CostSource = Literal["measured", "cached", "modelled"]
COST_SOURCES: tuple[CostSource, ...] = ("measured", "cached", "modelled")
BUDGET_SECONDS = 60.0
"""Spent on measuring at most, before a plan; the heaviest layers come first, the rest is modelled."""


def find_prices(
    graph: Graph,
    target: Target,
    source: CostSource,
    widths: Sequence[int],
    kernels: bool = True,
    progress: Progress | None = None,
    budget_seconds: float = BUDGET_SECONDS,
) -> Prices:
    """Of a network on a target.

    source: "measured" times what the cache lacks, where the target runs here; "cached" takes what is there;
    "modelled" looks at neither, so that the result depends on nothing but the arguments.
    """
    progress = progress or Silent()
    precisions = [f"w{bits}a8" for bits in sorted({8, *widths}, reverse=True)] + ["f32"]
    if source == "modelled":
        return prices(graph, target, None, precisions)
    store = open_store(target, kernels)
    if source == "measured" and target.runs_here:
        wanted = works_of([*shapes_of(graph), *BOUNDARIES], precisions)
        if todo := missing(wanted, store):
            left = calibrate(todo, target, store, progress, kernels, budget_seconds)
            if left:
                shapes = len({work.shape for work in left})
                progress.note(
                    f"{shapes} of the layers' shapes were not measured in {budget_seconds:g} s; "
                    "the model prices them; `quantune calibrate-target` measures all"
                )
    return prices(graph, target, store, precisions)
