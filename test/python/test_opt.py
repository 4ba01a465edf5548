"""quantune-opt and the text form of pipelines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantune.cli import opt
from quantune.errors import QuantuneError
from quantune.passes.instrument import Instrument
from quantune.passes.name_layers import NameLayers
from quantune.passes.registry import all_passes, parse_pipeline
from quantune.plan.schema import Plan

IDENTITY = "func.func @main(%x: tensor<1x4xf32>) -> tensor<1x4xf32> { return %x : tensor<1x4xf32> }\n"
PLAN = Plan("m", "f", "by hand", "host", {}, {})


def no_plan(path: Path) -> Plan:
    raise AssertionError(f"{path} must not be read")


def test_options_become_fields() -> None:
    text = "builtin.module( name-layers , instrument{layers=conv1,fc twins=true} )"
    assert parse_pipeline(text, no_plan) == [NameLayers(), Instrument(layers="conv1,fc", twins=True)]
    assert parse_pipeline("instrument{layers='a b'}", no_plan) == [Instrument(layers="a b")]


def test_the_caller_reads_plans() -> None:
    read: list[Path] = []

    def reader(path: Path) -> Plan:
        read.append(path)
        return PLAN

    (step,) = parse_pipeline("annotate-precision{plan=some/plan.json}", reader)
    assert read == [Path("some/plan.json")] and step.plan is PLAN  # type: ignore[attr-defined]


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
        parse_pipeline(text, no_plan)


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert opt.main(["--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == [cls.name for cls in all_passes()]
    assert listed[3]["options"][1] == {"name": "twins", "type": "bool", "required": False, "default": False}
    assert listed[4]["options"][0]["required"] is True


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
