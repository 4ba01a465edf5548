"""Which local metric, on which level of the IR, predicts the true loss best? `docs/results/sensitivity.md`.

Needs the oracle (`tools/oracle.py`, whose files it reads). Every metric is computed on the calibration
pictures alone and then ranked against what the oracle measured on others, layer by layer at equal bits and
over all layers and bits together. A model's result is kept in build/sensitivity/ until the model, the oracle
or this code changes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sensitivity_predictions
import sensitivity_results
from command import finish, for_each
from oracle import FOLDER as ORACLE
from oracle_setting import MODELS, Setting, prepare
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.job.cache import file_digest, key_of
from quantune.job.job import Job
from quantune.plan.strategies import uniform
from sensitivity_candidates import BEST, Table, candidates, compiled, spearman
from sensitivity_observe import observe

KEPT = Path("build/sensitivity")
CALIBRATION = 64
PICTURES = 256
"""For predicted against measured; the oracle has its own."""


def study(name: str, oracle: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One model's rank correlations, predictions and times."""
    setting, pictures = prepare(name, folder / name, PICTURES, CALIBRATION)
    if setting.graph.fingerprint != oracle["fingerprint"]:
        raise QuantuneError(f"{name} is not the model that the oracle measured; run tools/oracle.py again")
    widths = tuple(sorted((int(bits) for bits in next(iter(oracle["loss"].values()))), reverse=True))
    loss = oracle["loss"]
    truth: Table = {name: {int(b): item["loss"] for b, item in row.items()} for name, row in loss.items()}
    halves = [
        {name: {int(b): item["halves"][half] for b, item in row.items()} for name, row in loss.items()}
        for half in (0, 1)
    ]
    observed = observe(setting, _images(setting.job), (8, *widths))
    sensitivity, seconds = timed(setting)
    tables = {each.name: each.table(observed, widths) for each in candidates()}
    (transfer,) = (each.table(observed, (8, *widths)) for each in candidates() if each.metric == BEST)
    tables |= compiled(sensitivity, truth)
    noise: Table = {name: {int(b): item["nsr"] for b, item in row.items()} for name, row in loss.items()}
    return {
        "trained": setting.trained,
        "layers": len(setting.graph.contractions),
        "macs": sum(layer.macs for layer in setting.graph),
        "fp32": oracle["fp32"],
        "int8": oracle["int8"],
        "oracle": {key: oracle[key] for key in ("seconds", "cases", "images", "check")},
        "ours": seconds,
        "reliability": correlations(halves[0], halves[1]) | {"noise": spearman(truth, noise)},
        "spearman": {
            metric: correlations(table, truth) | {"noise": spearman(table, noise)}
            for metric, table in tables.items()
        },
        "judged": len(pictures),
        "predictions": sensitivity_predictions.compare(setting, sensitivity, transfer, pictures),
    }


def correlations(metric: Table, truth: Table) -> dict[str, float]:
    """By bits, the mean of those as "mean", and over layers and bits together as "all"."""
    widths = sorted(next(iter(truth.values())), reverse=True)
    found = {str(bits): spearman(_only(metric, bits), _only(truth, bits)) for bits in widths}
    return found | {"mean": float(np.mean(list(found.values()))), "all": spearman(metric, truth)}


def timed(setting: Setting) -> tuple[Any, dict[str, float]]:
    """The two inferences from nothing, and processor seconds of each, with those of the compiler."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(setting.job.model, setting.job.target, Path(scratch), setting.job.calibration)
        began = _seconds()
        statistics = job.statistics()
        first = _seconds()
        found = job.sensitivity(statistics)
        done = _seconds()
    own, children = (np.subtract(done, began)).tolist()
    return found, {
        "images": len(setting.job.calibration),
        "seconds": round(own + children, 2),
        "compiling": round(children, 2),
        "calibration": round(float(np.subtract(first, began).sum()), 2),
        "sensitivity": round(float(np.subtract(done, first).sum()), 2),
    }


def _seconds() -> tuple[float, float]:
    """Processor time of this process, and of those that it has waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _images(job: Job) -> Any:
    return np.concatenate([sample.image for sample in job.calibration])


def _only(table: Mapping[str, Mapping[int, float]], bits: int) -> dict[str, dict[int, float]]:
    return {name: {bits: row[bits]} for name, row in table.items()}


def _without_key(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "key"}


def kept(name: str, folder: Path) -> dict[str, Any]:
    """The model's result, from its file if nothing has changed since."""
    source = ORACLE / f"{name}.json"
    if not source.exists():
        raise QuantuneError(f"{source} does not exist; run: python tools/oracle.py {name}")
    oracle = read_json(source)
    code = [file_digest(path) for path in sorted(Path(__file__).parent.glob("sensitivity_*.py"))]
    code += [file_digest(path) for path in sorted(Path(uniform.__file__).parents[2].glob("sensitivity/*.py"))]
    key, path = key_of("study", oracle, code), folder / f"{name}.json"
    if path.exists() and (found := read_json(path)).get("key") == key:
        return dict(found)
    found = {"key": key, **study(name, oracle, ORACLE)}
    write_json(path, found)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo, at 32x32 (default: {' '.join(MODELS)})")
    parser.add_argument("-o", "--output", type=Path, default=sensitivity_results.FOLDER)
    parser.add_argument("--json", action="store_true", help="print the mean over the models")
    asked = parser.parse_args(arguments)
    found: dict[str, dict[str, Any]] = {}

    def one(name: str) -> None:
        found[name] = kept(name, KEPT)

    failed = for_each(asked.models or MODELS, one)
    if found:
        losses = asked.output / "oracle.json"
        write_json(losses, {name: _without_key(read_json(ORACLE / f"{name}.json")) for name in found})
        for path in [losses, *sensitivity_results.write(found, asked.output)]:
            print(f"Written: {path}", file=sys.stderr)
        if asked.json:
            print(json.dumps(sensitivity_results.means(found)))
    return failed


if __name__ == "__main__":
    torch.set_num_threads(1)
    finish(main)
