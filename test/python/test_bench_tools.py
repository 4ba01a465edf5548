"""`make bench`: what it repeats, and what the rendered results say, on made-up runs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import bench
import bench_groups
import bench_results
from quantune.backend.benchmark import cpu_info, versions
from quantune.errors import QuantuneError

LATENCIES = {
    ("quantune", "fp32"): 10.0,
    ("quantune", "int8"): 4.0,
    ("quantune", "v2"): 2.0,
    ("iree", "fp32-best"): 12.0,
    ("openvino", "fp32"): 8.0,
    ("openvino", "int8"): 3.0,
    ("onnxruntime", "fp32"): 11.0,
    ("onnxruntime", "int8"): 5.0,
}


def rows(threads: int, limit: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "model": "squeezenet",
            "system": system,
            "variant": variant,
            "threads": threads,
            "latency_ms": latency / threads,
            "spread_ms": 0.2,
            "minimum_ms": latency / threads - 0.1,
            "size_bytes": 1000,
            "turns_ms": [latency / threads],
            "disturbed": 0.2 if (system, variant) == ("openvino", "fp32") else 0.0,
            "settings": {"instruction_set": limit} if limit and system == "openvino" else {},
        }
        for (system, variant), latency in LATENCIES.items()
    ]


def made_run(model: str, target: str = "host", limit: str | None = None) -> dict[str, Any]:
    facts = {"cpu": cpu_info(), "versions": versions(), "command": ["quantune", "bench"]}
    return {"model": model, "target": target, "rows": rows(1, limit) + rows(2, limit)} | facts


def table(page: str, title: str) -> dict[str, list[str]]:
    """First cell → the others, of all tables below a heading."""
    (section,) = [part for part in page.split("\n## ") if part.startswith(title)]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    found: dict[str, list[str]] = {}
    for first, *others in ([cell.strip() for cell in line] for line in lines):
        found.setdefault(first, []).extend(others)
    return found


def test_ratios_say_how_many_times_faster_we_are(tmp_path: Path) -> None:
    runs = [made_run("squeezenet"), made_run("vgg16"), made_run("vgg16", "x86-64-avx2", "AVX2")]
    written = bench_results.write(runs, tmp_path)
    assert [path.name for path in written] == ["bench.json", "bench.md", "bench.svg"]
    page = (tmp_path / "bench.md").read_text()
    assert len(re.findall("^## ", page, re.M)) == 4 and "## x86-64-avx2, 2 threads; OpenVINO: AVX2" in page
    found = table(page, "host, 1 thread\n")
    headings = found["faster than (×)"]
    cells = dict(zip(headings, found["squeezenet"], strict=False))
    assert cells["int8 / OpenVINO int8"] == "0.75" and cells["v2 / OpenVINO int8"] == "**1.50**"
    assert cells["fastest / ONNX Runtime int8"] == "**2.50**"
    assert cells["fp32 / ONNX Runtime fp32"] == "**1.10**" and cells["fp32 / OpenVINO fp32"] == "0.80"
    assert found["geometric mean"] == found["squeezenet"][: len(found["geometric mean"])], "two equal runs"
    assert "2.00 ±0.10" in found["squeezenet"] and "8.00 ±0.10 (disturbed)" in found["squeezenet"]
    for fact in (cpu_info()["name"], f"numpy {versions()['numpy']}"):
        assert fact in page


def test_what_slows_a_round_down_does_not_move_its_ratios() -> None:
    """A neighbour makes everything three times as slow most of the time: the medians, 5.7 and 9, say 1.58."""
    run = made_run("squeezenet")
    slow, ours, theirs = [1, 1, 3, 3, 3], (2.0, 2.1, 2.0, 1.9, 2.0), (3.0, 3.0, 3.3, 3.0, 3.0)
    for row in run["rows"]:
        if (times := {"v2": ours, "int8": theirs}.get(row["variant"])) is not None:
            row["turns_ms"] = [a * b for a, b in zip(times, slow, strict=True)]
    group = bench_groups.groups([run])[0]
    assert group.ratio("v2", "openvino", "int8") == pytest.approx(1.5)
    del run["rows"][0]["turns_ms"], run["rows"][4]["turns_ms"]  # a file from before turns were kept
    assert group.ratio("fp32", "openvino", "fp32") == pytest.approx(0.8)


def test_rounds_on_slow_cores_do_not_count_where_others_suffice() -> None:
    run = made_run("squeezenet")
    rows = {(row["system"], row["variant"]): row for row in run["rows"] if row["threads"] == 1}
    ours, theirs = rows["quantune", "v2"], rows["openvino", "int8"]
    ours |= {"turns_ms": [4.0, 2.0, 2.0, 2.0, 2.0, 4.0], "slow_turns": [0, 5]}
    theirs |= {"turns_ms": [3.0, 2.0, 3.0, 3.0, 3.0, 3.0], "slow_turns": [1]}
    group = bench_groups.groups([run])[0]
    assert group.ratio("v2", "openvino", "int8") == pytest.approx(1.5)
    ours["slow_turns"] = [0, 2, 5]
    assert group.ratio("v2", "openvino", "int8") == pytest.approx(1.25), "of all: two are too few"


def test_a_slow_processor_is_told_of(tmp_path: Path) -> None:
    run = made_run("squeezenet")
    assert "were slow" not in bench_results.write([run], tmp_path)[1].read_text()
    run["rows"][0] |= {"turns_ms": [1.0] * 5, "slow_turns": [1, 3]}
    for row in run["rows"][1:]:
        row["turns_ms"] = [row["latency_ms"]] * 5
    page = bench_results.write([run], tmp_path)[1].read_text()
    assert page.count("Cores were slow in up to 40% of a row's turns") == 1
    found = table(page, "host, 1 thread\n")
    cells = dict(
        zip(found["at best (×)"], found["squeezenet"][len(found["faster than (×)"]) :], strict=False)
    )
    assert cells["v2 / OpenVINO int8"] == "**1.53**", "2.9 / 1.9"
    assert "at best (×)" not in table(page, "host, 2 threads")


def test_the_plot_has_a_panel_a_target_and_count_of_threads(tmp_path: Path) -> None:
    bench_results.write([made_run("squeezenet"), made_run("vgg16", "x86-64-avx2")], tmp_path)
    root = ElementTree.parse(tmp_path / "bench.svg").getroot()
    name = {"svg": "http://www.w3.org/2000/svg"}
    titles = [text.text or "" for text in root.findall("svg:text[@class='title']", name)]
    assert [title.split(";")[0] for title in titles] == [
        f"{target}, {threads}" for target in ("host", "x86-64-avx2") for threads in ("1 thread", "2 threads")
    ]
    bars = root.findall("svg:rect/svg:title", name)
    assert len(bars) == 4 * 3 and "squeezenet: against ONNX Runtime int8: 2.50x" in {bar.text for bar in bars}
    heights = {
        bar.get("class"): float(bar.get("height") or 0) for bar in root.findall("svg:rect[svg:title]", name)
    }
    assert heights["a"] / heights["b"] == pytest.approx(1.5 / 2.5, rel=0.02)


def test_results_are_rendered_again_from_their_json(tmp_path: Path) -> None:
    bench_results.write([made_run("squeezenet")], tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "bench.md").unlink()
    assert bench_results.main([str(tmp_path)]) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    assert bench_results.main([str(tmp_path / "nowhere")]) == 1


def test_runs_of_two_machines_are_no_result(tmp_path: Path) -> None:
    other = made_run("vgg16") | {"cpu": cpu_info() | {"name": "another"}}
    with pytest.raises(QuantuneError, match="differ in their cpu: measure all again"):
        bench_results.write([made_run("squeezenet"), other], tmp_path)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Models and threads that `quantune bench` was called for; vgg16 fails."""
    called: list[str] = []

    def invented(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        model = next(word.removeprefix("zoo:") for word in words if word.startswith("zoo:"))
        count = words[words.index("--threads") + 1]
        called.append(f"{model} {count}")
        written = json.dumps(made_run(model) | {"rows": rows(int(count)), "verdicts": []})
        return subprocess.CompletedProcess(words, int(model == "vgg16"), written)

    monkeypatch.setattr(subprocess, "run", invented)
    monkeypatch.chdir(tmp_path)
    return called


def test_what_was_measured_is_not_measured_again(ran: list[str]) -> None:
    words = ["squeezenet", "resnet18", "--targets", "host", "-o", "results"]
    assert bench.main(words) == 0
    assert ran == ["squeezenet 1", "squeezenet 2", "resnet18 1", "resnet18 2"]
    ran.clear()
    assert bench.main(words) == 0 and ran == []
    assert bench.main([*words, "--again"]) == 0 and len(ran) == 4
    ran.clear()
    assert bench.main([*words, "--threads", "1"]) == 0 and ran == []
    assert bench.main([*words, "--rounds", "3"]) == 0 and len(ran) == 4
    assert bench.main([*words]) == 0 and len(ran) == 8
    Path("build/bench/host/squeezenet-1.json").unlink()
    ran.clear()
    assert bench.main(words) == 0 and ran == ["squeezenet 1"]


def test_a_model_that_fails_does_not_stop_the_others(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["vgg16", "squeezenet", "--targets", "host", "-o", "results"]) == 1
    assert ran == ["vgg16 1", "vgg16 2", "squeezenet 1", "squeezenet 2"]
    assert "vgg16 for host, 2 threads, was not measured" in capsys.readouterr().err
    assert "squeezenet" in Path("results/bench.md").read_text()


def test_a_part_replaces_its_own_rows_only(tmp_path: Path) -> None:
    names = ("resnet18", "vgg16", "squeezenet")
    bench_results.write([made_run(name) for name in names], tmp_path)
    new = made_run("vgg16") | {"command": ["new"], "rows": rows(2)}
    found = bench_results.beside([new, made_run("vgg16", "x86-64-avx2")], tmp_path)
    counts = [[row["threads"] for row in run["rows"]] for run in found]
    assert all(len(set(count)) == 1 for count in counts)
    assert [(run["model"], run["target"], count[0]) for run, count in zip(found, counts, strict=True)] == [
        *((name, "host", threads) for name in names for threads in (1, 2)),
        *(("vgg16", "x86-64-avx2", threads) for threads in (1, 2)),
    ]
    assert [run["command"] == ["new"] for run in found] == [*[False] * 3, True, *[False] * 4]
    elsewhere = new | {"cpu": cpu_info() | {"name": "another"}}
    assert bench_results.beside([elsewhere], tmp_path) == [elsewhere]
    assert bench_results.beside([new], tmp_path / "nowhere") == [new]


def test_narrow_weights_are_measured_where_they_pay() -> None:
    words = bench.command("squeezenet", "x86-64-avx2", "1", 20)
    assert words[words.index("--variants") + 1] == "fp32,int8,w7,w6,v2"


def test_the_page_says_what_v2_may_lose() -> None:
    three, default = ({"command": ["bench", *words]} for words in (["--max-drop-sqnr", "3"], []))
    assert bench_results.permitted([three, three]) == "3"
    assert bench_results.permitted([default]) == bench_results.permitted([three, default]) == ""
