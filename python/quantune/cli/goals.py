"""The options that say what a plan may cost and lose, and which of them go together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from quantune.cli import options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.data.dataset import Dataset
    from quantune.job import Job
    from quantune.plan.budget import Goal
    from quantune.plan.schema import Plan

Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="LIMIT",
        help="latency=0.6x or size=0.2x (of fp32), latency=1.5ms, size=200KB, bits=4.5 (average of the "
        "weights); may be given once for each",
        show_default=False,
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS",
        help="accuracy that may be lost, in points: measured on --data by compiling candidates; without it, "
        "calibration images on which the class differs from fp32's",
        show_default=False,
    ),
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="labelled images to measure accuracy on", show_default=False),
]
DataImages = Annotated[
    int | None,
    typer.Option(
        "--data-images", metavar="N", help="at most so many of --data (default all)", show_default=False
    ),
]
Minimize = Annotated[
    str | None,
    typer.Option(
        "--minimize",
        metavar="WHAT",
        help="where accuracy has a limit: latency (default) or size",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Wanted:
    """What they ask for, once they make sense among themselves."""

    strategy: str
    menu: tuple[int, ...] | None
    goal: Goal | None
    max_drop_sqnr: float | None
    max_drop: float | None
    data: str | None
    data_images: int | None

    def plan(self, job: Job, output: Output) -> Plan:
        """What the strategy decides, or the search for what keeps the measured drop."""
        if self.max_drop is None or self.goal is None:
            return job.plan(self.strategy, self.menu, self.max_drop_sqnr, self.goal)
        from quantune.job.drop_search import plan_within_drop

        dataset = self.dataset(job, output)
        return plan_within_drop(job, self.menu, self.goal, self.max_drop, dataset)

    def dataset(self, job: Job, output: Output) -> Dataset:
        """What accuracy is measured on; warns of what cannot tell so small a drop."""
        from quantune.job.data import pictures_for

        # Labels of calibration images say little: the network may have been trained on them.
        found = dataclasses.replace(job.calibration, labels=None)
        if self.data is not None:
            found = pictures_for(job.model, self.data, self.data_images, require=True)
        if found.is_random:
            output.warn(f"{found.description}: accuracy on noise says nothing about real images")
        elif not found.has_labels:
            output.warn(
                f"{found.description}: no labels; what counts is on how many the class differs from fp32's, "
                "at least what accuracy can lose there; give labelled images with --data"
            )
        if self.max_drop is not None and len(found) * self.max_drop < 100:
            output.warn(
                f"one of {len(found)} images is {100 / len(found):.2g} points: a drop of {self.max_drop:g} "
                "is kept only where none is lost; give more images"
            )
        return found


@dataclass(frozen=True)
class Given:
    """The options as they stand on the command line; None or empty where absent."""

    strategy: str | None
    menu: str | None
    max_drop_sqnr: float | None
    budgets: Sequence[str] = ()
    max_drop: float | None = None
    data: str | None = None
    data_images: int | None = None
    minimize: str | None = None

    @property
    def words(self) -> dict[str, object]:
        """Option → value, of those that were given, budgets apart."""
        named = {
            "--strategy": self.strategy,
            "--max-drop-sqnr": self.max_drop_sqnr,
            "--menu": self.menu,
            "--max-drop": self.max_drop,
            "--data": self.data,
            "--data-images": self.data_images,
            "--minimize": self.minimize,
        }
        return {option: value for option, value in named.items() if value is not None}

    def check_beside(self, plan: object) -> None:
        """Raises QuantuneError for any of them: a plan that is given says all."""
        for option, value in [*self.words.items(), *(("--budget", text) for text in self.budgets)]:
            raise QuantuneError(
                f"--plan {plan} and {option} {value} exclude each other: a plan says all; leave one out"
            )

    def checked(self, target: str, pareto: bool = False) -> Wanted:
        """Raises QuantuneError for options that contradict each other or that nothing would look at."""
        from quantune.plan.budget import Goal, parse_budgets

        limits = parse_budgets(self.budgets)
        chosen = self._strategy(pareto)
        options.only_for_informed(chosen, self.max_drop_sqnr, self.menu)
        widths = options.parse_menu(self.menu)
        self._check_accuracy(pareto)
        self._check_minimize(pareto)
        self._check_runs(options.checked_target(target))
        drop = self.max_drop_sqnr
        if chosen != "milp":
            return Wanted(chosen, widths, None, drop, None, None, None)
        if drop is None and self.max_drop is None and not limits and not pareto:
            drop = 1.0
        least: Literal["size", "latency", "noise"] = "noise"
        if pareto or self.minimize == "size":
            least = "size"  # a frontier wants the small widths on the menu too
        elif drop is not None or self.max_drop is not None:
            least = "latency"
        goal = Goal(limits, drop, least)
        return Wanted(chosen, widths, goal, drop, self.max_drop, self.data, self.data_images)

    def _strategy(self, pareto: bool) -> str:
        asked = {
            "--budget": bool(self.budgets),
            "--max-drop": self.max_drop is not None,
            "--minimize": self.minimize is not None,
            "--pareto": pareto,
        }
        exact = [option for option, given in asked.items() if given]
        if exact and self.strategy not in (None, "milp"):
            raise QuantuneError(
                f"{exact[0]} is solved by strategy milp; leave out --strategy {self.strategy}"
            )
        return options.checked_strategy(self.strategy or ("milp" if exact else "v2"))

    def _check_runs(self, target: str) -> None:
        from quantune import targets

        measured = "--max-drop" if self.max_drop is not None else "--data" if self.data is not None else None
        if measured is not None and not targets.get(target).runs_here:
            raise QuantuneError(
                f"{measured} is measured, but {target} modules do not run on this machine; give "
                "--max-drop-sqnr, which is predicted, or leave it out"
            )

    def _check_minimize(self, pareto: bool) -> None:
        if self.minimize is None:
            return
        options.one_of(self.minimize, ("latency", "size"), "value of --minimize")
        if pareto:
            raise QuantuneError("--pareto shows latency and size; leave out --minimize")
        if self.budgets and self.max_drop is None and self.max_drop_sqnr is None:
            raise QuantuneError(
                "within a budget the noise is minimised; --minimize also needs --max-drop or --max-drop-sqnr"
            )

    def _check_accuracy(self, pareto: bool) -> None:
        if self.max_drop is not None and self.max_drop_sqnr is not None:
            raise QuantuneError("--max-drop and --max-drop-sqnr both limit what may be lost; give one")
        if self.max_drop is not None and not 0 <= self.max_drop < 100:
            raise QuantuneError(f"--max-drop is in points of accuracy, 0 to 100, not {self.max_drop:g}")
        if pareto and (self.max_drop is not None or self.max_drop_sqnr is not None):
            raise QuantuneError(
                "--pareto shows what every accuracy costs; leave out --max-drop and --max-drop-sqnr"
            )
        if self.data is not None and self.max_drop is None and not pareto:
            raise QuantuneError(
                "--data is what --max-drop is measured on; give --max-drop, or leave out --data"
            )
        if self.data_images is not None:
            options.at_least_one(self.data_images, "--data-images")
            if self.data is None:
                raise QuantuneError("--data-images limits --data, which is missing")
