"""docs/results/amed.*: the study's table, its data and its plots."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from quantune.amed.plot import draw
from quantune.report.svg import Axis, Canvas, ticks

FOLDER = Path("docs/results")
SETTING = ("target", "pictures", "test", "batches", "batch", "interval", "validation", "rate", "seed")
METHODS = ("v2", "uniform", "amed", "amed, no signal", "v2, target's menu", "amed, target's menu")
WORDS = {
    "v2": "post-training (integer program)",
    "uniform": "uniform bits, trained as long",
    "amed": "**AMED**",
    "amed, no signal": "AMED without the hardware's signal",
    "v2, target's menu": "post-training, the target's menu",
    "amed, target's menu": "AMED, the target's menu",
}
WIDTH, LEFT, TOP, PANEL, GAP, ROW = 960.0, 60.0, 40.0, 200.0, 60.0, 20.0
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .tick { fill: #666; font-size: 11px; } .end { text-anchor: end; }
.mid { text-anchor: middle; } .title { font-weight: 600; } .grid, .zero { stroke: #ddd; }
.c0 { fill: #b9bec6; } .c1 { fill: #7aa7e8; } .c2 { fill: #2563c9; } .c3 { fill: #e0a030; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6e6e6; } .tick { fill: #9aa4b0; }
  .grid, .zero { stroke: #30363d; }
}
"""
Rows = Sequence[dict[str, Any]]


def rendered(found: dict[str, Any]) -> dict[str, str]:
    """File name → content. found: {"rows", "setting"} of the study."""
    rows = found["rows"]
    files = {
        "amed.md": _page(found),
        "amed.json": json.dumps({"setting": found["setting"], "rows": [_slim(row) for row in rows]}, indent=1)
        + "\n",
        "amed.svg": _chart([row for row in rows if row["method"] in METHODS[:4]]),
    }
    if searched := [row for row in rows if row["method"] == "amed" and row["average"] == 3]:
        files["amed_trajectory.svg"] = draw(searched[0]["report"])
    return files


def _slim(row: dict[str, Any]) -> dict[str, Any]:
    """Without the key, and with a trajectory that a script can read."""
    report = dict(row["report"])
    steps = report.pop("trajectory", [])
    keys = ("step", "phase", "average_bits", "loss", "accuracy", "reward", "milliseconds")
    slim = [{key: step[key] for key in keys} for step in steps]
    return {k: v for k, v in row.items() if k not in ("key", "report")} | {"trajectory": slim}


def _page(found: dict[str, Any]) -> str:
    rows, setting = found["rows"], found["setting"]
    lines = [
        "# AMED: trained bits against planned ones",
        "",
        "Made by `make search`, whose part this is: `tools/amed_study.py "
        + " ".join(f"--{k} {v}" for k, v in setting.items())
        + f"`. Top-1 of the compiled module on {setting['test']:,} Fashion-MNIST test pictures, 8-bit "
        f"activations, menu 2, 3, 4, 8. Every training, search included, is {setting['batches']} batches of "
        f"{setting['batch']} from {setting['pictures']:,} training pictures, {setting['validation']} of "
        f"which are held out to judge by; latency is the sum of the prices of {setting['target']} over that "
        "of uniform int8. AMED may be no slower than the post-training plan of as many bits.",
        "",
        "| network | fp32 | method | bits, at most | bits | latency | top-1 | drop |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(row) for row in sorted(rows, key=_order)),
        "",
        *_verdicts(rows),
        "",
        "![accuracy](amed.svg)",
        "",
        "The search that found the first network's 3-bit allocation, step by step; right of the dashed line "
        "the bits stand and the network trains on:",
        "",
        "![trajectory](amed_trajectory.svg)",
    ]
    return "\n".join(lines) + "\n"


def _order(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["model"], row["average"], METHODS.index(row["method"])


def _row(row: dict[str, Any]) -> str:
    drop = 100 * (row["float_accuracy"] - row["accuracy"])
    ratio = row["predicted_ms"] / row["uniform_int8_ms"]
    return (
        f"| {row['model']} | {row['float_accuracy']:.2%} | {WORDS[row['method']]} | {row['average']} "
        f"| {row['average_bits']:.2f} | {ratio:.2f} | {row['accuracy']:.2%} | {drop:.2f} |"
    )


def _verdicts(rows: Rows) -> list[str]:
    """How often AMED wins against each other method at the same average, and at what latency."""
    own = {(row["model"], row["average"]): row for row in rows if row["method"] == "amed"}
    found = []
    for method, average in itertools.product(("v2", "uniform", "amed, no signal"), (3, 4)):
        pairs = [
            (own[row["model"], average], row)
            for row in rows
            if row["method"] == method and row["average"] == average and (row["model"], average) in own
        ]
        if not pairs:
            continue
        wins = sum(ours["accuracy"] > other["accuracy"] for ours, other in pairs)
        gains = ", ".join(
            f"{other['model']} {100 * (ours['accuracy'] - other['accuracy']):+.2f}" for ours, other in pairs
        )
        slower = statistics.geometric_mean(o["predicted_ms"] / r["predicted_ms"] for o, r in pairs)
        found.append(
            f"- {average} bits, against {WORDS[method]}: more accurate on {wins} of {len(pairs)} networks "
            f"({gains} points), at {slower:.2f} of its latency (geometric mean)."
        )
    return found


def _chart(rows: Rows) -> str:
    """Drops against fp32: a group a network, a bar a method; 3 bits above, 4 below."""
    averages = sorted({row["average"] for row in rows})
    canvas = Canvas(WIDTH, TOP + len(averages) * (PANEL + GAP), "Loss of accuracy against fp32")
    canvas.root.set("xmlns", "http://www.w3.org/2000/svg")
    style = ElementTree.Element("style")
    style.text = STYLE
    canvas.root.insert(0, style)
    for place, method in enumerate(METHODS[:4]):
        canvas.rect(LEFT + 220 * place, 8, 12, 12, f"c{place}")
        canvas.text(LEFT + 220 * place + 18, 18, WORDS[method].replace("*", ""), "")
    for number, average in enumerate(averages):
        _panel(
            canvas, TOP + number * (PANEL + GAP) + 20, [r for r in rows if r["average"] == average], average
        )
    return canvas.render() + "\n"


def _panel(canvas: Canvas, top: float, rows: Rows, average: int) -> None:
    drops = [100 * (row["float_accuracy"] - row["accuracy"]) for row in rows]
    marks = ticks(min(0.0, *drops), max(0.1, *drops), 5)
    down = Axis(marks[0], marks[-1], top + PANEL, top)
    canvas.text(LEFT, top - 6, f"{average} bits on average: points lost against fp32", "title")
    canvas.grid(down, marks, LEFT, WIDTH - 10)
    models = sorted({row["model"] for row in rows})
    group = (WIDTH - LEFT - 10) / max(1, len(models))
    for row, drop in zip(rows, drops, strict=True):
        place = METHODS.index(row["method"])
        x = LEFT + group * (models.index(row["model"]) + 0.1) + place * group * 0.2
        high, low = down(max(drop, 0.0)), down(min(drop, 0.0))
        title = f"{row['model']}, {WORDS[row['method']].replace('*', '')}: {drop:.2f} points"
        canvas.rect(x, high, group * 0.18, low - high, f"c{place}", title)
    for index, model in enumerate(models):
        canvas.text(LEFT + group * (index + 0.5), top + PANEL + ROW, model, "mid")
