"""`make accuracy`: what is run, what is kept, which pictures; no compiler."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import accuracy_data
from accuracy_case import Case
from accuracy_data import Pictures
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.job.folder import JobOptions
from quantune.plan.schema import LayerPlan, Plan, Quantization
from quantune.progress import Silent

LABELS = np.array([0, 1, 2, 0])
FLOAT = np.eye(3, dtype=np.float32)[[0, 1, 1, 0]]


class Counting(Case):
    """A case whose modules answer at once; `ran` lists what was run, `answer` is what plans give."""

    answer = FLOAT
    ran: list[str]

    def _run(self, plan: Plan | None, variant: str) -> np.ndarray[Any, Any]:
        self.ran.append(variant)
        return FLOAT if plan is None else self.answer


@pytest.fixture
def case(tmp_path: Path) -> Counting:
    weight = np.ones((2, 3), np.float32)
    layer = Layer("fc", "linear", ("input",), (1, 3), weight=weight, bias=np.zeros(3, np.float32))
    job: Any = SimpleNamespace(
        folder=tmp_path,
        model=SimpleNamespace(graph=Graph({"input": (1, 2)}, (layer,), ("fc",))),
        target="here",
        calibration=SimpleNamespace(fingerprint="calibration"),
    )
    test = Pictures(np.zeros((4, 1, 2, 2), np.float32), LABELS, "test")
    made = Counting("net", job, JobOptions("zoo:net", "data"), test, Silent())
    made.ran = []
    return made


def plan(bits: int, reason: str = "") -> Plan:
    output = Quantization(8, 0.1, 0)
    return Plan(
        *("net", "f", "s", "here"),
        {"input": output},
        {"fc": LayerPlan("integer", output, bits, reason=reason)},
    )


def test_accuracy_is_counted_against_labels_and_fp32(case: Counting) -> None:
    case.answer = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    found = case.measure_plan("w4", plan(4))
    assert found["top1"] == 0.75 and found["agreement"] == 0.5 and found["average_bits"] == 4
    assert found["sqnr_db"] == pytest.approx(0.0) and found["widths"] == {"fc": 4}, (
        "half the ones are elsewhere"
    )
    assert case.record("fp32")["top1"] == 0.75 and case.record("fp32")["sqnr_db"] is None


def test_only_what_changed_is_run_again(case: Counting) -> None:
    first = case.measure_plan("w4", plan(4))
    assert case.ran == ["fp32", "tried"]
    assert case.measure_plan("w4", plan(4, "another reason")) == first
    other = case.measure_plan("greedy", plan(4))
    assert case.ran == ["fp32", "tried"] and other == first | {"method": "greedy"}, "equal plans, one run"
    case.measure_plan("w4", plan(5))
    assert case.ran == ["fp32", "tried", "tried"]
    case.test = dataclasses.replace(case.test, fingerprint="fewer pictures")
    case.measure_plan("w4", plan(5))
    assert case.ran[3:] == ["fp32", "tried"]


def test_again_means_again(case: Counting) -> None:
    case.measure_plan("w4", plan(4))
    case.again, case.ran = True, []
    case.measure_plan("w4", plan(4))
    assert "tried" in case.ran


def test_other_tools_run_anew_for_other_settings_or_calibration(case: Counting) -> None:
    runs = []

    def run() -> np.ndarray[Any, Any]:
        runs.append(1)
        return FLOAT

    for settings, calibration in (("a", "x"), ("a", "x"), ("b", "x"), ("b", "y")):
        case.job.calibration = SimpleNamespace(fingerprint=calibration)  # type: ignore[assignment]
        case.measure_other("tool", {"way": settings}, ("numpy",), run)
    assert len(runs) == 3 and case.record("tool")["versions"] == {"numpy": np.__version__}


def test_outputs_that_are_not_finite_are_an_error(case: Counting) -> None:
    case.answer = np.full_like(FLOAT, np.inf)
    with pytest.raises(QuantuneError, match="net, w4: the outputs are not"):
        case.measure_plan("w4", plan(4))


def test_validation_takes_no_calibration_image(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"train[{i}]" for i in range(20)]
    data = Dataset(
        *("twenty", names, [i % 3 for i in range(20)]),
        read=lambda i: np.full((1, 2, 2), i, np.float32),
        content=lambda i: bytes([i]),
        context="",
    )
    monkeypatch.setattr(accuracy_data, "pictures_for", lambda *_, **__: data)
    model = SimpleNamespace(input_shape=(1, 1, 2, 2), preprocessing=None)
    job: Any = SimpleNamespace(model=model, calibration=data.limited(10))
    found = accuracy_data.validation(job, 5)
    chosen = [int(value) for value in found.images[:, 0, 0, 0]]
    assert len(set(chosen)) == 5 and not {names[i] for i in chosen} & set(job.calibration.names)
    assert [i % 3 for i in chosen] == found.labels.tolist()
