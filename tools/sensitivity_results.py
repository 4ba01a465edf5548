"""docs/results/sensitivity.{md,json,svg} from what `sensitivity_study` found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import sensitivity_plot
from quantune.files import replacing, write_json
from sensitivity_candidates import BEST, SHIPPED

FOLDER = Path("docs/results")
MODELS = ("v2_db", "transfer_db", "whole_db")
Found = Mapping[str, Mapping[str, Any]]

TEXT = """# Which local metric predicts the loss

Written by `python tools/sensitivity_study.py` from what `python tools/oracle.py` measured; the data are in
[sensitivity.json](sensitivity.json). Both use training pictures of Fashion-MNIST and the trained 32x32 zoo;
nothing here has seen the test set.

**The oracle.** For every convolution and linear layer and each of {bits} bits: the network in which only
this layer's weights are so narrow and all else is int8. Its loss is the rise of the cross-entropy over
uniform int8 on {images} labelled pictures. All else is int8, not float, because narrowing one layer of an
int8 network is the step that a planner takes. Compiling {cases} modules would take hours, so they run in
batches in `quantune.replica`, whose integers are those of the compiled module: {checked} of them were
compiled, and their logits were {equal} on every picture.

**The metrics** are computed on {calibration} other pictures, without labels or gradients, and ranked against
the oracle: Spearman's correlation over a network's layers at equal bits, averaged over the widths, then over
the {models} networks. The last two columns rank all layers and widths of a network together: by the rise of
the loss, and by the noise at the outputs on the same pictures, which needs no labels and has far less chance
in it.

{table}

The last row is what `v2` plans with: probes along the run of the compiled int8 module; the row before it what
compiled modules measure without them. No metric can agree with the oracle more than the oracle agrees with
itself: half of its pictures rank layers at equal bits like the other half with {reliability}, layers and
widths together with {together}, and its own two truths, loss and noise, agree with {truths}. The loss
is cross-entropy with the label smoothing that the networks were trained with.

![Spearman correlation, metric by metric](sensitivity.svg)

## Network by network

{networks}

Of all widths together. v2: the last row above; transfer: measured in a run of the network with 4-bit weights.
Half: the oracle's halves against each other. Time is processor time on one core, compiling
included: the oracle in batches; the oracle if each module were compiled (from the {checked} that were); both
inferences of ours from nothing; and their ratios.

## Time grows linearly

{growth}

Beyond compiling there are two runs over the pictures, the probes along the second, and a look at each layer's
weights, in proportion to layers and pictures.

## Predicted and measured SQNR

Whole plans, uniform (4 to 2 bits) and at random from 8, 4, 3 bits, on {judged} pictures that were not
calibrated on. v2: what each layer's probes found. Transfer: each layer's error times what was measured to
become of it in a run with 4-bit weights. Whole: the weights' own noise-to-signal ratio, as if nothing faded.
Mean absolute error in dB:

{predictions}
"""


def write(found: Found, folder: Path) -> list[Path]:
    """Writes the three files and returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"sensitivity.{kind}" for kind in ("md", "json", "svg")]
    with replacing(paths[0]) as temporary:
        temporary.write_text(page(found))
    plain = {name: {key: item for key, item in one.items() if key != "key"} for name, one in found.items()}
    write_json(paths[1], {"mean": means(found), "models": plain})
    with replacing(paths[2]) as temporary:
        temporary.write_text(sensitivity_plot.draw(found))
    return paths


def means(found: Found) -> dict[str, dict[str, float]]:
    """Metric → the mean over the models of every correlation."""
    metrics = next(iter(found.values()))["spearman"]
    return {
        metric: {
            kind: round(float(np.mean([one["spearman"][metric][kind] for one in found.values()])), 3)
            for kind in kinds
        }
        for metric, kinds in metrics.items()
    }


