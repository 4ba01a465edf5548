"""`quantune tune --replay`: how many trials each strategy needs, on trials that were measured before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantune.cli.output import Output


def replay(path: Path, seeds: int, output: Output) -> None:
    """Reads, replays, prints. Raises QuantuneError."""
    from quantune.search.replay import Comparison
    from quantune.search.space import PAPER
    from quantune.search.trials import read_published

    comparison = Comparison(PAPER, read_published(path), output.progress)
    found = comparison.strategies(comparison.choices(), seeds)
    _print(output, found)
    output.result(found)


def _print(output: Output, found: dict[str, Any]) -> None:
    from rich.table import Table

    models = list(found["models"])
    title = f"Median trials to the best (to within 0.1 points), {found['seeds']} seeds"
    table = Table("strategy", *models, "speed-up", title=title, title_justify="left")
    for name, block in found["strategies"].items():
        cells = [
            f"{m['median_trials_to_best']:g} ({m['median_trials_to_within_0.1']:g})"
            for m in block["models"].values()
        ]
        table.add_row(name, *cells, f"{block['geomean_speedup_over_expected_random']:.2f}x")
    output.show(table, "Speed-up: geometric mean over expected random search, of mean trials to the best.")
