"""Trains the 32x32 models of the zoo on Fashion-MNIST; `make train-zoo` runs this.

What comes out lies in python/quantune/zoo/weights: one half-precision checkpoint a model, and training.json,
which says how each was made and how good it is. The last 5,000 training pictures are held out to choose
recipes by; test pictures are only counted, after the last epoch. As many models train side by side as there
are cores, one thread each. Ctrl-C loses the current epochs; the same command goes on from the ones before,
and ends with the same weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from command import finish
from quantune import zoo
from quantune.data import load_dataset
from quantune.errors import QuantuneError
from quantune.files import read_json, replacing, write_json
from quantune.targets import cpu
from quantune.zoo.weights import WEIGHTS_FOLDER, load_checkpoint
from zoo_recipes import RECIPES, Recipe
from zoo_training import THREADS, Pictures, Run, accuracy, prepare, train
from zoo_workers import Display, Event, Report, run_all

CHECKPOINTS = Path("build/zoo")
LOG = "training.json"
HELD_OUT = 5000


def load_pictures(split: str) -> Pictures:
    """Fashion-MNIST as `quantune eval` preprocesses it; raises QuantuneError saying how to get it."""
    preprocessing = zoo.entry("resnet18@32").preprocessing
    images, labels = load_dataset("fashion-mnist", preprocessing, preprocessing.shape, split=split).stacked()
    return Pictures(
        torch.from_numpy(images), torch.tensor(labels), -preprocessing.mean[0] / preprocessing.std[0]
    )


def train_one(name: str, report: Report, epochs: int | None, folder: Path) -> None:
    """A worker's task: from the recipe to the checkpoint in `folder`, its record as the last event."""
    recipe = recipe_of(name, epochs)
    everything = load_pictures("train")
    kept = len(everything.images) - HELD_OUT
    run = prepare(
        name,
        zoo.entry(f"{name}@32").factory,
        recipe,
        everything.part(0, kept),
        everything.part(kept, len(everything.images)),
        CHECKPOINTS / f"{name}.pt",
    )
    train(
        run,
        lambda count: report(Event(name, "steps", count)),
        lambda epoch, found: report(Event(name, "epoch", (epoch, found))),
    )
    path = folder / f"{name}@32.safetensors"
    write_weights(run.module, path)
    report(Event(name, "done", describe(run, path)))


def recipe_of(name: str, epochs: int | None) -> Recipe:
    recipe = RECIPES[name]
    if epochs is None:
        return recipe
    return dataclasses.replace(recipe, cycles=((epochs, recipe.cycles[0][1]),))


def write_weights(module: nn.Module, path: Path) -> None:
    """Matrices and filters in half precision; vectors stay f32, as variances may be too small for it.

    Raises QuantuneError when a weight is not finite in half precision: the training has diverged.
    """
    state: dict[str, Tensor] = {}
    for key, value in module.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        state[key] = (value.half() if value.dim() > 1 else value.float()).cpu().contiguous()
        if not state[key].isfinite().all():
            raise QuantuneError(f"{key} for {path} is infinite or NaN: lower the recipe's rate")
    with replacing(path) as temporary:
        save_file(state, temporary)


def describe(run: Run, path: Path) -> dict[str, Any]:
    """The model's entry in training.json; accuracies are those of the file, in f32 arithmetic."""
    module = zoo.entry(f"{run.name}@32").factory()
    load_checkpoint(module, path)
    parts = {"train": run.pictures.part(0, 5000), "validation": run.validation, "test": load_pictures("test")}
    device = next(run.module.parameters()).device
    return {
        "command": f"python tools/train_zoo.py {run.name}",
        "recipe": as_json(run.recipe),
        "parameters": sum(value.numel() for value in module.parameters()),
        "bytes": path.stat().st_size,
        "accuracy": {part: accuracy(module, pictures) for part, pictures in parts.items()},
        "curve": run.curve,
        "seconds": round(run.seconds, 1),
        "processor_seconds": round(run.processor_seconds, 1),
        "torch": torch.__version__,
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu.here().name,
        "threads": THREADS,
        "bfloat16": run.half,
    }


def finished(name: str, epochs: int | None, folder: Path) -> bool:
    """Whether `folder` has the model, trained by the recipe of today."""
    if not (folder / LOG).is_file() or not (folder / f"{name}@32.safetensors").is_file():
        return False
    entry = read_json(folder / LOG).get(name)
    return entry is not None and entry["recipe"] == as_json(recipe_of(name, epochs))


def as_json(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return found


def record(name: str, entry: dict[str, Any], folder: Path) -> None:
    path = folder / LOG
    known = read_json(path) if path.is_file() else {}
    known[name] = entry
    write_json(path, {known_name: known[known_name] for known_name in RECIPES if known_name in known})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(RECIPES)}")
    parser.add_argument("--epochs", type=int, help="in one cycle, instead of the recipe's")
    parser.add_argument("--again", action="store_true", help="train anew what is trained or half trained")
    parser.add_argument(
        "--jobs", type=int, default=default_jobs(), help="models at once (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, default=WEIGHTS_FOLDER, help="default: %(default)s")
    asked = parser.parse_args(arguments)
    try:
        return train_all(asked)
    except QuantuneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def default_jobs() -> int:
    return 1 if torch.cuda.is_available() else cpu.here().cores


def train_all(asked: argparse.Namespace) -> int:
    names = asked.names or list(RECIPES)
    if unknown := [name for name in names if name not in RECIPES]:
        raise QuantuneError(f"there is no recipe for {unknown[0]}; there are: {', '.join(RECIPES)}")
    if min(asked.jobs, asked.epochs or 1) < 1:
        raise QuantuneError("--jobs and --epochs must be at least 1")
    if asked.again:
        for name in names:
            (CHECKPOINTS / f"{name}.pt").unlink(missing_ok=True)
    else:
        names = [name for name in names if not finished(name, asked.epochs, asked.output)]
    pictures = len(load_pictures("train").images) - HELD_OUT  # fails here, not in every worker
    recipes = {name: recipe_of(name, asked.epochs) for name in names}
    steps = {name: recipe.epochs * (pictures // recipe.batch) for name, recipe in recipes.items()}
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what determinism needs on a GPU
    task = functools.partial(train_one, epochs=asked.epochs, folder=asked.output)
    failed = 0
    with Display(steps) as display:
        for event in run_all(names, task, asked.jobs):
            display.show(event)
            if event.kind == "done":
                record(event.name, event.value, asked.output)
                print(f"{event.name}: {event.value['accuracy']['test']:.2%} of the test pictures", flush=True)
            elif event.kind == "failed":
                print(f"error: {event.name}: {event.value}", file=sys.stderr, flush=True)
                failed = 1
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an orderly end: the workers end too
    finish(main)
