"""The rows of the table: every method, and how a network gets its record by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import accuracy_data
from accuracy_case import Case, Record
from quantune.backend.runner import HostRunner
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.job import modules
from quantune.peers import nncf, onnxruntime, openvino
from quantune.peers.export import Calibration, quantize_onnx
from quantune.plan.budget import Goal, parse_budget
from quantune.plan.schema import Plan
from quantune.plan.strategies import find, first_last, greedy, mse_ranking, oracle, random, sized
from quantune.plan.strategies.allocation import MENU
from quantune.progress import Silent, stage
from quantune.sensitivity.measure import measure

VALIDATION_IMAGES = 2000
CONTROLLED_DROP = 0.002
SEEDS = (0, 1, 2)
Role = Literal["ours", "uniform", "baseline", "oracle", "tool"]
SIZES = (4.5, 4.0, 3.0)
"""Average weight bits at which choices are compared."""


@dataclass(frozen=True)
class Method:
    """One row.

    size: the group it belongs to: average weight bits that it may use at most; 8 for the comparison of tools,
        None for uniform widths and rules of thumb. A method with several seeds is one row, of their mean.
    """

    name: str
    title: str
    role: Role
    size: float | None
    run: Callable[[Case], Record]


def methods() -> list[Method]:
    """Every row, in the order of the table."""
    tool = partial(Method, role="tool", size=8.0)
    names: tuple[Calibration, ...] = ("MinMax", "Entropy", "Percentile")
    found = [Method("int8", "**Quantune int8**", "ours", 8.0, partial(_strategy, "int8", "uniform-int8"))]
    found += [
        tool(f"ort-{way.lower()}", f"ONNX Runtime, {way}", run=partial(_onnxruntime, way)) for way in names
    ]
    found += [
        tool("nncf", "NNCF", run=partial(_nncf, False)),
        tool("nncf-control", "NNCF, accuracy control", run=partial(_nncf, True)),
    ]
    for bits in (7, 6, 5, 4, 3):
        run = partial(_strategy, f"w{bits}", f"uniform-w{bits}")
        found.append(Method(f"w{bits}", f"uniform {bits} bits", "uniform", None, run))
    found.append(Method("first-last-w4", "4 bits, first and last float", "baseline", None, _first_last))
    for size in SIZES:
        found += _sized(size)
    return found


def _sized(size: float) -> list[Method]:
    """Choices of layers' widths, all of one size.

    At the size in question all of them; at uniform widths' sizes, to which ranking by MSE cannot add, those
    that have a chance.
    """
    row, found = partial(Method, size=size), []
    if size == SIZES[0]:
        found += [
            row(
                f"random-{seed}@{size:g}",
                "random choice, mean of 3",
                "baseline",
                run=partial(_random, size, seed),
            )
            for seed in SEEDS
        ]
        run = partial(_mse_ranking, size)
        found.append(row(f"mse@{size:g}", "MSE ranking (Neural Compressor)", "baseline", run=run))
    found.append(row(f"greedy@{size:g}", "greedy choice", "baseline", run=partial(_greedy, size)))
    found.append(row(f"oracle@{size:g}", "one-at-a-time oracle", "oracle", run=partial(_oracle, size)))
    found.append(row(f"v2@{size:g}", "**v2**", "ours", run=partial(_v2, size)))
    found.append(row(f"milp@{size:g}", "**integer program**", "ours", run=partial(_milp, size)))
    return found


def _strategy(method: str, strategy: str, case: Case) -> Record:
    return case.measure_plan(method, find(strategy)(case.request))


def _first_last(case: Case) -> Record:
    return case.measure_plan("first-last-w4", first_last.plan(case.request, 4))


def _random(size: float, seed: int, case: Case) -> Record:
    return case.measure_plan(f"random-{seed}@{size:g}", random.plan(case.request, size, seed))


def _greedy(size: float, case: Case) -> Record:
    return case.measure_plan(f"greedy@{size:g}", greedy.plan(case.request, size))


def _v2(size: float, case: Case) -> Record:
    return case.measure_plan(f"v2@{size:g}", sized.plan(case.request, size))


def _milp(size: float, case: Case) -> Record:
    goal = Goal((parse_budget(f"bits={size:g}"),))
    return case.measure_plan(f"milp@{size:g}", case.job.plan("milp", MENU, goal=goal))


def _mse_ranking(size: float, case: Case) -> Record:
    errors = _output_mse(case, find(f"uniform-w{int(size)}")(case.request))
    return case.measure_plan(f"mse@{size:g}", mse_ranking.plan(case.request, size, errors))


def _output_mse(case: Case, plan: Plan) -> dict[str, float]:
    """Contraction → MSE of its output over the calibration set, `plan`'s network against the float one."""
    job, module, path = case.job, case.folder / "cache" / "ranked.vmfb", case.folder / "ranking.json"
    key = [case.compiled_key(plan), job.calibration.fingerprint]
    kept: Record = read_json(path) if path.exists() else {}
    if kept.get("key") == key and not case.again:
        return dict(kept["mse"])
    with stage(case.progress, "measuring outputs for the MSE ranking"):
        names = modules.instrumented(job.model, job.target, module, plan, job.kernels)
        graph, runner = job.model.graph, HostRunner(module)
        found = measure(runner, names, job.calibration, graph, plan, job.statistics(), Silent())
    mse = {layer.name: found.layers[layer.name].accumulated_mse or 0.0 for layer in graph.contractions}
    write_json(path, {"key": key, "mse": mse})
    return mse


