"""Layer by layer, whatever the shape, widths and numbers: compiled equals the reference, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cases import ALL_KINDS, WITH_WEIGHTS, Case, Fill, Kind, Residual
from groups import Written, check, write
from quantune.backend.compiler import BEST_FLAGS, compile_module, executable_target, kernel_target
from quantune.backend.pipeline import NO_KERNELS
from quantune.backend.runner import HostRunner
from quantune.job.modules import EARLY_TILING, INSTRUMENTED_FLAGS
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.targets import get

KINDS: tuple[Kind, ...] = get_args(Kind)
CLAMPS = ((-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.0), (-np.inf, 2.5), (3.0, 4.0))


@pytest.fixture(scope="module")
def all_kinds() -> Written:
    return write(ALL_KINDS)


@pytest.mark.parametrize("flags", [(), BEST_FLAGS, EARLY_TILING, INSTRUMENTED_FLAGS], ids=len)
def test_flags_change_no_bit(all_kinds: Written, tmp_path: Path, flags: tuple[str, ...]) -> None:
    compile_module(all_kinds.source, tmp_path / "groups.vmfb", get("host"), flags)
    check(all_kinds, HostRunner(tmp_path / "groups.vmfb"))


@pytest.mark.parametrize(
    ("isa", "target"), [("portable", "host"), ("avx2", "x86-64-avx2"), ("avx512vnni", "host")]
)
def test_kernels_equal_the_reference(tmp_path: Path, isa: str, target: str) -> None:
    chosen = get(target)
    if not (chosen.runs_here and (isa == "portable" or isa in chosen.kernel_isas)):
        pytest.skip(f"this processor has no {isa}")
    narrow = [replace(c, weight_bits=min(c.weight_bits, 7)) for c in ALL_KINDS if c.kind in WITH_WEIGHTS]
    written = write([*narrow, *ALL_KINDS], KernelTarget((isa,), executable_target(chosen)))
    # 8-bit weights may overflow AVX2's 16-bit sums: those of 7 have a proof, those of 8 another kernel
    for index, case in enumerate([*narrow, *ALL_KINDS]):
        if case.kind in WITH_WEIGHTS:
            assert written.kernels[f"g{index}"].startswith("kernel"), case
    for index, case in enumerate(ALL_KINDS, len(narrow)):
        if case.kind in ("avg_pool", "global_avg_pool", "add", "max_pool"):
            assert written.kernels[f"g{index}"].startswith("kernel"), case
    compile_module(written.source, tmp_path / "groups.vmfb", chosen, BEST_FLAGS)
    check(written, HostRunner(tmp_path / "groups.vmfb"))


@st.composite
def case(draw: st.DrawFn) -> Case:
    """Any layer; sizes small, but beyond one vector's worth of channels."""
    kind = draw(st.sampled_from(KINDS))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilations = draw(pair), draw(pair)
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    if kind == "max_pool":  # every window sees some of the image, as torch demands
        reach = [k - 1 if d == 1 else 0 for k, d in zip(kernel, dilations, strict=True)]
    side = [st.tuples(st.integers(0, r // 2), st.integers(0, r - r // 2)) for r in reach]
    strides, out = draw(pair), draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    # IREE 3.13 cannot compile a strided window that fits once and leaves part of its input unread
    spare = [st.integers(0, step - 1 if size > 1 else 0) for step, size in zip(strides, out, strict=True)]
    residuals: list[Residual] = ["none", "integer", "float"] if kind in WITH_WEIGHTS else ["none"]
    alike = kind == "concat" and draw(st.booleans())
    bits, groups = st.integers(2, 8), draw(st.sampled_from([1, 1, 2, 3])) if kind == "conv2d" else 1
    fills: list[Fill] = ["random", "random", "least", "largest", "matched"]
    return Case(
        kind,
        out=out,
        channels=groups * draw(st.sampled_from([1, 2, 3, 8, 13, 16, 33])),
        filters=groups * draw(st.sampled_from([1, 3, 4, 16, 17, 40])),
        groups=groups,
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=draw(st.tuples(*side)),
        spare=draw(st.tuples(*spare)),
        weight_bits=draw(bits),
        fill=draw(st.sampled_from(fills if groups == 1 else fills[:-1])),
        clamp=draw(st.sampled_from(CLAMPS)),
        residual=draw(st.sampled_from(residuals)),
        bias=draw(st.booleans()),
        stored=draw(st.booleans()),
        ties=draw(st.booleans()),
        alike=alike,
        seed=draw(st.integers(0, 2**16)),
        input_bits=draw(bits),
        output_bits=draw(bits),
    )


# Each example compiles, so several layers share a module, and shrinking would cost minutes.
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(cases=st.lists(case(), min_size=6, max_size=6), kernels=st.booleans())
def test_any_layers_equal_the_reference(
    tmp_path_factory: pytest.TempPathFactory, cases: list[Case], kernels: bool
) -> None:
    host = get("host")
    written = write(cases, kernel_target(host) if kernels else NO_KERNELS)
    module = tmp_path_factory.mktemp("any") / "layers.vmfb"
    compile_module(written.source, module, host, ())
    check(written, HostRunner(module))
