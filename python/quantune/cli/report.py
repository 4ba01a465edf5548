"""`quantune report`: metrics.json → report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantune.cli.options import Json
from quantune.cli.output import Output

EXAMPLES = "Example: quantune report out"


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="what `quantune compile -o DIR` made")],
    as_json: Json = False,
) -> None:
    """Write DIR/report.html anew from DIR/metrics.json: one self-contained file."""
    from quantune.job import metrics
    from quantune.report.html import write_report

    output = Output(as_json)
    write_report(metrics.load(folder), folder / "report.html")
    output.show(f"{folder / 'report.html'}")
    output.result({"report": str(folder / "report.html")})
