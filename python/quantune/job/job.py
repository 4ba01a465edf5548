"""The steps of the main job, each a method, each cached."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.backend.benchmark import benchmark, to_json
from quantune.backend.compiler import IREE_BEST_FLAGS, IREE_DEFAULT_FLAGS, compile_module
from quantune.backend.contender import CompiledModule, Contender
from quantune.backend.runner import HostRunner
from quantune.calibration import observers
from quantune.calibration.collect import collect
from quantune.calibration.statistics import Statistics
from quantune.costs.find import CostSource, find_prices
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.files import link, read_json, write_json
from quantune.ingress.model import Model
from quantune.job import modules, repairs
from quantune.job.cache import Cache, key_of
from quantune.job.evaluate import evaluate
from quantune.plan.budget import Goal
from quantune.plan.cost import Prices
from quantune.plan.finish import with_settings
from quantune.plan.quantizers import quantizations
from quantune.plan.schema import Plan, Quantization, decisions
from quantune.plan.settings import DEFAULT, Settings
from quantune.plan.strategies import INFORMED, Request, find, uniform
from quantune.progress import Progress, Silent, stage
from quantune.sensitivity.measure import measure
from quantune.sensitivity.probes import CONSTANTS, probes_of
from quantune.sensitivity.result import SCHEMA, Sensitivity
from quantune.targets import Target, get

IREE_FLAGS = {"default": IREE_DEFAULT_FLAGS, "best": IREE_BEST_FLAGS}
"""Plain IREE on the model as imported: its stock flags (for this CPU), and the best for convolutions."""


class Job:
    """One model, one target, one calibration set, one folder."""

    def __init__(
        self,
        model: Model,
        target: Target,
        folder: Path,
        calibration: Dataset,
        settings: Settings = DEFAULT,
        progress: Progress | None = None,
        kernels: bool = True,
        costs: CostSource = "modelled",
    ) -> None:
        self.imported, self.target, self.folder = model, target, folder
        self.calibration, self.settings = calibration, settings
        self.progress = progress or Silent()
        self.kernels, self.costs = kernels, costs
        self.cache = Cache(folder)
        self._scratch = folder / "cache"
        # what is calibrated, planned for and quantized; fp32 stays what was imported
        self.model = repairs.equalized(model, self.cache) if settings.equalize else model
        # measuring needs a machine that runs the module: the host's bits are every target's bits
        self._measure_on = target if target.runs_here else get("host")

    def statistics(self) -> Statistics:
        """Inference 1, float."""
        path = self.folder / "statistics.json"
        key = key_of("statistics", self.model.graph.fingerprint, self.calibration.fingerprint)
        if self.cache.fresh(path, key):
            return Statistics.load(path)
        names = self._compile_instrumented("float.vmfb", None)
        found = collect(HostRunner(self._scratch / "float.vmfb"), names, self.calibration, self.progress)
        found.save(path)
        self.cache.record(path, key)
        return found

    def quantizations(self, statistics: Statistics) -> dict[str, Quantization]:
        """Scale and zero point of every value, by the job's observer and scheme."""
        observer = observers.find(self.settings.observer)
        return quantizations(self.model.graph, statistics, observer, scheme=self.settings.scheme)

    def sensitivity(self, statistics: Statistics) -> Sensitivity:
        """Inference 2, quantized, with its probes."""
        path = self.folder / "sensitivity.json"
        base = self.finished(uniform.plan(self._request(self.quantizations(statistics))))
        key = key_of(SCHEMA, CONSTANTS, base.to_json(), self.calibration.fingerprint)
        if self.cache.fresh(path, key):
            return Sensitivity.load(path)
        names = self._compile_instrumented("quantized.vmfb", base)
        runner, graph = HostRunner(self._scratch / "quantized.vmfb"), self.model.graph
        probes = probes_of(graph, base, len(self.calibration))
        found = measure(runner, names, self.calibration, graph, base, statistics, self.progress, probes)
        found.save(path)
        self.cache.record(path, key)
        return found

    def prices(self, widths: Sequence[int]) -> Prices:
        """What every layer costs on the target; by `costs` measured now, looked up, or modelled.

        widths: of the weights, in bits, that are worth measuring.
        """
        return find_prices(
            self.model.graph, self.target, self.costs, widths, kernels=self.kernels, progress=self.progress
        )

    def plan(
        self,
        strategy: str,
        menu: Sequence[int] | None = None,
        max_drop_sqnr_db: float | None = None,
        goal: Goal | None = None,
    ) -> Plan:
        """What the strategy decides, from the two inferences (or one, if it needs no sensitivity).

        goal: of milp, instead of `max_drop_sqnr_db`.
        """
        if strategy in INFORMED:
            return self.finished(find(strategy)(self.request(menu, max_drop_sqnr_db, goal)))
        return self.finished(find(strategy)(self._request(self.quantizations(self.statistics()))))

    def request(
        self,
        menu: Sequence[int] | None = None,
        max_drop_sqnr_db: float | None = None,
        goal: Goal | None = None,
    ) -> Request:
        """Everything that a strategy may look at; measures what is missing."""
        drop = Request.max_drop_sqnr_db if max_drop_sqnr_db is None else max_drop_sqnr_db
        statistics = self.statistics()
        of_target = self.target.weight_bits_menu
        widths = tuple(menu or (of_target if goal is None else goal.menu(of_target)))
        return dataclasses.replace(
            self._request(self.quantizations(statistics)),
            sensitivity=self.sensitivity(statistics),
            prices=self.prices(widths),
            menu=widths,
            asked=menu is not None,
            max_drop_sqnr_db=drop,
            goal=goal or Goal(max_drop_sqnr_db=drop),
        )

    def build(self, variant: str, plan: Plan | None, with_text: bool = False) -> modules.Built:
        """Compiles one variant to variants/<variant>.vmfb; plan None means fp32."""
        path = self.folder / "variants" / f"{variant}.vmfb"
        record, text = path.with_suffix(".json"), path.with_suffix(".mlir")
        model = self.imported if plan is None else self.model
        decided = None if plan is None else decisions(plan)
        data = repairs.data_of(plan, self.calibration)
        key = key_of("build", model.graph.fingerprint, self.target, decided, self.kernels, data)
        wanted = [path, record, *([text] if with_text else [])]
        if all(self.cache.fresh(item, key) for item in wanted):
            raw = read_json(record)
            return modules.Built(path=path, **raw)
        built = self._built(variant, model, plan, key, path, text if with_text else None)
        write_json(record, {k: v for k, v in dataclasses.asdict(built).items() if k != "path"})
        for item in wanted:
            self.cache.record(item, key)
        return built

    def _built(
        self, variant: str, model: Model, plan: Plan | None, key: str, path: Path, text: Path | None
    ) -> modules.Built:
        """Compiles, with the constants that the plan's methods find."""
        found = repairs.find_repairs(variant, model, plan, key, self.calibration, self.cache, self.progress)
        mending = repairs.mended(model, plan, found, self.cache)
        with mending as (mended, pinned), stage(self.progress, f"compiling {variant}"):
            built = modules.build(mended, self.target, path, pinned, text, self.kernels)
        return dataclasses.replace(built, reports={**built.reports, **found.report})

    def ship(self, variant: str, plan: Plan) -> None:
        """Puts the chosen variant at the top of the folder: model.vmfb, model.quantized.mlir, plan.json."""
        source = self.folder / "variants" / variant
        link(source.with_suffix(".vmfb"), self.folder / "model.vmfb")
        link(source.with_suffix(".mlir"), self.folder / "model.quantized.mlir")
        plan.save(self.folder / "plan.json")

    def evaluate(self, variants: Sequence[str], dataset: Dataset) -> dict[str, dict[str, Any]]:
        """Accuracy of compiled variants; "fp32" is always among them."""
        self._needs_host("evaluate")
        names = list(dict.fromkeys(["fp32", *variants]))
        return evaluate({name: HostRunner(self.variant_path(name)) for name in names}, dataset, self.progress)

    def baseline(self, name: str) -> Path:
        """Plain IREE on the model as imported, with one of IREE_FLAGS."""
        path, flags = self._scratch / f"iree-fp32-{name}.vmfb", IREE_FLAGS[name]
        key = key_of("iree", self.model.graph.fingerprint, self.target, flags)
        if not self.cache.fresh(path, key):
            with stage(self.progress, f"compiling plain IREE, {name} flags"):
                compile_module(self.model.original_path, path, self.target, flags)
            self.cache.record(path, key)
        return path

    def benchmark(
        self,
        variants: Sequence[str],
        threads: Sequence[int] = (1,),
        iree: Sequence[str] = ("default", "best"),
        rounds: int = 20,
        peers: Sequence[Contender] = (),
    ) -> dict[str, Any]:
        """Interleaved latencies of the variants, plain IREE and peers: {"cpu", "versions", "rows"}."""
        self._needs_host("benchmark")
        files = [("quantune", name, self.variant_path(name)) for name in dict.fromkeys(["fp32", *variants])]
        files += [("iree", f"fp32-{name}", self.baseline(name)) for name in iree]
        image = self.example()
        own = [CompiledModule(self.model.name, *file, [image], self.target.name) for file in files]
        return to_json(benchmark([*own, *peers], threads, rounds, progress=self.progress))

    def example(self) -> NDArray[np.float32]:
        """The first calibration image, f32 [1, C, H, W]: what is timed."""
        return np.ascontiguousarray(next(iter(self.calibration)).image)

    def variant_path(self, variant: str) -> Path:
        """Raises QuantuneError when the variant has not been built."""
        path = self.folder / "variants" / f"{variant}.vmfb"
        if not path.exists():
            raise QuantuneError(f"{self.folder} has no variant {variant!r}; build it with `quantune compile`")
        return path

    def _request(self, found: dict[str, Quantization]) -> Request:
        return Request(self.model.name, self.model.graph, self.target.name, found)

    def finished(self, plan: Plan) -> Plan:
        """A strategy's plan with what the job's settings say of it."""
        return with_settings(plan, self.model.graph, self.settings)

    def _compile_instrumented(self, file: str, plan: Plan | None) -> list[str]:
        with stage(self.progress, "compiling the instrumented network"):
            return modules.instrumented(
                self.model, self._measure_on, self._scratch / file, plan, self.kernels
            )

    def _needs_host(self, what: str) -> None:
        if not self.target.runs_here:
            raise QuantuneError(
                f"cannot {what} {self.target.name} modules on this machine; "
                "run it there, or use --target host"
            )