def _oracle(size: float, case: Case) -> Record:
    plan = oracle.plan(case.request, size, losses(case.model, case.oracle, case.job.model.graph.fingerprint))
    return case.measure_plan(f"oracle@{size:g}", plan)


def losses(model: str, folder: Path, fingerprint: str) -> dict[str, dict[int, float]]:
    """What tools/oracle.py measured: layer → bits → growth of the cross-entropy, 8 bits for the origin.

    Raises QuantuneError when it has not been run on these weights.
    """
    path = folder / f"{model}.json"
    if not path.exists():
        raise QuantuneError(f"{path} does not exist: run `python tools/oracle.py {model}` first")
    raw: Mapping[str, Any] = read_json(path)
    if raw["fingerprint"] != fingerprint:
        raise QuantuneError(f"{path} is of other weights: run `python tools/oracle.py {model}` again")
    return {
        layer: {8: 0.0} | {int(bits): float(loss["ce"]) for bits, loss in by_bits.items()}
        for layer, by_bits in raw["loss"].items()
    }


def _onnxruntime(way: Calibration, case: Case) -> Record:
    source, target = case.onnx(), case.folder / "quantized.onnx"

    def run() -> accuracy_data.Logits:
        quantize_onnx(source, target, case.job.calibration, way)
        return onnxruntime.logits(target, case.test.images)

    settings = {"calibration": way, "weights": "s8 per channel", "activations": "u8", "format": "QDQ"}
    return case.measure_other(f"ort-{way.lower()}", settings, ("onnx", "onnxruntime"), run)


def _nncf(controlled: bool, case: Case) -> Record:
    settings: Record = {"runtime": "OpenVINO", "preset": "default"}
    if controlled:
        settings |= {"max_drop": CONTROLLED_DROP, "validation": VALIDATION_IMAGES}

    def run() -> accuracy_data.Logits:
        control = None
        if controlled:
            held = accuracy_data.validation(case.job, VALIDATION_IMAGES)
            control = nncf.Control(held.images, held.labels, CONTROLLED_DROP)
        return openvino.logits(nncf.quantize(case.onnx(), case.job.calibration, control), case.test.images)

    name = "nncf-control" if controlled else "nncf"
    return case.measure_other(name, settings, ("onnx", "nncf", "openvino"), run)
