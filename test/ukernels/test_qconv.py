"""Convolution kernels between guard pages against the reference: every tail, window, epilogue and extreme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convolutions import FILLS, INFINITY, Convolution, Fill, check, prepare
from machines import MACHINES, Machine, each_machine
from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels import pack_amx, panels
from quantune.passes.ukernels.params import fields
from quantune.plan.schema import Quantization
from surroundings import Surroundings

POINTWISE, SQUARE = (1, 1), (3, 3)
STORED = Quantization(8, 1.0, 0)

DEPTHS = [
    Convolution((14, 14), 16, 96),
    Convolution((20, 40), 16, 1000),
    Convolution((9, 9), 96, 24, residual=True),
    Convolution((7, 7), 1024, 20),
    Convolution((7, 7), 1025, 20),
    Convolution((14, 14), 256, 40, SQUARE, padding=((1, 1), (1, 1)), residual=True),
    Convolution((3, 5), 174, 33, (7, 1)),
    Convolution((1, 1), 4099, 37, stored=False),
    Convolution((20, 15), 3, 64, (7, 7), (2, 2), padding=((3, 3), (3, 3))),
    Convolution((5, 5), 720, 48, SQUARE, groups=3),
    Convolution((5, 4), 300, 17, (2, 2), dilations=(2, 2)),
]


@each_machine
def test_every_number_of_filters(machine: Machine) -> None:
    check(
        machine,
        [
            Convolution(filters=n, residual=residual, stored=stored, weight_bits=7 + n % 2, seed=n)
            for n in (*range(1, 34), 48, 64)
            for residual, stored in ((False, True), (False, False), (True, True), (True, False))
        ],
    )


@each_machine
def test_every_number_of_rows(machine: Machine) -> None:
    """Up to several workgroups, in rows and in columns of the image."""
    counts = (*range(1, 26), 47, 48, 49, 191, 192, 193, 385, 600)
    shapes = [*((n, 1) for n in counts), *((1, n) for n in counts), (7, 11), (29, 13), (14, 14)]
    check(machine, [Convolution(out=out, channels=c, seed=sum(out)) for out in shapes for c in (3, 4)])


@each_machine
def test_runs_that_end_within_four_bytes(machine: Machine) -> None:
    """What is read beside them lies in the image, whatever it is, and counts nothing."""
    base = Convolution((5, 18), filters=20)
    around = Surroundings((1, 2, 1, 2))
    windows = ((2, 2), (3, 3), (4, 2), (2, 5))
    cases = [replace(base, channels=c, kernel=w, seed=c) for c in (1, 2, 3, 5, 7, 9) for w in windows]
    cases += [replace(case, dilations=(2, 1), around_input=around) for case in cases]
    check(machine, [*cases, *(replace(case, strides=(2, 3), out=(1, 1)) for case in cases)])


@each_machine
def test_every_number_of_channels(machine: Machine) -> None:
    """Runs that are no multiple of four bytes are gathered."""
    check(
        machine,
        [
            Convolution(channels=c, kernel=kernel, padding=((k, k), (k, k)), seed=c)
            for c in (*range(1, 10), 15, 16, 17, 31, 58, 64)
            for kernel, k in ((POINTWISE, 0), (SQUARE, 1))
        ],
    )


@each_machine
def test_every_window(machine: Machine) -> None:
    cases = [
        Convolution((4, 5), channels, 17, kernel, strides, dilations, padding, seed=channels)
        for channels in (3, 4, 10)
        for kernel in (POINTWISE, SQUARE, (5, 5), (1, 7), (7, 1), (7, 7), (2, 3))
        for strides in ((1, 1), (2, 2), (1, 2), (3, 1))
        for dilations in ((1, 1), (2, 1), (1, 2), (2, 2))
        for padding in (((0, 0), (0, 0)), ((1, 0), (1, 2)))
    ]
    # Windows that are dilated in width and have several rows are left to the code generator.
    supported = [case for case in cases if case.geometry.supported]
    assert len(supported) > 0.7 * len(cases)
    check(machine, supported)


@each_machine
@pytest.mark.parametrize("fill", FILLS)
def test_every_width_at_the_extremes(machine: Machine, fill: Fill) -> None:
    """The longest sums that a schedule allows, in rows with flushes at different steps for every tile."""
    cases = [
        Convolution((6, 3), channels, filters, kernel, weight_bits=bits, input_bits=input_bits, seed=bits)
        for input_bits in (8, 7, 4)
        for bits in range(2, 9)
        for channels, filters, kernel in ((512, 17, POINTWISE), (64, 33, SQUARE), (21, 5, SQUARE))
    ]
    check(machine, [replace(case, fill=fill) for case in cases])


@each_machine
@pytest.mark.parametrize("stored", [True, False], ids=["u8", "f32"])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_every_epilogue(machine: Machine, stored: bool, residual: bool) -> None:
    clamps = ((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 0.5), (-1.0, 1.0), (-INFINITY, 0.0))
    check(
        machine,
        [
            Convolution(filters=n, output_bits=bits, stored=stored, residual=residual, clamp=clamp, seed=bits)
            for n in (16, 19)
            for bits in (8, 7, 4)
            for clamp in clamps
        ],
    )


@each_machine
def test_small_and_large_panels_and_shared_columns(machine: Machine) -> None:
    """Both orders of the loops; few rows, whose columns are shared among workgroups."""
    check(
        machine,
        [
            Convolution((14, 14), 256, 40, SQUARE, padding=((1, 1), (1, 1)), residual=True),
            Convolution((1, 1), 1280, 1000, stored=False),
            Convolution((7, 7), 64, 160),
            Convolution((20, 20), 16, 96),
            Convolution((40, 10), 3, 64, (7, 7), (2, 2), padding=((3, 3), (3, 3))),
            Convolution((2, 2), 2048, 16),
            Convolution((3, 3), 1021, 18),
        ],
    )


@each_machine
def test_weights_of_four_bits(machine: Machine) -> None:
    """Panels that are unpacked together, one by one, and in blocks of one and of several segments."""
    check(machine, [replace(s, weight_bits=4, fill=fill) for s in DEPTHS for fill in ("random", "least")])


@each_machine
@pytest.mark.parametrize("bits", [7, 8])
def test_deep_panels_of_bytes(machine: Machine, bits: int) -> None:
    """With a proof and without; AVX2 walks them in blocks, too."""
    fills: tuple[Fill, ...] = ("random", "least")
    check(machine, [replace(s, weight_bits=bits, fill=fill) for s in DEPTHS for fill in fills])


@each_machine
def test_weights_of_five_to_seven_bits(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tile of pixels, for which AMX unpacks as it goes: chunks of 64, of less, and gathered."""
    monkeypatch.setattr(panels, "FAR_WEIGHTS", 0)
    shapes = [
        Convolution((1, 1), 1000, 40, stored=False),
        Convolution((2, 5), 64, 48, SQUARE, residual=True),
        Convolution((4, 4), 80, 33, padding=((1, 1), (1, 1))),
        Convolution((3, 5), 21, 17, SQUARE),
        Convolution((4, 4), 36, 20, SQUARE, groups=2),
        Convolution((3, 4), 12, 70, (2, 2), dilations=(2, 2)),
    ]
    check(
        machine,
        [
            replace(shape, weight_bits=bits, fill=fill)
            for shape in shapes
            for bits in (5, 6, 7)
            for fill in ("random", "least")
        ],
    )


