"""`make accuracy`: the goals that it judges, the page that it writes, on made-up records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import accuracy
import accuracy_goals
import accuracy_methods
import accuracy_photos
import accuracy_results
from quantune.errors import QuantuneError

TOP1 = {"fp32": 0.93, "int8": 0.929, "nncf": 0.9292, "w4": 0.90, "w3": 0.50}
OURS, ORACLE, BASELINE, TOOL = 0.925, 0.9275, 0.92, 0.928


def record(model: str, method: str, top1: float) -> dict[str, Any]:
    bits = {"fp32": 32.0, "int8": 8.0}.get(method, float(method.partition("@")[2] or 4))
    ours = {"average_bits": bits, "widths": {"a": 4, "b": 8}}
    return {
        "key": "k",
        "model": model,
        "method": method,
        "images": 1000,
        "top1": top1,
        "agreement": 0.99,
        "sqnr_db": 20.0,
        "seconds": 1.0,
    } | ({} if method.startswith(("ort", "nncf")) else ours)


def records(model: str, **changed: float) -> list[dict[str, Any]]:
    """All methods' records; `changed`: of these methods another top-1."""
    by_role = {"ours": OURS, "oracle": ORACLE, "baseline": BASELINE, "tool": TOOL, "uniform": 0.91}
    found = {"fp32": TOP1["fp32"]}
    found |= {method.name: by_role[method.role] for method in accuracy_methods.methods()} | TOP1
    return [record(model, method, top1) for method, top1 in (found | changed).items()]


def judged(*parts: list[dict[str, Any]]) -> dict[str, accuracy_goals.Goal]:
    table = accuracy_goals.Table([r for part in parts for r in part], accuracy_methods.methods())
    return {goal.name: goal for goal in accuracy_goals.goals(table)}


def find(goals: dict[str, accuracy_goals.Goal], start: str) -> accuracy_goals.Goal:
    (goal,) = [goal for name, goal in goals.items() if name.startswith(start)]
    return goal


def test_goals_that_are_met_say_by_how_much() -> None:
    goals = judged(records("a"), records("b"))
    int8 = find(goals, "uniform int8")
    assert int8.met and int8.figures == "worst +0.10 points; 2 of 2 models"
    assert find(goals, "int8 is never worse").met, "0.02 points behind NNCF"
    assert find(goals, "at 4.5 bits ours loses").met
    assert find(goals, "at 4.5 bits ours beats").figures == "2 of 2"
    assert find(goals, "gain over uniform 3").figures == "up to 42.50 points (a), 42.50 on average"
    assert find(goals, "mixed plans").met is None


def test_goals_that_are_missed_name_the_models() -> None:
    goals = judged(records("a", int8=0.9275), records("b", **{"greedy@4.5": 0.9299, "v2@4.0": 0.9}))
    int8 = find(goals, "uniform int8")
    assert int8.met is False and int8.figures == "worst +0.25 points; 1 of 2 models; missed by a +0.25"
    assert "missed by a +0.17" in find(goals, "int8 is never worse").figures
    beats = find(goals, "at 4.5 bits ours beats")
    assert beats.met is False and beats.figures == "1 of 2; behind on b by 0.49 to greedy choice"


def test_equal_accuracy_is_no_victory() -> None:
    beats = find(judged(records("a", **{"greedy@4.5": OURS})), "at 4.5 bits ours beats")
    assert beats.met is False and beats.figures == "0 of 1, 1 equal"


def test_an_oracle_may_be_better_and_a_good_uniform_needs_no_help() -> None:
    goals = judged(records("a", w4=0.925))
    assert find(goals, "at 4.5 bits ours beats").met
    small = find(goals, "at 4.5 bits ours loses")
    assert small.met is None and "none of the models" in small.figures


def test_faster_plans_must_stay_accurate() -> None:
    def row(model: str, ratio: float, drop: float) -> dict[str, Any]:
        return {"model": model, "ratio": ratio, "drop": drop}

    table = accuracy_goals.Table(records("a"), accuracy_methods.methods())
    rows = [row("a", 0.8, 0.1), row("a", 1.1, 0.0), row("b", 0.5, 0.4), row("b", 1.2, 0.0)]
    mixed = accuracy_goals.goals(table, rows)[-1]
    assert mixed.met is False and mixed.figures == "1 of 2 models, 1.25 to 1.25 times as fast; missed by b"


