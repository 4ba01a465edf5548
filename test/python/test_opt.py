"""quantune-opt and the text form of pipelines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantune.cli import opt
from quantune.errors import QuantuneError
from quantune.passes.annotate_precision import AnnotatePrecision
from quantune.passes.instrument import Instrument
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.passes.name_layers import NameLayers
from quantune.passes.registry import Readers, all_passes, parse_pipeline
from quantune.passes.select_kernels import SelectKernels
from quantune.plan.schema import Plan

IDENTITY = "func.func @main(%x: tensor<1x4xf32>) -> tensor<1x4xf32> { return %x : tensor<1x4xf32> }\n"
PLAN = Plan("m", "f", "by hand", "host", {}, {})


def unread(text: str) -> Any:
    raise AssertionError(f"{text} must not be read")


UNREAD: Readers = {Plan: unread, KernelTarget: unread}


def test_options_become_fields() -> None:
    text = "builtin.module( name-layers , instrument{layers=conv1,fc twins=true} )"
    assert parse_pipeline(text, UNREAD) == [NameLayers(), Instrument(layers="conv1,fc", twins=True)]
    assert parse_pipeline("instrument{layers='a b'}", UNREAD) == [Instrument(layers="a b")]


def test_the_caller_reads_plans_and_targets() -> None:
    target = KernelTarget(("avx2",), "#hal.executable.target<>")
    read: list[str] = []

    def reader(found: object) -> Callable[[str], object]:
        def read_it(text: str) -> object:
            read.append(text)
            return found

        return read_it

    text = "annotate-precision{plan=some/plan.json},select-kernels{target=x86-64-avx2},select-kernels"
    steps = parse_pipeline(text, {Plan: reader(PLAN), KernelTarget: reader(target)})
    assert steps == [AnnotatePrecision(PLAN), SelectKernels(target), SelectKernels()]
    assert read == ["some/plan.json", "x86-64-avx2"]
    assert SelectKernels().target.isas == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name-layer", "no pass 'name-layer'; near matches: name-layers"),
        ("instrument{layer=a}", "no option 'layer'; near matches: layers"),
        ("name-layers{x=1}", "no option 'x', it takes none"),
        ("instrument{twins=yes}", "twins must be true or false, not 'yes'"),
        ("instrument{layers=a layers=b}", "layers is given twice"),
        ("annotate-precision", r"needs the option plan: annotate-precision\{plan="),
        ("name-layers,", "expected the name of a pass at column 13, found the end"),
        ("name-layers instrument", "expected ',' or the end at column 13, found 'instrument'"),
        ("instrument{layers}", "expected '=' after 'layers' at column 18, found '}'"),
        ("instrument{layers=a", "expected an option or '}' at column 20, found the end"),
        ("builtin.module(name-layers", r"expected ',' or '\)' at column 27"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(QuantuneError, match=message):
        parse_pipeline(text, UNREAD)


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert opt.main(["--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == [cls.name for cls in all_passes()]
    options = {entry["name"]: entry["options"] for entry in listed}
    twins = {"name": "twins", "type": "bool", "required": False, "default": False}
    assert options["instrument"][1] == twins
    assert options["annotate-precision"][0]["required"] is True
    target = {"name": "target", "type": "KernelTarget", "required": False, "default": ""}
    assert options["prove-accumulators"] == [target]


def test_a_target_by_name_brings_its_kernels() -> None:
    (step,) = parse_pipeline("select-kernels{target=x86-64-avx2}", opt._readers())
    assert isinstance(step, SelectKernels)
    assert step.target.isas == ("avx2",)
    assert re.match(
        r'#hal\.executable\.target<"llvm-cpu", .*target_triple = "x86_64-', step.target.executable_target
    )
    (step,) = parse_pipeline("select-kernels{target=cortex-a72}", opt._readers())
    assert isinstance(step, SelectKernels)
    assert step.target.isas == ("neon",)


def test_an_unknown_target_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.mlir"
    source.write_text(IDENTITY)
    assert opt.main([str(source), "--pass-pipeline=select-kernels{target=x86-64-avx3}"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("quantune-opt: error: unknown target 'x86-64-avx3'; ")
    assert "x86-64-avx2" in said.err and said.err.count("\n") == 1


def test_bytecode_comes_back_the_same(tmp_path: Path) -> None:
    source, binary, text = (tmp_path / name for name in ("in.mlir", "out.mlirbc", "out.mlir"))
    source.write_text(IDENTITY)
    assert opt.main([str(source), "--emit", "bytecode", "-o", str(binary)]) == 0
    assert binary.read_bytes().startswith(b"ML\xefR")
    assert opt.main([str(binary), "-o", str(text)]) == 0
    assert "return %arg0 : tensor<1x4xf32>" in text.read_text()


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.mlir"
    source.write_text("func.func @main() { return %nothing : i8 }")
    assert opt.main([str(source), "-o", str(tmp_path / "out.mlir")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"quantune-opt: error: {source} does not parse as MLIR at line 1 column 28: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out.mlir").exists()


def test_parts_in_error_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in.mlir", tmp_path / "out.mlir"
    source.write_text(f"{IDENTITY}// -----\nnonsense\n// -----\n{IDENTITY}")
    assert opt.main([str(source), "--split-input-file", "-o", str(output)]) == 1
    assert "(part 2) does not parse" in capsys.readouterr().err
    assert output.read_text().count("@main") == 2
