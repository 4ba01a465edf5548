"""Every strategy on published trials; `make search TRIALS=file.csv` runs this, docs/results/search.* is
what comes out.

With the comparison that `quantune tune --replay` makes, an ablation: the tuner with groups of features left
out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import search_results
from command import finish
from quantune.cli.progress import choose
from quantune.errors import QuantuneError
from quantune.search.packages import check_installed
from quantune.search.replay import Comparison
from quantune.search.space import PAPER
from quantune.search.trials import read_published


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trials", type=Path, help="CSV of measured trials")
    parser.add_argument("--seeds", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--ablation-seeds", type=int, default=20, help="default: %(default)s")
    parser.add_argument(
        "-o", "--output", type=Path, default=search_results.FOLDER, help="default: %(default)s"
    )
    asked = parser.parse_args(arguments)
    progress = choose(as_json=False)
    try:
        check_installed()
        comparison = Comparison(PAPER, read_published(asked.trials), progress)
        choices = comparison.choices()
        found = comparison.strategies(choices, asked.seeds)
        found["ablation"] = comparison.ablation(choices, asked.ablation_seeds)
        for path in search_results.write(found, asked.output):
            print(f"Written: {path}")
    except QuantuneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    finish(main)
