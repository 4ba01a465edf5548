"""Accuracy of every method on the trained zoo, in one table; `make accuracy` runs this.

All share the checkpoints, the calibration images (of the training set) and the test pictures. Ours are
compiled by IREE and run; other tools' models run in their own runtimes. Every result is kept in
build/accuracy/ and made anew only when what it depends on changes; so an interrupted `make accuracy` goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import accuracy_mixed
import accuracy_photos
import accuracy_results
from accuracy_case import Case, Record, open_case
from accuracy_methods import Method, methods
from command import finish
from quantune.cli.output import Output
from quantune.errors import QuantuneError
from quantune.progress import Progress

MODELS = (
    *("resnet18", "resnet50", "vgg16", "squeezenet"),
    *("mobilenet_v1", "mobilenet_v2", "shufflenet_v2", "googlenet"),
)
TEST_IMAGES = 10_000
CALIBRATION_IMAGES = 128
PARTS = ("table", "mixed", "photos")
"""Every method's accuracy; mixed plans for speed; EfficientNet-Lite0 on photos."""
KEPT = {"table": "records", "mixed": "mixed", "photos": "photos"}
"""Part → its rows in accuracy.json, which stay until they are measured again."""
ROW = {"records": ("model", "method"), "mixed": ("model", "target"), "photos": ("data",)}
"""What tells which rows new ones of each replace: of photos, all that were measured on the same."""


def measured(case: Case, wanted: Sequence[Method], number: str) -> tuple[list[Record], int]:
    """A record for every method that could be measured, fp32 first; and how many could not."""
    case.float_logits()
    records, failed = [case.record("fp32")], 0
    for place, method in enumerate(wanted, 1):
        print(f"[{number}] {case.model} [{place}/{len(wanted)}] {method.name}", file=sys.stderr, flush=True)
        try:
            records.append(method.run(case))
        except QuantuneError as error:
            print(f"error: {case.model}, {method.name}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return records, failed


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    rows, parts = methods(), asked.parts.split(",")
    _check("method", (asked.methods or "").split(","), [method.name for method in rows])
    _check("part", parts, PARTS)
    wanted = [m for m in rows if not asked.methods or m.name in asked.methods.split(",")]
    models = asked.models or MODELS
    before = accuracy_results.written(asked.output)
    same = accuracy_results.of_sets(before, asked.images, asked.calibration)
    found = _Found({name: before.get(name, []) for part, name in KEPT.items() if same or part not in parts})
    progress = Output(False).progress
    for number, model in enumerate(models if {"table", "mixed"} & {*parts} else [], 1):
        where = f"{number}/{len(models)}"
        with found.attempt(model):
            case = _case(model, asked, progress)
            if "table" in parts:
                records, failed = measured(case, wanted, where)
                found.records += records
                found.failures += failed
            for target in accuracy_mixed.targets_here() if "mixed" in parts else []:
                print(f"[{where}] {model} for speed on {target}", file=sys.stderr, flush=True)
                found.mixed.append(accuracy_mixed.measure(case, target))
        found.write(asked)  # after every network, so that an interrupted run leaves what it has
    if "photos" in parts:
        with found.attempt("efficientnet_lite0"):
            found.photos = accuracy_photos.measure(progress)
    if paths := found.write(asked):
        print(f"Written: {', '.join(map(str, paths))}")
    return int(found.failures > 0)


@dataclass
class _Found:
    """What has been measured so far, and what is known from earlier runs: name in accuracy.json → rows."""

    kept: dict[str, list[Record]]
    records: list[Record] = field(default_factory=list)
    mixed: list[Record] = field(default_factory=list)
    photos: list[Record] = field(default_factory=list)
    failures: int = 0

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """A part that fails is said and counted, and does not stop the others."""
        try:
            yield
        except QuantuneError as error:
            print(f"error: {what} was not measured: {error}", file=sys.stderr, flush=True)
            self.failures += 1

    def write(self, asked: argparse.Namespace) -> list[Path]:
        """Nothing without the table, which all else is beside."""
        records, mixed, photos = (self.rows(name) for name in KEPT.values())
        if not records:
            return []
        return accuracy_results.write(records, asked.calibration, asked.output, mixed, photos)

    def rows(self, name: str) -> list[Record]:
        """Of one part: the new ones, and those kept that none of them replaces, network by network."""
        found: list[Record] = getattr(self, name)
        new = {tuple(row[key] for key in ROW[name]) for row in found}
        old = [r for r in self.kept.get(name, []) if tuple(r[key] for key in ROW[name]) not in new]
        places = {model: place for place, model in enumerate(MODELS)}
        return sorted([*found, *old], key=lambda row: places.get(row.get("model", ""), len(places)))


def _check(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in given if name and name not in known]:
        raise QuantuneError(f"no {what} is called {unknown[0]!r}; there are {', '.join(known)}")


def _case(model: str, asked: argparse.Namespace, progress: Progress) -> Case:
    found = open_case(model, asked.images, asked.calibration, asked.weights, progress)
    found.again, found.oracle = asked.again, asked.oracle
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo (default: {' '.join(MODELS)})")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--methods", help="only these, comma-separated (default: all)")
    parser.add_argument(
        "--images", type=int, default=TEST_IMAGES, help="of the test set; default: %(default)s"
    )
    parser.add_argument("--calibration", type=int, default=CALIBRATION_IMAGES, help="default: %(default)s")
    parser.add_argument(
        "--weights", type=Path, help="a folder of NAME@32.safetensors, instead of the zoo's own"
    )
    parser.add_argument(
        "--oracle", type=Path, default=Path("build/oracle"), help="of tools/oracle.py; default: %(default)s"
    )
    parser.add_argument("--again", action="store_true", help="measure even what was measured before")
    parser.add_argument(
        "-o", "--output", type=Path, default=accuracy_results.FOLDER, help="default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    finish(main)
