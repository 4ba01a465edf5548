"""`quantune plan --pareto`: the frontier as a drawing, a table, JSON, and plans to pick."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli.goals import Wanted
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.job import Job
    from quantune.plan.frontier import Axis, Point

POINTS = 16
KINDS = (".svg", ".html", ".json")

File = Annotated[
    Path | None,
    typer.Option(
        "--pareto",
        metavar="FILE",
        help="draw the frontier of accuracy against latency and size: FILE.svg, FILE.html or FILE.json",
        show_default=False,
    ),
]
Points = Annotated[
    int | None,
    typer.Option("--points", metavar="N", help=f"plans on each frontier, at most (default {POINTS})"),
]
Pick = Annotated[
    int | None,
    typer.Option("--pick", metavar="K", help="write plan K of the frontier to -o", show_default=False),
]


@dataclass(frozen=True)
class Drawn:
    """What is asked for; `pick` counts from 1 through all points."""

    file: Path
    points: int
    pick: int | None

    def run(self, job: Job, asks: Wanted, path: Path | None, output: Output) -> None:
        """Solves, measures where there are data, draws, and writes the plan that is picked."""
        from quantune.files import write_atomic
        from quantune.plan.frontier import frontier
        from quantune.report.frontier import rendered, row_of

        request = job.request(asks.menu, goal=asks.goal)
        axes: tuple[Axis, ...] = ("latency", "size")
        found = [
            dataclasses.replace(point, plan=job.finished(point.plan))
            for axis in axes
            for point in frontier(request, axis, self.points, job.progress)
        ]
        if self.pick is not None and self.pick > len(found):
            raise QuantuneError(f"--pick {self.pick}: the frontier has plans 1 to {len(found)}")
        drops = _drops(job, asks, found, output)
        rows = [
            row_of(number, point, drop)
            for number, (point, drop) in enumerate(zip(found, drops, strict=True), 1)
        ]
        facts = {
            "model": job.model.name,
            "target": job.target.name,
            "fp32": _reference(found, "fp32"),
            "int8": _reference(found, "uniform_int8"),
            "remark": found[0].plan.report["remark"],
        }
        write_atomic(self.file, rendered(self.file.suffix, facts, rows))
        if self.pick is not None and path is not None:
            found[self.pick - 1].plan.save(path)
        _print(output, facts, rows, [str(p) for p in (self.file, path) if p is not None])


def checked(file: Path | None, points: int | None, pick: int | None, path: Path | None) -> Drawn | None:
    """None where no frontier is asked for; raises QuantuneError for options that do not go together."""
    if file is None:
        for option, value in (("--points", points), ("--pick", pick)):
            if value is not None:
                raise QuantuneError(f"{option} is about the frontier; give --pareto FILE too")
        if path is None:
            raise QuantuneError("name the plan to write with -o FILE, such as -o plan.json")
        return None
    if file.suffix not in KINDS:
        raise QuantuneError(f"--pareto {file}: the name must end in {', '.join(KINDS)}")
    if points is not None and not 2 <= points <= 100:
        raise QuantuneError(f"--points must be 2 to 100, not {points}")
    if (pick is None) != (path is None):
        raise QuantuneError(
            "--pick K and -o FILE go together: which plan of the frontier to write, and where"
        )
    if pick is not None and pick < 1:
        raise QuantuneError(f"--pick counts from 1, not {pick}")
    return Drawn(file, points or POINTS, pick)


def _drops(job: Job, asks: Wanted, found: list[Point], output: Output) -> list[dict[str, Any] | None]:
    """What every point loses on --data; None without."""
    if asks.data is None:
        return [None] * len(found)
    from quantune.job.drops import measured_drop

    dataset = asks.dataset(job, output)
    return [
        dataclasses.asdict(drop) | {"measures": drop.measures}
        for drop in (measured_drop(job, point.plan, dataset) for point in found)
    ]


def _reference(found: list[Point], name: str) -> dict[str, Any]:
    report = found[0].plan.report
    return {
        "milliseconds": report[f"{name}_ms"],
        "bytes": report[f"{name}_bytes"],
        "sqnr_db": report.get(f"{name}_sqnr_db"),
    }


def _print(output: Output, facts: dict[str, Any], rows: list[dict[str, Any]], files: list[str]) -> None:
    from rich.table import Table

    from quantune.report.frontier import HEADINGS, cells

    measured = any(row["drop"] for row in rows)
    table = Table(title=f"{facts['model']} on {facts['target']}: the frontier", title_justify="left")
    for heading in HEADINGS[: None if measured else -1]:
        table.add_column(heading, justify="left" if heading in ("frontier", "layers") else "right")
    for row in rows:
        table.add_row(*cells(row)[: None if measured else -1])
    notes = [f"Note: {facts['remark']}"] if facts["remark"] else []
    output.show(table, *notes, f"Written: {', '.join(files)}")
    output.result({"files": files, **facts, "points": rows})
