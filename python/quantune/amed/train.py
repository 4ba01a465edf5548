"""The whole way: a calibrated job, labelled pictures and a budget → trained weights and their plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from quantune.amed import checkpoint
from quantune.amed.budget import costs_of, priced
from quantune.amed.chain import State
from quantune.amed.data import divided
from quantune.amed.export import trained_plan, write_weights
from quantune.amed.lesson import Examination, Lesson
from quantune.amed.network import QuantizedNetwork
from quantune.amed.reward import Judge
from quantune.amed.search import Search, run
from quantune.amed.settings import TrainingSettings
from quantune.amed.signal import latency_of
from quantune.amed.start import best_start
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.ingress.model import Model
from quantune.ingress.torch_module import load_torch
from quantune.job.imports import import_model
from quantune.job.job import Job
from quantune.plan.budget import Budget
from quantune.plan.schema import Plan


@dataclass(frozen=True)
class Trained:
    """What came out.

    Attributes:
        model: imported with the trained weights, which lie in `weights`. plan: for it.
        start: bits from post-training metrics. bits: those that were chosen.
        report: JSON-able; the trajectory is in it.
    """

    model: Model
    plan: Plan
    weights: Path
    start: State
    bits: State
    report: dict[str, Any]


def train_bits(
    job: Job,
    dataset: Dataset,
    budgets: Sequence[Budget],
    settings: TrainingSettings,
    folder: Path,
    weights: Path | None = None,
    start: State | None = None,
) -> Trained:
    """Trains the network of `job` with the bits that a chain finds for it within `budgets`.

    weights: those that the job's model was imported with. start: instead of the post-training allocation;
    with a share of search of 0 it is what is trained. Files go to `folder`: weights.safetensors, and cache/
    for what a killed run goes on from. Raises QuantuneError.
    """
    graph, classes = job.model.graph, job.model.classes
    if classes is None:
        raise QuantuneError(f"{job.model.spec} does not classify: training bits needs one vector of logits")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training, validation = (
        part.to(device) for part in divided(dataset, classes, settings.validation, settings.seed)
    )
    base = job.plan("uniform-int8")
    costs = costs_of(graph, job.prices(priced(settings.menu)), settings.menu)
    torch.manual_seed(settings.seed)
    network = QuantizedNetwork(graph, base, settings.menu).to(device)
    lesson = Lesson.of(graph, settings.distill, device)
    latency = latency_of(settings.signal, job, base, costs)
    judge = Judge(network, Examination(lesson, validation), costs, budgets, settings, latency)
    state = start or best_start(job, judge)
    search = Search(network, judge, training, settings, state)
    key = checkpoint.key_of(base, training, validation, settings, *budgets, state, job.target.name)
    run(search, folder / "cache" / "amed.pt", key, job.progress)
    return _exported(job, search, base, state, folder, weights)


def _exported(
    job: Job, search: Search, base: Plan, start: State, folder: Path, weights: Path | None
) -> Trained:
    judge, costs = search.judge, search.judge.costs
    loss, accuracy = judge.examination.measured(search.network)
    network = search.network.cpu()
    path = folder / "weights.safetensors"
    _, channels, height, width = job.model.input_shape
    source = load_torch(job.model.spec, weights, (channels, height, width))
    write_weights(network, source.module, torch.zeros(job.model.input_shape), path)
    model = import_model(job.model.spec, path, (channels, height, width), folder / "cache", job.progress)
    report = {
        "layers": list(costs.layers),
        "budgets": [budget.text for budget in judge.budgets],
        "menu": list(search.settings.menu),
        "signal": search.settings.signal,
        "start_bits": list(start),
        "bits": list(search.state),
        "average_bits": costs.average_bits(search.state),
        "predicted_ms": costs.milliseconds(search.state),
        "uniform_int8_ms": costs.milliseconds((8,) * len(start)),
        "bytes": costs.of(search.state, "size"),
        "validation_loss": loss,
        "validation_accuracy": accuracy,
        "training_pictures": len(search.training),
        "batches": search.settings.batches(len(search.training)),
    }
    plan = trained_plan(network, replace(base, model=model.name), model.graph, report)
    return Trained(model, plan, path, start, search.state, report | {"trajectory": search.trajectory})