def page(found: Found) -> str:
    first = next(iter(found.values()))
    checks = [case for one in found.values() for case in one["oracle"]["check"]["cases"]]
    itself = {
        key: f"{np.mean([one['reliability'][key] for one in found.values()]):.2f}"
        for key in ("mean", "all", "noise")
    }
    return TEXT.format(
        bits=", ".join(_widths(first)),
        images=first["oracle"]["images"],
        cases=f"{sum(one['oracle']['cases'] for one in found.values()):,}",
        checked=len(checks),
        equal="equal to the bit" if all(case["equal"] for case in checks) else "NOT equal",
        calibration=first["ours"]["images"],
        models=len(found),
        table=_metrics(found),
        reliability=itself["mean"],
        together=itself["all"],
        truths=itself["noise"],
        networks=_networks(found),
        growth=_growth(found),
        judged=first["judged"],
        predictions=_predictions(found),
    )


def _metrics(found: Found) -> str:
    mean = means(found)
    widths = _widths(next(iter(found.values())))
    lowest = {name: f"{min(one['spearman'][name]['mean'] for one in found.values()):.2f}" for name in mean}
    rows = [
        [
            _bold(name),
            *(f"{row[kind]:.2f}" for kind in [*widths, "mean"]),
            lowest[name],
            f"{row['all']:.2f}",
            f"{row['noise']:.2f}",
        ]
        for name, row in mean.items()
    ]
    heads = ["metric, level", *(f"{bits} bits" for bits in widths), "mean", "worst network"]
    heads += ["all widths", "all, noise"]
    return _markdown(heads, rows)


def _networks(found: Found) -> str:
    rows = []
    for name, one in found.items():
        oracle, ours = one["oracle"], one["ours"]
        each = compiled_seconds(one)
        rows.append(
            [
                name,
                f"{one['fp32']['top1']:.1%}",
                f"{one['spearman'][SHIPPED]['all']:.2f}",
                f"{one['spearman'][_best(one)]['all']:.2f}",
                f"{one['reliability']['all']:.2f}",
                f"{oracle['seconds']:.0f} s",
                f"{each:,.0f} s",
                f"{ours['seconds']:.0f} s",
                f"1/{oracle['seconds'] / ours['seconds']:.0f}, 1/{each / ours['seconds']:.0f}",
            ]
        )
    heads = ["network", "fp32", "v2", "transfer", "half", "batches", "compiled", "ours", "ratios"]
    return _markdown(heads, rows)


def compiled_seconds(one: Mapping[str, Any]) -> float:
    """What the oracle would take if every one of its modules were compiled."""
    oracle = one["oracle"]
    seconds = [case["seconds"] for case in oracle["check"]["cases"]]
    return float(np.mean(seconds)) * oracle["cases"] if seconds else float(oracle["seconds"])


def _growth(found: Found) -> str:
    rows = []
    for name, one in sorted(found.items(), key=lambda item: item[1]["layers"]):
        ours = one["ours"]
        running = ours["seconds"] - ours["compiling"]
        per = running / one["layers"] / ours["images"] * 1e3
        times = [f"{ours['compiling']:.1f} s", f"{running:.1f} s", f"{per:.2f} ms"]
        rows.append([name, str(one["layers"]), f"{one['macs'] / 1e6:.0f} M", *times])
    heads = ["network", "layers", "multiply-adds", "compiling", "the rest", "a layer and picture"]
    return _markdown(heads, rows)


def _predictions(found: Found) -> str:
    rows = []
    for name, one in found.items():
        plans = {kind: [row for row in one["predictions"] if kind in row["plan"]] for kind in ("w", "mixed")}
        cells = []
        for rows_of in plans.values():
            for key in MODELS:
                cells.append(f"{np.mean([abs(row[key] - row['measured_db']) for row in rows_of]):.1f}")
        rows.append([name, *cells])
    columns = np.array([[float(cell) for cell in row[1:]] for row in rows]).mean(axis=0)
    rows.append(["**mean**", *(f"**{value:.1f}**" for value in columns)])
    heads = [f"{kind}, {key.removesuffix('_db')}" for kind in ("uniform", "mixed") for key in MODELS]
    return _markdown(["network", *heads], rows)


def _best(one: Mapping[str, Any]) -> str:
    return next(name for name in one["spearman"] if name.startswith(BEST))


def _widths(one: Mapping[str, Any]) -> list[str]:
    return [kind for kind in one["reliability"] if kind.isdigit()]


def _bold(name: str) -> str:
    return f"**{name}**" if name == SHIPPED else name


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [heads, *rows]]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])
