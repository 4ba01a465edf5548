"""The oracle's arithmetic and the study's page, on made-up numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import oracle
import sensitivity_plot
import sensitivity_results
from sensitivity_candidates import PLAIN, SHIPPED, candidates, softmax, spearman


def model(seed: int) -> dict[str, Any]:
    """What the study finds about one network."""
    random = np.random.default_rng(seed)
    kinds = ("4", "3", "mean", "all", "noise")
    names = [*(candidate.name for candidate in candidates()), PLAIN, SHIPPED]
    correlations = {name: dict(zip(kinds, random.uniform(-1, 1, 5).tolist(), strict=True)) for name in names}
    check = {"pictures": 4, "cases": [{"layer": "c", "bits": 4, "equal": True, "seconds": 12.0}]}
    plan = {"plan": "w4", "measured_db": 20.0, "v2_db": 17.0, "transfer_db": 21.0, "whole_db": 10.0}
    return {
        "layers": 10 + seed,
        "macs": 10**7,
        "fp32": {"top1": 0.93},
        "oracle": {"seconds": 300.0, "cases": 20, "images": 512, "check": check},
        "ours": {"images": 64, "seconds": 12.0, "compiling": 10.0},
        "reliability": dict.fromkeys(kinds, 0.9),
        "spearman": correlations,
        "judged": 256,
        "predictions": [plan, plan | {"plan": "mixed 1", "transfer_db": 18.0}],
    }


def test_page_and_plot(tmp_path: Path) -> None:
    found = {"squeezenet": model(1), "resnet50": model(2)}
    paths = sensitivity_results.write(found, tmp_path)
    text = paths[0].read_text()
    mean = np.mean([one["spearman"][SHIPPED]["mean"] for one in found.values()])
    (row,) = (line for line in text.splitlines() if line.startswith(f"| **{SHIPPED}**"))
    assert f"{mean:.2f}" in row
    assert (
        "equal to the bit" in text
        and "| **mean** | **3.0** | **1.0** | **10.0** | **3.0** | **2.0** | **10.0** |" in text
    )
    assert "1/25, 1/20" in text  # 300 s and 20 x 12 s, against 12 s
    dots = [
        e for e in ElementTree.fromstring(sensitivity_plot.draw(found)).iter() if e.tag.endswith("circle")
    ]
    assert len(dots) == len(found["resnet50"]["spearman"])


def test_the_oracle_reports_the_rise_over_int8() -> None:
    scores = oracle.Scores.empty(3, 4)
    labels = torch.tensor([0, 1, 0, 1])
    exact, int8 = torch.eye(2)[labels] * 9, torch.eye(2)[labels] * 5
    wrong = int8.clone()
    wrong[3] = torch.tensor([5.0, 0.0])
    for row, logits in enumerate((exact, int8, wrong)):
        scores.add(row, logits, exact, labels)
    scores.power = float(exact.square().sum())
    setting: Any = SimpleNamespace(name="net", graph=SimpleNamespace(fingerprint="f"), trained=True)
    found = oracle.result(setting, [("c", 4)], scores, {"pictures": 0, "cases": []})
    case = found["loss"]["c"]["4"]
    assert found["fp32"]["top1"] == found["int8"]["top1"] == 1.0
    assert case["top1"] == 0.25
    assert case["ce"] == pytest.approx(5 / 4, abs=1e-5) and case["halves"][0] == 0
    # of the smoothed labels, 5 % go to the other class
    assert case["loss"] == pytest.approx(0.9 * 5 / 4, abs=1e-5)
    assert case["halves"][1] == pytest.approx(2 * case["loss"])
    assert found["int8"]["nsr"] == pytest.approx((4 / 9) ** 2)


def test_ranks() -> None:
    truth = {"a": {4: 1.0, 2: 8.0}, "b": {4: 3.0, 2: 9.0}}
    assert spearman(truth, truth) == 1.0
    assert spearman({name: {b: -v for b, v in row.items()} for name, row in truth.items()}, truth) == -1.0
    assert spearman({name: dict.fromkeys(row, 1.0) for name, row in truth.items()}, truth) == 0.0
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0]])), 0.5)
