"""The report and the summary, on made-up metrics of a realistic size and shape."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from quantune.errors import QuantuneError
from quantune.report.console import summary_table, verdicts
from quantune.report.costs import costs, culprits, operation
from quantune.report.html import render, write_report
from quantune.report.summary import summary_rows
from quantune.report.svg import Axis, decades, ticks
from quantune.report.verdicts import judge, slow_variants

Metrics = dict[str, Any]
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\x00<!--"
VOID = {"meta", "br", "input", "img", "link", "hr"}


def _histogram(values: np.ndarray, edges: np.ndarray) -> dict[str, list[float]]:
    return {"edges": edges.tolist(), "counts": np.histogram(values, edges)[0].tolist()}


def _tensor(values: np.ndarray, bits: int, low: float, high: float) -> dict[str, Any]:
    scale = (high - low) / ((1 << bits) - 1)
    quantized = np.clip(np.rint((values - low) / scale), 0, (1 << bits) - 1) * scale + low
    edges = np.linspace(values.min(), values.max(), 65)
    return {
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "histogram": _histogram(values, edges),
        "quantized_histogram": _histogram(quantized, edges),
    }


def _layer(index: int, name: str, kind: str, generator: np.random.Generator) -> Metrics:
    contraction = kind in ("conv2d", "depthwise_conv2d", "linear")
    is_float = index in (1, 6)
    bits = (4 if index % 7 == 5 else 8) if contraction else None
    values = generator.normal(0, 0.2 + 0.1 * (index % 3), 5000)
    activations = (
        np.maximum(generator.normal(0.5, 1.5, 5000), 0) if index % 3 else generator.normal(0, 4, 5000)
    )
    low, high = float(np.percentile(activations, 0.1)), float(np.percentile(activations, 99.9))
    scale = max((high - low) / 255, 1e-6)
    local = 38 - (14 if is_float else 0) - (9 if bits == 4 else 0) + float(generator.normal(0, 2))
    weight = (
        _tensor(values, bits, -float(np.abs(values).max()), float(np.abs(values).max())) if bits else None
    )
    if weight:
        weight |= {
            "sqnr_db": {"8": 41.2, "6": 29.3, "4": 17.1},
            "mse": {"8": 3.1e-6, "6": 4.8e-5, "4": 7.9e-4},
        }
    return {
        "name": name,
        "kind": kind,
        "location": f"torch module {name}",
        "output_shape": [1, 112 >> (index // 8), 112 >> (index // 8), 16 * (1 + index // 4)],
        "macs": 4_200_000 + 910_000 * (index % 5) if contraction else 0,
        "precision": "float" if is_float else "integer",
        "weight_bits": bits,
        "output": {"bits": 8, "scale": scale, "zero_point": round(-min(low, 0) / scale)},
        "reason": "stays float: 8 bits cost 14.2 dB, more than the budget of 3 dB, for 0.11 ms"
        if is_float
        else f"{bits or 8} bits: local SQNR {local:.1f} dB, rank {index + 1}, saves 0.21 ms against float",
        "alternatives": [
            {"weight_bits": 6, "sqnr_db": local - 6, "cost": 0.8},
            {"precision": "float", "sqnr_db": None, "cost": 1.4},
        ],
        "weight": weight,
        "activation": _tensor(activations, 8, low, high)
        | {"low": low, "high": high, "sqnr_db": local + 2, "mse": 1.2e-4},
        "local_sqnr_db": local,
        "local_mse": 3.4e-4,
        "accumulated_sqnr_db": max(18.0, 36 - 0.55 * index + float(generator.normal(0, 0.6))),
        "accumulated_mse": 8.1e-4,
    }


def _layers() -> list[Metrics]:
    generator = np.random.default_rng(0)
    names = [("_conv_stem", "conv2d")]
    for block in range(8):
        names += [
            (f"_blocks.{block}._expand_conv", "conv2d"),
            (f"_blocks.{block}._depthwise_conv", "depthwise_conv2d"),
            (f"_blocks.{block}._project_conv", "conv2d"),
        ]
        names += [(f"_blocks.{block}.add", "add")] if block % 2 else []
    names += [("_conv_head", "conv2d"), ("_avg_pooling", "avg_pool"), ("_fc", "linear")]
    return [_layer(index, name, kind, generator) for index, (name, kind) in enumerate(names)]


def _dispatches(layers: list[Metrics], factor: float, types: str) -> list[Metrics]:
    """One dispatch a layer; the depthwise ones gain nothing from integers."""
    found = []
    for index, layer in enumerate(layers):
        slow = 1.6 / factor if factor < 1 and layer["kind"] == "depthwise_conv2d" else 1.0
        microseconds = (40 + layer["macs"] / 6000 * (1 + 0.3 * (index % 4))) * factor * slow
        name = (
            f"main_dispatch_{index}_{layer['kind']}_{'x'.join(map(str, layer['output_shape'][1:]))}_{types}"
        )
        found.append({"name": name, "microseconds": microseconds, "calls": 1, "layer": layer["name"]})
    extra = {"name": "main_dispatch_99_elementwise_1x1000_f32", "microseconds": 11.0, "calls": 2}
    return sorted([*found, extra], key=lambda dispatch: -dispatch["microseconds"])


def _row(system: str, variant: str, latency: float, size: int) -> Metrics:
    return {
        "model": "zoo:efficientnet_lite0",
        "system": system,
        "variant": variant,
        "threads": 1,
        "latency_ms": latency,
        "spread_ms": latency * 0.02,
        "minimum_ms": latency * 0.97,
        "size_bytes": size,
    }


def make_metrics() -> Metrics:
    """metrics.json of a network of 31 layers whose v2 is faster and whose int8 is slower than float."""
    layers = _layers()
    boundaries = {"pairs_found": 61, "cancelled": 55, "boundaries_left": 6, "quantize": 4, "dequantize": 4}
    boundaries |= {"requantize": 2}
    where = [
        "quantize at input",
        "dequantize before _blocks.0._expand_conv",
        "quantize after _blocks.1._project_conv",
    ]
    versions = {"python": "3.11.7", "quantune": "0.1.0", "iree-base-compiler": "3.13.0", "torch": "2.13.0"}
    cpu = {"name": "AMD EPYC 9V74", "features": ["avx2", "fma", "avx512vnni"], "cores": 2}
    compiled = {"compile_seconds": 31.4, "peak_memory_bytes": 1_910_000_000}
    return {
        "schema": "quantune.metrics/1",
        "model": {
            "name": "zoo:efficientnet_lite0",
            "fingerprint": "9f1c0a2b77de4410",
            "trained": True,
            "macs": 386_000_000,
            "parameters": 4_652_008,
            "input_shape": [1, 3, 224, 224],
        },
        "target": {"name": "host", "cpu": "znver4", "description": "This machine, with every feature it has"},
        "strategy": "v2",
        "versions": versions,
        "cpu": cpu,
        "calibration": {
            "dataset": "photos",
            "images": 26,
            "passes": 2,
            "observer": "percentile",
            "random": False,
        },
        "variants": {
            "fp32": {"size_bytes": 18_700_000} | compiled,
            "int8": {"size_bytes": 5_010_000} | compiled | {"boundaries": {**boundaries, "where": where[:1]}},
            "v2": {"size_bytes": 4_790_000} | compiled | {"boundaries": {**boundaries, "where": where}},
        },
        "evaluation": {
            "fp32": {"images": 20, "top1": 0.9},
            "int8": {"images": 20, "fp32_top1": 0.9, "top1": 0.8, "agreement": 0.85, "sqnr_db": 14.2},
            "v2": {"images": 20, "fp32_top1": 0.9, "top1": 0.9, "agreement": 1.0, "sqnr_db": 22.7},
        },
        "benchmark": {
            "cpu": cpu,
            "versions": versions,
            "rows": [
                _row("quantune", "fp32", 22.1, 18_700_000),
                _row("quantune", "int8", 27.6, 5_010_000),
                _row("quantune", "v2", 12.3, 4_790_000),
                _row("iree", "best", 20.4, 18_690_000),
                _row("iree", "default", 141.0, 18_710_000),
            ],
            "verdicts": [],
        },
        "dispatches": {
            "fp32": _dispatches(layers, 1.0, "f32"),
            "int8": _dispatches(layers, 0.7, "i8xi8xi32"),
            "v2": _dispatches(layers, 0.55, "i8xi8xi32"),
        },
        "layers": layers,
        "passes": {"cancel-qdq": {"found": 61, "cancelled": 55, "left": 6}},
    }


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return make_metrics()


class _Page(HTMLParser):
    """Elements that nest properly, what they refer to, and the text of scripts and of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "data", "action", "xlink:href")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        self.ids += [v or "" for k, v in attrs if k == "id"]
        if tag == "script":
            self.scripts.append((named, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.open and self.open[-1] != "style":
            self.text += data

    @property
    def data(self) -> Any:
        return json.loads(
            next(text for named, text in self.scripts if named.get("type") == "application/json")
        )


def test_one_self_contained_file(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(metrics, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    source = path.read_text()
    page = _Page(source)
    assert page.open == []
    assert source.startswith("<!DOCTYPE html>")
    assert page.references and all(re.fullmatch(r"#[a-z]+", reference) for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", source)
    assert len(source) < 1_500_000


def test_shows_every_part(metrics: Metrics) -> None:
    source = render(metrics)
    page = _Page(source)
    for layer in metrics["layers"]:
        assert layer["name"] in page.text
        assert layer["reason"] in page.text
    expected = [
        "22.7 dB",
        "100.0 %",
        "1.80x",
        "12.3 ms",
        "4.79 MB",
        "IREE best",
        "386 M",
        "avx512vnni",
        "percentile",
    ]
    expected += [
        "dequantize before _blocks.0._expand_conv",
        "cancelled 55",
        "stays float",
        "zoo:efficientnet_lite0",
    ]
    for words in [
        *expected,
        *(words for verdict in judge(metrics) for words in (verdict.claim, *verdict.items)),
    ]:
        assert words in page.text, words
    assert page.tags.count("svg") == 4  # sensitivity, two of ranges, dispatches
    assert "Run quantune" not in page.text
    assert (
        "quantune compile zoo:efficientnet_lite0 --calibration photos --strategy v2 --target host -o out"
        in page.text
    )


def test_embedded_histograms_are_those_of_the_metrics(metrics: Metrics) -> None:
    layers = _Page(render(metrics)).data["layers"]
    assert [layer["name"] for layer in layers] == [layer["name"] for layer in metrics["layers"]]
    for drawn, given in zip(layers, metrics["layers"], strict=True):
        assert (
            drawn["activation"]["quantized_histogram"]["counts"]
            == given["activation"]["quantized_histogram"]["counts"]
        )
        assert drawn["activation"]["histogram"]["edges"] == pytest.approx(
            given["activation"]["histogram"]["edges"], 1e-4
        )
        assert (drawn["weight"] is None) == (given["weight"] is None)


def _poisoned(value: Any) -> Any:
    """Every string of the metrics, keys of open maps excepted, carries markup."""
    if isinstance(value, dict):
        return {
            key: item if key in ("schema", "system", "variant") else _poisoned(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_poisoned(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_escapes_hostile_names(metrics: Metrics) -> None:
    clean, page = _Page(render(metrics)), _Page(render(_poisoned(metrics)))
    assert page.open == []
    assert page.handlers == []
    assert "img" not in page.tags
    assert page.tags.count("script") == clean.tags.count("script") == 2
    assert page.data["layers"][0]["name"] == metrics["layers"][0]["name"] + HOSTILE
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert f"{metrics['layers'][3]['name']}{shown}" in page.text


def test_hostile_variants_do_not_reach_the_markup(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    for name in ("variants", "evaluation", "dispatches", "passes"):
        changed[name][HOSTILE] = next(iter(changed[name].values()))
    changed["benchmark"]["rows"][2]["variant"] = HOSTILE
    page = _Page(render(changed))
    assert page.open == [] and page.handlers == [] and "img" not in page.tags


def test_names_that_no_encoding_knows(metrics: Metrics, tmp_path: Path) -> None:
    changed = copy.deepcopy(metrics)
    changed["layers"][0]["name"] = "conv\ud800"
    write_report(changed, tmp_path / "report.html")
    assert "conv\ufffd" in (tmp_path / "report.html").read_text()


SECTIONS = [
    "model",
    "target",
    "strategy",
    "versions",
    "cpu",
    "calibration",
    "variants",
    "evaluation",
    "benchmark",
]
SECTIONS += ["dispatches", "layers", "passes"]


@pytest.mark.parametrize("missing", SECTIONS)
@pytest.mark.parametrize("null", [False, True])
def test_any_part_may_be_missing(metrics: Metrics, missing: str, null: bool) -> None:
    changed = {key: value for key, value in metrics.items() if key != missing} | (
        {missing: None} if null else {}
    )
    assert _Page(render(changed)).open == []
    Console(quiet=True).print(summary_table(changed))


@pytest.mark.parametrize(
    "key", ["local_sqnr_db", "weight", "activation", "output", "macs", "name", "precision", "reason"]
)
def test_layers_may_be_incomplete(metrics: Metrics, key: str) -> None:
    layers = [{k: v for k, v in layer.items() if k != key} for layer in metrics["layers"]]
    assert _Page(render(metrics | {"layers": layers})).open == []


def test_missing_parts_say_what_fills_them() -> None:
    page = _Page(render({"schema": "quantune.metrics/1"}))
    assert page.open == []
    for command in (
        "quantune bench DIR",
        "quantune eval DIR --data DATA",
        "quantune analyze MODEL",
        "quantune compile MODEL",
    ):
        assert command in page.text
    assert page.data == {"layers": []}


def test_warns_of_random_weights_and_data(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    assert "random" not in _Page(render(changed)).text.lower()
    changed["model"]["trained"] = False
    changed["calibration"]["random"] = True
    text = _Page(render(changed)).text
    assert "The weights are random" in text and "Calibrated on random data" in text


def test_not_a_number_is_shown_as_missing(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    changed["layers"][0]["local_sqnr_db"] = float("inf")
    changed["layers"][1]["activation"]["minimum"] = float("nan")
    page = _Page(render(changed))
    assert page.data["layers"][1]["activation"]["minimum"] is None
    assert not re.search(r"\b(nan|inf)\b", page.text)


def test_other_schema_is_refused(metrics: Metrics, tmp_path: Path) -> None:
    with pytest.raises(QuantuneError, match=r"quantune\.metrics/9.*rerun"):
        write_report(metrics | {"schema": "quantune.metrics/9"}, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_verdict_when_faster(metrics: Metrics) -> None:
    found = verdicts(metrics)
    (line,) = [
        line for line in found if line.startswith("v2 is 1.80x faster than fp32 (12.3 ms against 22.1 ms), ")
    ]
    assert line.endswith(" and 11.5x faster than IREE default (12.3 ms against 141 ms).")
    assert any(line.startswith("v2 has a top-1 of 90.0 % (fp32 90.0 %), agrees") for line in found)
    assert "v2 is 3.90x smaller than fp32 (4.79 MB against 18.7 MB)." in found


def test_slower_than_float_names_the_dispatches(metrics: Metrics) -> None:
    (line,) = [line for line in verdicts(metrics) if line.startswith("int8 is SLOWER than fp32 ")]
    assert "(0.80x: 27.6 ms against 22.1 ms)" in line
    named = re.findall(r"main_dispatch_\d+_(\w+?)_\d+x[\w]* \((\S+)\) [\d.]+ [mµ]s against", line)
    assert len(named) == 5
    # Only depthwise convolutions are slower in integers, and those that lose most are named.
    assert {kind for kind, _ in named} == {"depthwise_conv2d"}
    excess = {cost.key: cost.excess("int8") for cost in costs(metrics)}
    assert [key for _, key in named] == sorted(excess, key=lambda key: -excess[key])[:5]


def test_slower_without_profile_says_so(metrics: Metrics) -> None:
    (line,) = [line for line in verdicts(metrics | {"dispatches": {}}) if "SLOWER than fp32" in line]
    assert "quantune bench" in line


def test_slower_without_float_profile_names_the_costliest(metrics: Metrics) -> None:
    changed = metrics | {"dispatches": {"int8": metrics["dispatches"]["int8"]}}
    (line,) = [line for line in verdicts(changed) if "SLOWER than fp32" in line]
    assert "Most of its time goes to" in line
    assert metrics["dispatches"]["int8"][0]["name"] in line


def test_slower_than_iree_only_names_dispatches_too(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    changed["benchmark"]["rows"][3]["latency_ms"] = 9.0
    (line,) = [line for line in verdicts(changed) if line.startswith("v2 is SLOWER than IREE best")]
    assert "main_dispatch_" in line


def test_differences_within_the_spread_are_called_so(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    changed["benchmark"]["rows"][2] |= {"latency_ms": 22.3, "spread_ms": 0.5}
    (line,) = [line for line in verdicts(changed) if line.startswith("v2 is SLOWER than fp32")]
    assert "less than the spread" in line


def test_several_models_and_threads_are_compared_apart(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    more = [row | {"threads": 2, "latency_ms": row["latency_ms"] / 2} for row in changed["benchmark"]["rows"]]
    other = [
        row | {"model": "zoo:vgg16", "latency_ms": row["latency_ms"] * 9}
        for row in changed["benchmark"]["rows"]
    ]
    changed["benchmark"]["rows"] += more + other
    found = verdicts(changed)
    faster = "zoo:efficientnet_lite0, 2 threads: v2 is 1.80x faster than fp32 (6.15 ms against 11.1 ms)"
    assert any(line.startswith(faster) for line in found)
    (vgg,) = [line for line in found if line.startswith("zoo:vgg16") and "SLOWER than fp32" in line]
    assert "dispatch_" not in vgg  # they were profiled for another model
    assert all(row.top1 is None for row in summary_rows(changed) if row.model == "zoo:vgg16")


def _with_peers(metrics: Metrics, int8_ms: float) -> Metrics:
    """The made-up metrics with peers' rows: fp32 in 20 ms, int8 as given, OpenVINO limited to AVX2."""
    changed = copy.deepcopy(metrics)
    for system, settings in (("openvino", {"instruction_set": "AVX2"}), ("onnxruntime", {})):
        changed["benchmark"]["rows"] += [
            _row(system, "fp32", 20.0, 18_700_000) | {"settings": settings},
            _row(system, "int8", int8_ms, 4_700_000) | {"settings": settings},
        ]
    return changed


def test_only_the_fastest_variant_has_to_beat_peers(metrics: Metrics) -> None:
    slower = verdicts(_with_peers(metrics, 8.0))
    named = [line for line in slower if "OpenVINO int8" in line]
    (line,) = [
        line for line in named if "SLOWER than OpenVINO int8 (AVX2) (0.65x: 12.3 ms against 8.00 ms)" in line
    ]
    assert line.startswith("v2 is SLOWER") and "main_dispatch_" in line
    assert not any(line.startswith("int8") for line in named), "v2 is faster than int8"
    faster = verdicts(_with_peers(metrics, 24.6))
    assert any(
        line.startswith("v2 is 1.80x") and "2.00x faster than ONNX Runtime int8" in line for line in faster
    )


def test_fp32_is_compared_with_fp32_of_peers(metrics: Metrics) -> None:
    lines = [line for line in verdicts(_with_peers(metrics, 8.0)) if line.startswith("fp32 is ")]
    assert len(lines) == 2 and all("SLOWER than" in line and "fp32" in line for line in lines)
    assert not any(line.startswith("fp32 is ") for line in verdicts(metrics))


def test_variants_that_need_an_explanation(metrics: Metrics) -> None:
    assert slow_variants(metrics) == ["int8"]
    assert slow_variants(_with_peers(metrics, 8.0)) == ["int8", "v2"]
    assert slow_variants(_with_peers(metrics, 30.0)) == ["int8"]


def test_peers_in_table_and_report(metrics: Metrics) -> None:
    text = _Page(render(_with_peers(metrics, 8.0))).text
    assert "OpenVINO int8 (AVX2)" in text and "ONNX Runtime fp32" in text


def test_commands_repeat_all_counts_of_threads(metrics: Metrics) -> None:
    changed = copy.deepcopy(metrics)
    changed["benchmark"]["rows"] += [row | {"threads": 2} for row in changed["benchmark"]["rows"]]
    assert "quantune bench out --threads 1,2" in _Page(render(changed)).text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main_dispatch_7_matmul_like_64x3136x576_f32", "matmul_like_64x3136x576"),
        ("main_dispatch_7_matmul_like_64x3136x576_i8xi8xi32", "matmul_like_64x3136x576"),
        ("main$async_dispatch_3_conv_112x112x32x3x3x3_f32xi8", "conv_112x112x32x3x3x3"),
        ("_initializer_1_encoding_0_encode_8x8_f32", "encode_8x8"),
        ("quantune_kernel", "quantune_kernel"),
    ],
)
def test_operations_match_across_precisions(name: str, expected: str) -> None:
    assert operation(name) == expected


def test_costs_add_up_by_layer_and_by_operation() -> None:
    float_one = {"name": "d_dispatch_0_conv_8x8_f32", "microseconds": 5.0, "calls": 1}
    integer = [
        {"name": "d_dispatch_0_conv_8x8_i8xi8xi32", "microseconds": 7.0, "calls": 1},
        {"name": "d_dispatch_1_pack_8x8_i8", "microseconds": 2.0, "calls": 1, "layer": "conv1"},
        {"name": "d_dispatch_2_mm_8x8_i8", "microseconds": 4.0, "calls": 1, "layer": "conv1"},
    ]
    found = costs({"dispatches": {"fp32": [float_one], "int8": integer}})
    assert {(cost.key, cost.is_layer): cost.microseconds for cost in found} == {
        ("conv_8x8", False): {"fp32": 5.0, "int8": 7.0},
        ("conv1", True): {"int8": 6.0},
    }
    assert [cost.key for cost in culprits(found, "int8")] == ["conv1", "conv_8x8"]


def test_table_has_a_row_for_every_module(metrics: Metrics) -> None:
    console = Console(width=140, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(summary_table(metrics))
    lines = console.export_text().splitlines()
    (v2,) = [line for line in lines if "v2" in line]
    for figure in ("90.0 %", "100.0 %", "22.7 dB", "12.3 ms", "1.80x", "4.79 MB"):
        assert figure in v2
    for label in ("fp32", "int8", "IREE best", "IREE default"):
        assert any(label in line for line in lines)


def test_table_without_benchmark_shows_what_is_known(metrics: Metrics) -> None:
    rows = {row.variant: row for row in summary_rows({k: v for k, v in metrics.items() if k != "benchmark"})}
    assert list(rows) == ["fp32", "int8", "v2"]
    assert rows["fp32"].top1 == 0.9 and rows["v2"].size_bytes == 4_790_000
    assert rows["v2"].latency_ms is None and rows["v2"].smaller == pytest.approx(18.7 / 4.79)


@pytest.mark.parametrize(("low", "high"), [(0.0, 41.3), (-3.2, 7.9), (0.0, 1e-5), (5.0, 5.0), (-1e6, 2e6)])
def test_ticks_cover_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high
    assert 2 <= len(found) <= 15
    assert np.diff(found) == pytest.approx(found[1] - found[0])


def test_decades_cover_both_sides_of_zero() -> None:
    assert decades(-0.5, 230.0, 1.0) == [-1.0, 0.0, 1.0, 10.0, 100.0, 1000.0]
    assert decades(0.0, 4.0, 0.1) == [0.0, 0.1, 1.0, 10.0]


def test_a_logarithmic_axis_keeps_order_and_symmetry() -> None:
    axis = Axis(-100.0, 100.0, 200.0, 0.0, knee=0.1)
    pixels = [axis(value) for value in (-100.0, -1.0, -0.01, 0.0, 0.01, 1.0, 100.0)]
    assert pixels == sorted(pixels, reverse=True)
    assert pixels[0] == 200.0 and pixels[3] == 100.0 and pixels[-1] == 0.0
    assert pixels[1] + pixels[5] == pytest.approx(200.0)


def test_one_huge_range_does_not_flatten_the_others(metrics: Metrics) -> None:
    assert "log scale" not in _Page(render(metrics)).text
    changed = copy.deepcopy(metrics)
    changed["layers"][4]["activation"] |= {"maximum": 4000.0, "high": 3500.0}
    assert "log scale" in _Page(render(changed)).text