def test_the_page_has_every_row_and_the_files_agree(tmp_path: Path) -> None:
    paths = accuracy_results.write([*records("a"), *records("b")], 256, tmp_path)
    assert [path.name for path in paths] == ["accuracy.json", "accuracy.md", "accuracy.svg"]
    page = (tmp_path / "accuracy.md").read_text()
    for method in accuracy_methods.methods():
        assert f"| {method.title} |" in page
    assert "| **Quantune int8** | 0.10 | 0.10 | 0.10 |" in page
    assert "1,000 test pictures" in page and "| 93.00 % | 93.00 % |" in page
    raw = json.loads(paths[0].read_text())
    assert len(raw["records"]) == 2 * (1 + len(accuracy_methods.methods()))
    assert raw["records"][1]["widths"] == "4 8" and "key" not in raw["records"][1]
    root = ElementTree.parse(paths[2]).getroot()
    told = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "a, v2: 0.50 points" in told and "b, uniform 3 bits: 43.00 points" in told


def test_parts_that_are_not_asked_for_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy_results.write(records("a"), 256, tmp_path)
    before = (tmp_path / "accuracy.md").read_text()
    row = {"variant": "int8", "data": "2 photos", "images": 2, "agreement": 0.5, "sqnr_db": 9.0}
    monkeypatch.setattr(
        accuracy_photos, "measure", lambda progress: [row | {"average_bits": 8.0, "float_layers": 3}]
    )
    assert accuracy.main(["--parts", "photos", "--calibration", "256", "-o", str(tmp_path)]) == 0
    after = (tmp_path / "accuracy.md").read_text()
    assert (
        after.startswith(before.rstrip("\n")) and "| 2 photos | int8 | 1 of 2 | 9.0 dB | 8.00 | 3 |" in after
    )
    assert accuracy_results.written(tmp_path)["records"][1]["widths"] == "4 8"


@pytest.mark.parametrize("images, stay", [(1000, True), (500, False)])
def test_rows_that_are_not_measured_again_stay_beside_those_of_the_same_pictures(
    images: int, stay: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [*records("resnet18"), *records("vgg16")]
    accuracy_results.write(before, 256, tmp_path)
    new = [record | {"top1": 0.123} for record in records("resnet18")[:2]]
    monkeypatch.setattr(accuracy, "_case", lambda *_: None)
    monkeypatch.setattr(accuracy, "measured", lambda *_: (new, 0))
    words = ["resnet18", "--parts", "table", "--images", str(images), "--calibration", "256"]
    assert accuracy.main([*words, "-o", str(tmp_path)]) == 0
    found = accuracy_results.written(tmp_path)["records"]
    changed = [(record["model"], record["method"]) for record in found if record["top1"] == 0.123]
    assert changed == [(record["model"], record["method"]) for record in new]
    assert len(found) == (len(before) if stay else len(new))
    assert [record["model"] for record in found] == sorted(record["model"] for record in found)


def test_a_row_that_lacks_a_model_has_no_mean(tmp_path: Path) -> None:
    part = [r for r in records("b") if r["method"] != "greedy@4.5"]
    page = accuracy_results.write([*records("a"), *part], 8, tmp_path)[1].read_text()
    line = next(line for line in page.splitlines() if line.startswith("| greedy choice | 4.50"))
    assert line == "| greedy choice | 4.50 | 1.00 | – | – |"


def test_unknown_methods_are_named(tmp_path: Path) -> None:
    with pytest.raises(QuantuneError, match=r"no method is called 'w9'.*int8"):
        accuracy.main(["resnet18", "--methods", "w9", "-o", str(tmp_path)])


def test_without_an_oracle_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(QuantuneError, match=r"tools/oracle\.py resnet18"):
        accuracy_methods.losses("resnet18", tmp_path, "f")
    written = {
        "fingerprint": "f",
        "loss": {"conv": {"4": {"ce": 0.5, "top1": 0.01}, "2": {"ce": 2.0, "top1": 0.2}}},
    }
    (tmp_path / "resnet18.json").write_text(json.dumps(written))
    assert accuracy_methods.losses("resnet18", tmp_path, "f") == {"conv": {8: 0.0, 4: 0.5, 2: 2.0}}
    with pytest.raises(QuantuneError, match="of other weights"):
        accuracy_methods.losses("resnet18", tmp_path, "g")
