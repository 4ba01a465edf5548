"""A layer on its way to a microkernel: everything but where its operands will lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iree.compiler import ir

from quantune.passes.ukernels.image import Placement

Pack = Callable[[Placement], tuple[bytes, tuple[int, int]]]
"""Where the operands lie → (the kernel's constant, workgroups x and y)."""


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One use of a kernel. `request` holds its place in the IR: image, residual → result, all dense.

    Attributes:
        layer: whose name the dispatch carries.
        family: such as qconv; with a residual, the symbol is that of `<family>_residual`, with working
            memory that of `<family>_pooled`.
        pack: called once, when it is known where the operands lie.
        whole_rows: the image's pixels must lie side by side (`Geometry.whole_rows`).
        reads_views: the image and the residual may lie inside larger tensors.
        writes_views: the result may, and may get a frame.
        never_negative: the result is f32 >= 0, so that padding it with 0 changes no maximum.
        memory: bytes of working memory for each workgroup, which comes behind the result.
    """

    request: ir.Operation
    layer: str
    family: str
    pack: Pack
    whole_rows: bool = False
    reads_views: bool = True
    writes_views: bool = True
    never_negative: bool = False
    memory: int = 0

    @property
    def symbol(self) -> str:
        """The kernel's, but for the instruction set."""
        kind = "_residual" if self.residual is not None else "_pooled" if self.memory else ""
        return f"quantune_{self.family}{kind}"

    @property
    def image(self) -> ir.Value:
        return self.request.operands[0]

    @property
    def residual(self) -> ir.Value | None:
        return self.request.operands[1] if len(self.request.operands) > 1 else None

    @property
    def result(self) -> ir.Value:
        return self.request.results[0]
