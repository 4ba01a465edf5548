"""A worker of a study on made-up trials: `python tune_worker.py URL STRATEGY TRIALS SECONDS LOG`.

Also what the tests of tuning build their own searches with.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from quantune.search.evaluate import Metrics
from quantune.search.objectives import Objective
from quantune.search.space import PAPER
from quantune.search.tuning import Search, open_study, run
from trials import LOSS, made

TOP = 70.0


def metrics_at(setting: Mapping[str, str]) -> Metrics:
    """What the made-up network 0 comes to."""
    top1 = TOP - sum(LOSS[level] for level in setting.values())
    latency = 1.0 if setting["precision"] == "8" else 1.5
    return Metrics(1000, top1, TOP, top1, latency, 4.0, 10_000, 0.0)


def search_of(
    strategy: str,
    evaluate: Callable[[Mapping[str, str]], Metrics] = metrics_at,
    objective: Objective | None = None,
) -> Search:
    others = [made(number) for number in (1, 2, 3)]
    own = made(0)
    return Search(
        *("made-up", PAPER, objective or Objective("accuracy"), strategy, own.traits),
        *(lambda weight: others, evaluate),
    )


def main(url: str, strategy: str, trials: str, seconds: str, log: str) -> None:
    def evaluate(setting: Mapping[str, str]) -> Metrics:
        with Path(log).open("a") as file:
            file.write(" ".join(setting.values()) + "\n")
        time.sleep(float(seconds))
        return metrics_at(setting)

    search = search_of(strategy, evaluate)
    run(search, open_study(search, url), int(trials))


if __name__ == "__main__":
    main(*sys.argv[1:])
