"""From a setting to a plan: the tuner's own space, and the jobs that its trials share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantune.costs.find import CostSource
from quantune.data.dataset import Dataset
from quantune.graph.model import Graph
from quantune.ingress.model import Model
from quantune.job import Job
from quantune.plan.schema import Plan
from quantune.plan.settings import Settings, choices
from quantune.progress import Progress
from quantune.search.space import Factor, Space, product
from quantune.targets import Target

MIXED = ("int8", "first-last-float", "v2")
"""Which layers get which precision: all int8, all but the first and the last with weights, strategy v2's."""
IMAGES = ("16", "64", "256")
METHODS = ("observer", "scheme", "granularity", "bias_correction")
"""Of `plan.settings.Settings`, with all their values."""
SWITCH = {"off": False, "on": True}
"""The levels of methods that are used or not."""


def own_space() -> Space:
    """All that `quantune tune` may try; the published 96 are among them, in other words."""
    known = choices()
    methods = [
        Factor(name, tuple(SWITCH) if known[name][0] in SWITCH.values() else known[name]) for name in METHODS
    ]
    return product([Factor("mixed", MIXED), Factor("calibration_images", IMAGES), *methods])


def settings_of(setting: Mapping[str, str]) -> Settings:
    """The methods of a setting."""
    chosen: dict[str, Any] = {name: SWITCH.get(setting[name], setting[name]) for name in METHODS}
    return Settings(**chosen)


@dataclasses.dataclass(frozen=True)
class Planner:
    """Makes a setting's plan. Statistics are collected once for each calibration size, in its own folder.

    calibration: the number of images → the data.
    """

    model: Model
    target: Target
    folder: Path
    calibration: Callable[[int], Dataset]
    progress: Progress
    kernels: bool = True
    costs: CostSource = "modelled"

    def quietly(self, progress: Progress) -> Planner:
        """The same, reporting to another listener."""
        return dataclasses.replace(self, progress=progress)

    def __call__(self, setting: Mapping[str, str]) -> tuple[Job, Plan]:
        """Raises QuantuneError where the setting cannot be planned."""
        job = self.job(setting)
        plan = job.plan("v2" if setting["mixed"] == "v2" else "uniform-int8")
        return job, spared(plan, self.model.graph) if setting["mixed"] == "first-last-float" else plan

    def job(self, setting: Mapping[str, str]) -> Job:
        """What calibrates and compiles the setting."""
        images = setting["calibration_images"]
        return Job(
            self.model,
            self.target,
            self.folder / f"images-{images}",
            self.calibration(int(images)),
            settings_of(setting),
            self.progress,
            self.kernels,
            self.costs,
        )


def spared(plan: Plan, graph: Graph) -> Plan:
    """The plan with the first and the last layer with weights in float."""
    layers = dict(plan.layers)
    for place, layer in (("last", graph.contractions[-1]), ("first", graph.contractions[0])):
        reason = f"float: the {place} layer with weights"
        layers[layer.name] = dataclasses.replace(layers[layer.name], precision="float", reason=reason)
    return dataclasses.replace(plan, strategy="first-last-float", layers=layers)
