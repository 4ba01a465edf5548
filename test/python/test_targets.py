"""Targets: what they say about themselves, and that the compiler takes their flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantune import targets
from quantune.backend import compiler
from quantune.errors import QuantuneError
from quantune.targets import cpu, host

ADD = """
func.func @main(%a: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<64xf32> {
  %0 = arith.addf %a, %b : tensor<64xf32>
  return %0 : tensor<64xf32>
}
"""

ZEN3 = "model name : AMD Zen 3\nflags : sse4_1 avx avx2 fma bmi2\n"
SERVER = "model name : Xeon\nflags : avx avx2 fma avx512f avx512bw avx512vl avx512_vnni\n"
BIG_LITTLE = "Features : fp asimd asimddp i8mm\n\nFeatures : fp asimd asimddp\n"


def test_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(QuantuneError, match=r"cortex-a99.*host, x86-64-avx2, cortex-a53"):
        targets.get("cortex-a99")


@pytest.mark.parametrize("name", targets.names())
def test_get_returns_the_named_target(name: str) -> None:
    target = targets.get(name)
    assert target.name == name
    assert target.weight_bits_menu[0] == 8
    assert list(target.weight_bits_menu) == sorted(target.weight_bits_menu, reverse=True)


def test_fixed_targets_list_what_is_smaller() -> None:
    """Kernels store 4 bits as nibbles, so they halve the weights everywhere."""
    for name in targets.names()[1:]:
        assert targets.get(name).weight_bits_menu[-1] == 4, name


def test_host_from_cpuinfo() -> None:
    zen = host.detect(cpu.parse(ZEN3, "x86_64", 2))
    assert (zen.avx2, zen.avx512_vnni, zen.native_vector_bytes) == (True, False, 32)
    assert 6 in zen.weight_bits_menu
    server = host.detect(cpu.parse(SERVER, "x86_64", 2))
    assert (server.avx2, server.avx512_vnni, server.native_vector_bytes) == (True, True, 64)
    assert 6 not in server.weight_bits_menu  # no gain where there is a dot-product instruction
    amx = host.detect(cpu.parse(SERVER.rstrip() + " avx512vbmi amx_tile amx_int8\n", "x86_64", 2))
    assert amx.amx and amx.weight_bits_menu == (8, 7, 6, 5, 4)  # what layers that wait for weights gain from


def test_features_count_only_if_every_core_has_them() -> None:
    arm = host.detect(cpu.parse(BIG_LITTLE, "aarch64", 8))
    assert (arm.neon, arm.dotprod, arm.i8mm) == (True, True, False)


def test_unsupported_host_is_named() -> None:
    with pytest.raises(QuantuneError, match="riscv64"):
        host.detect(cpu.parse("", "riscv64", 1))


def test_runs_here_follows_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "here", lambda: cpu.parse(ZEN3, "x86_64", 2))
    assert targets.get("x86-64-avx2").runs_here
    assert not targets.get("cortex-a72").runs_here
    assert not host.detect(cpu.parse(SERVER, "x86_64", 2)).runs_here
    monkeypatch.setattr(cpu, "here", lambda: cpu.parse("Features : asimd\n", "aarch64", 4))
    assert targets.get("cortex-a72").runs_here
    assert not targets.get("cortex-a55").runs_here
    assert not targets.get("x86-64-avx2").runs_here


@pytest.mark.parametrize("name", targets.names())
def test_every_target_compiles(name: str, tmp_path: Path) -> None:
    result = compiler.compile_module(ADD, tmp_path / "add.vmfb", targets.get(name))
    assert result.path.stat().st_size > 0
    assert not [line for line in result.warnings if "not a recognized" in line]


@pytest.mark.parametrize("name", targets.names())
def test_executable_target_shows_the_flags(name: str) -> None:
    target = targets.get(name)
    attribute = compiler.executable_target(target)
    assert attribute.startswith('#hal.executable.target<"llvm-cpu", "embedded-elf-')
    assert ("arm_64" if target.architecture == "aarch64" else "x86_64") in attribute
    assert f"native_vector_size = {target.native_vector_bytes} " in attribute
    for flag, feature in (("avx2", "avx2"), ("avx512_vnni", "avx512vnni"), ("dotprod", "dotprod")):
        assert getattr(target, flag) == (f"+{feature}" in attribute)