@pytest.mark.parametrize("bits", [8, 4])
def test_amx_with_weights_beyond_l2(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two columns are kept while all strips of pixels pass by."""
    machine = next(m for m in MACHINES if m.isa == "amx")
    monkeypatch.setattr(pack_amx, "BEYOND_L2", 0)
    few = [replace(shape, filters=shape.filters + 100) for shape in DEPTHS if shape.groups == 1]
    cases = [replace(shape, weight_bits=bits) for shape in (*DEPTHS, *few)]
    blobs = [prepare(case, machine)[0].inputs[-1] for case in cases]
    inner = fields("qconv").index("tiles_inner")
    assert sum(np.frombuffer(blob, "<i4", 64)[inner] == 0 for blob in blobs) > len(cases) / 2
    check(machine, cases)


@pytest.mark.parametrize("bits", [7, 6, 5, 4])
def test_amx_stores_what_it_waits_for_in_few_bits(bits: int) -> None:
    machine = next(m for m in MACHINES if m.isa == "amx")
    weights = 512 * 9 * 64
    cases = [Convolution(out, 512, 64, SQUARE, weight_bits=bits, fill="least") for out in ((1, 1), (7, 7))]
    packed, rest = (len(prepare(case, machine)[0].inputs[-1]) for case in cases)
    assert bits / 8 * weights < packed < (bits / 8 + 0.01) * weights
    assert rest > weights or bits == 4


def test_four_bits_are_half_the_bytes() -> None:
    machine = next(m for m in MACHINES if m.isa == "portable")
    case = Convolution((7, 7), 512, 64, SQUARE)
    wide, narrow = (len(prepare(replace(case, weight_bits=bits), machine)[0].inputs[-1]) for bits in (5, 4))
    weights = 512 * 9 * 64
    assert narrow < 0.51 * weights < weights < wide


def test_results_beyond_32_bits_are_not_clamped_as_bytes() -> None:
    """A multiplier so large that sums leave the range of i32: the kernel must clamp before it converts."""
    packed = np.full((1, 1, 16, 4), 127, np.int8)

    def bounded(multiplier: float, residual_f32: bool = False, output: Quantization | None = STORED) -> bool:
        epilogue = Epilogue(
            np.array([multiplier], np.float32), np.zeros(1, np.float32), None, None, None, output
        )
        return pack_amx.bounded(packed, epilogue, residual_f32)

    limit = 2**30 / (4 * 127 * 255)
    assert bounded(0.99 * limit) and not bounded(1.01 * limit)
    assert not bounded(0.1, residual_f32=True) and not bounded(0.1, output=None)


@each_machine
def test_enormous_results(machine: Machine) -> None:
    """Far beyond 32 bits before they are clamped, with and without a proof that they are not."""
    cases = [
        Convolution((5, 7), 64, 64, residual=residual, magnitude=magnitude, clamp=clamp)
        for residual in (False, True)
        for magnitude in (1.0, 1e4, 1e8)
        for clamp in ((-INFINITY, INFINITY), (0.0, 1.0))
    ]
    check(machine, cases)


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    def pair(*choices: int) -> tuple[int, int]:
        return draw(st.sampled_from(choices)), draw(st.sampled_from(choices))

    case = Convolution(
        out=pair(1, 2, 3, 5, 8, 13),
        channels=draw(st.integers(1, 40)),
        filters=draw(st.integers(1, 70)),
        kernel=pair(1, 2, 3, 5),
        strides=pair(1, 2, 3),
        dilations=pair(1, 1, 2),
        weight_bits=draw(st.integers(2, 8)),
        input_bits=draw(st.sampled_from((8, 7, 5))),
        output_bits=draw(st.sampled_from((8, 7, 4))),
        residual=draw(st.booleans()),
        stored=draw(st.booleans()),
        clamp=draw(st.sampled_from(((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 2.0)))),
        seed=draw(st.integers(0, 2**32)),
    )
    pads = tuple(min(draw(st.integers(0, 2)), (reach - 1) // 2) for reach in case.reach)
    return replace(case, padding=((pads[0], pads[0]), (pads[1], 0)))


@each_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(convolutions(), min_size=1, max_size=20))
def test_random_convolutions(machine: Machine, cases: list[Convolution]) -> None:
    """Many at once: starting an emulator costs more than a convolution."""
    check(machine, [case for case in cases if case.geometry.supported])


@each_machine
def test_more_flushes_and_longer_groups_than_a_byte_counts(machine: Machine) -> None:
    """At least 256 groups of one step (NEON: two) in a run; weights so small that a group has 255 steps."""
    channels = 4096 if machine.isa == "neon" else 2048
    widest_weights = Convolution((7, 1), channels, 33, weight_bits=7, fill="matched")
    small_weights = [Convolution((7, 1), 2056, 1, weight_bits=2, seed=seed) for seed in range(12)]
    check(machine, [widest_weights, *small_weights])
