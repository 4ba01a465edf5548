"""What LLVM makes of the kernels: `docs/kernels.md` says what it must not do, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiled import GetNetwork, compile_plan, mixed_plan
from quantune.targets import get

MOST_SPILLS = 80
"""Moves of a function. Windows of 5x5 have more sums than AVX-512 has registers; unguarded, it made 400."""
VECTOR_ON_STACK = re.compile(r"\tvmov\w+\t.*%[yz]mm.*\(%rsp\)|\tvmov\w+\t.*\(%rsp\), %[yz]mm")


def functions(assembly: str) -> Iterator[tuple[str, list[str]]]:
    """(name, instructions) of every function."""
    parts = re.split(r"^(\w+):$", assembly, flags=re.MULTILINE)
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        yield name, body.splitlines()


@pytest.mark.parametrize("name", ["x86-64-avx2", "host"])
def test_depthwise_kernels_spill_little_and_to_an_aligned_stack(
    name: str, network: GetNetwork, tmp_path: Path
) -> None:
    target = get(name)
    if not target.avx2:
        pytest.skip("its vectors are no longer than the stack is aligned")
    found = network("mobilenet_v2@32")
    dump = f"--iree-hal-dump-executable-intermediates-to={tmp_path}"
    compile_plan(found.model, mixed_plan(found), target, tmp_path / "net.vmfb", (dump,), kernels=True)
    seen = {}
    for path in tmp_path.glob("*.s"):
        for function, body in functions(path.read_text()):
            if re.fullmatch(r"do_(whole|split)_\d_\d", function):
                seen[function] = [line for line in body if VECTOR_ON_STACK.search(line)]
    assert {"do_whole_3_1", "do_whole_3_2", "do_whole_5_1", "do_whole_5_2"} <= set(seen)
    assert max(map(len, seen.values())) <= MOST_SPILLS
    assert not [line for moves in seen.values() for line in moves if re.search(r"\tvmov(u|dqu)", line)]
