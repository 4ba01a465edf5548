"""The expensive truth about every layer: the loss on labelled pictures when it alone gets fewer bits.

All other layers stay int8, because that is the decision a planner takes: which layer of an int8 network gets
narrower weights. So 8 bits cost nothing by definition. The pictures are from the training split, none of
them among the calibration's. Loss is the one that the networks were trained with, cross-entropy with label
smoothing: a trained network is at its minimum, while an error may well lower plain cross-entropy, by making
a network more certain. Plain cross-entropy and accuracy stand beside it.

Compiling each of some 300 variants a network would take minutes of compiling for a second of running. So the
variants run in `quantune.replica`, whose integers are those of the compiled module; `check` in the result
compares the two to the bit on a few variants, and says what a variant costs when it is compiled.
Results: build/oracle/<model>.json. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from command import finish, for_each
from oracle_setting import MODELS, Pictures, Setting, prepare
from quantune.backend.runner import HostRunner
from quantune.files import read_json, replacing, write_json
from quantune.numerics import layer_weights
from quantune.replica import Replica

SCHEMA = "quantune.oracle/2"
FOLDER = Path("build/oracle")
BATCH = 32
SMOOTHING = 0.1
"""Of labels, as in tools/train_zoo.py."""
Case = tuple[str, int]


@dataclasses.dataclass
class Scores:
    """What the pictures said, case by case; row 0 is fp32, row 1 uniform int8, then one row a case.

    loss, plain, hit: [rows, pictures]. noise: squared differences of logits from fp32's; power: of fp32's.
    """

    loss: NDArray[np.float64]
    plain: NDArray[np.float64]
    hit: NDArray[np.bool_]
    noise: NDArray[np.float64]
    power: float = 0.0
    done: int = 0
    seconds: float = 0.0

    @staticmethod
    def empty(rows: int, pictures: int) -> Scores:
        shape = (rows, pictures)
        return Scores(np.zeros(shape), np.zeros(shape), np.zeros(shape, bool), np.zeros(rows))

    def add(self, row: int, logits: torch.Tensor, exact: torch.Tensor, labels: torch.Tensor) -> None:
        places = slice(self.done, self.done + len(labels))
        for found, smoothing in ((self.loss, SMOOTHING), (self.plain, 0.0)):
            found[row, places] = cross_entropy(
                logits, labels, reduction="none", label_smoothing=smoothing
            ).numpy()
        self.hit[row, places] = (logits.argmax(1) == labels).numpy()
        self.noise[row] += float((logits.double() - exact.double()).square().sum())


def measure(setting: Setting, cases: Sequence[Case], pictures: Pictures, partial: Path) -> Scores:
    """Runs every case; resumes from `partial`, which is written after each batch."""
    scores = _resumed(partial, len(cases) + 2, len(pictures))
    exact, base = Replica(setting.graph, None), Replica(setting.graph, setting.base)
    variants = [base.with_layer(name, setting.narrowed(name, bits)) for name, bits in cases]
    stale = {name: base.after(name) for name in {name for name, _ in cases}}
    for start in range(scores.done, len(pictures), BATCH):
        began = time.process_time()
        images, labels = pictures.images[start : start + BATCH], pictures.labels[start : start + BATCH]
        reference = exact.logits(exact.run(images))
        scores.power += float(reference.double().square().sum())
        scores.add(0, reference, reference, labels)
        values = base.run(images)
        scores.add(1, base.logits(values), reference, labels)
        for row, ((name, _), variant) in enumerate(zip(cases, variants, strict=True), 2):
            known = {key: value for key, value in values.items() if key not in stale[name]}
            scores.add(row, variant.logits(variant.run(images, known)), reference, labels)
        scores.done += len(labels)
        scores.seconds += time.process_time() - began
        with replacing(partial) as temporary, temporary.open("wb") as file:
            np.savez(file, **dataclasses.asdict(scores))
        print(f"  {scores.done}/{len(pictures)} pictures", file=sys.stderr, flush=True)
    return scores


def check(setting: Setting, cases: Sequence[Case], pictures: Pictures, count: int) -> dict[str, Any]:
    """Compiles `count` of the cases: whether the logits are the replica's to the bit, and seconds a case."""
    found: list[dict[str, Any]] = []
    base = Replica(setting.graph, setting.base)
    for name, bits in [cases[len(cases) * (2 * i + 1) // (2 * count)] for i in range(count)]:
        plan = setting.narrowed(name, bits)
        began = time.process_time()
        built = setting.job.build("check", plan)
        runner = HostRunner(built.path)
        compiled = np.concatenate([runner.run([image[None]])[0] for image in pictures.images])
        seconds = time.process_time() - began + built.compile_seconds
        variant = base.with_layer(name, plan)
        replica = np.concatenate(
            [
                variant.logits(variant.run(pictures.images[start : start + BATCH])).numpy()
                for start in range(0, len(pictures), BATCH)
            ]
        )
        equal = bool(np.array_equal(compiled.reshape(replica.shape), replica))
        found.append({"layer": name, "bits": bits, "equal": equal, "seconds": round(seconds, 2)})
    return {"pictures": len(pictures), "cases": found}


def result(
    setting: Setting, cases: Sequence[Case], scores: Scores, checked: dict[str, Any]
) -> dict[str, Any]:
    """Increases over uniform int8: of the mean losses and of the share of wrong answers."""
    loss: dict[str, dict[str, Any]] = {}
    for row, (name, bits) in enumerate(cases, 2):
        rise = scores.loss[row] - scores.loss[1]
        loss.setdefault(name, {})[str(bits)] = {
            "loss": float(rise.mean()),
            "halves": [float(rise[0::2].mean()), float(rise[1::2].mean())],
            "ce": float((scores.plain[row] - scores.plain[1]).mean()),
            "top1": float(scores.hit[1].mean() - scores.hit[row].mean()),
            "nsr": float(scores.noise[row] / scores.power),
        }
    overall = {
        name: {
            "loss": float(scores.loss[row].mean()),
            "ce": float(scores.plain[row].mean()),
            "top1": float(scores.hit[row].mean()),
            "nsr": float(scores.noise[row] / scores.power),
        }
        for row, name in enumerate(("fp32", "int8"))
    }
    facts = {"model": setting.name, "fingerprint": setting.graph.fingerprint, "trained": setting.trained}
    seconds = {"seconds": round(scores.seconds, 1), "cases": len(cases), "check": checked}
    return {"schema": SCHEMA, **facts, "images": scores.loss.shape[1], **seconds, **overall, "loss": loss}


def run(name: str, bits: Sequence[int], images: int, calibration: int, checks: int, folder: Path) -> None:
    """Writes folder/<name>.json, unless it is there and made from the same."""
    setting, pictures = prepare(name, folder / name, images, calibration)
    cases = [(layer.name, width) for layer in setting.graph.contractions for width in bits]
    key = _key(setting, cases, pictures)
    path, partial = folder / f"{name}.json", folder / name / f"{key[:16]}.npz"
    if path.exists() and read_json(path).get("key") == key:
        return
    scores = measure(setting, cases, pictures, partial)
    checked = check(setting, cases, pictures, checks) if checks else {"pictures": 0, "cases": []}
    write_json(path, {"key": key, **result(setting, cases, scores, checked)})
    partial.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo, at 32x32 (default: {' '.join(MODELS)})")
    parser.add_argument("--bits", default="4,3,2", help="default: %(default)s")
    parser.add_argument("--images", type=int, default=4096, help="labelled pictures (default: %(default)s)")
    parser.add_argument("--calibration", type=int, default=64, help="pictures (default: %(default)s)")
    parser.add_argument("--checks", type=int, default=2, help="variants to compile (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="default: %(default)s")
    asked = parser.parse_args(arguments)
    bits = [int(width) for width in asked.bits.split(",")]

    def one(name: str) -> None:
        run(name, bits, asked.images, asked.calibration, asked.checks, asked.output)

    return for_each(asked.models or MODELS, one)


def _key(setting: Setting, cases: Sequence[Case], pictures: Pictures) -> str:
    """Of what was decided, not of the code: minutes of measuring outlive a change elsewhere."""
    weights = hashlib.sha256()
    for name, bits in cases:
        q, scales = layer_weights(setting.graph.layer(name), setting.narrowed(name, bits).layers[name])
        weights.update(q.tobytes() + scales.tobytes())
    facts = (SCHEMA, setting.base.to_json(), cases, weights.hexdigest(), pictures.fingerprint)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def _resumed(partial: Path, rows: int, pictures: int) -> Scores:
    if not partial.exists():
        return Scores.empty(rows, pictures)
    with np.load(partial) as archive:
        return Scores(
            loss=archive["loss"],
            plain=archive["plain"],
            hit=archive["hit"],
            noise=archive["noise"],
            power=float(archive["power"]),
            done=int(archive["done"]),
            seconds=float(archive["seconds"]),
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    finish(main)
