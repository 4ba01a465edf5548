"""Where kernels' results lie: inside frames that serve as padding, side by side instead of concatenated.

A kernel reads and writes images that are parts of larger tensors (`ukernels/image.h`). So a result that is
padded for other kernels is written into a tensor that has the border already, and results that are
concatenated are written into the channels of one tensor, each kernel's dispatch tied to the one before.
Readers that are generated code get a slice.

    %y = @a(%x)                                  %framed = @a'(%x)
    %p = tensor.pad %y                      →    %z = @b'(%framed)
    %z = @b(%p)

    %1 = @a(%x)                                  %0 = tensor.empty
    %2 = @b(%x)                             →    %1 = @a'(%x, %0) -> %0
    %3 = tensor.concat %1, %2                    %3 = @b'(%x, %1) -> %1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from iree.compiler import ir

from quantune.ir import build, quant, values
from quantune.passes.base import remove_dead
from quantune.passes.image_views import border_of, element_bytes, place, slice_of
from quantune.passes.kernel_call import KernelCall
from quantune.passes.ukernels.image import Frame, Image

NO_FRAME = Frame()


@dataclass(eq=False)
class Home:
    """The tensor that results are written into.

    Attributes:
        value: what it stands for: one kernel's result, or a concatenation of several.
        members: results in the order in which they are written, with the channel that each begins at.
        tensor: its latest version while dispatches are written.
    """

    value: ir.Value
    members: list[tuple[KernelCall, int]]
    frame: Frame = NO_FRAME
    tensor: ir.Value | None = field(default=None)

    @property
    def kind(self) -> ir.RankedTensorType:
        dims = list(values.shape(self.value))
        if len(dims) == 4:
            dims[1] += self.frame.top + self.frame.bottom
            dims[2] += self.frame.left + self.frame.right
        return build.tensor_type(dims, values.element_type(self.value))

    @property
    def shared(self) -> bool:
        return len(self.members) > 1

    def image(self, call: KernelCall) -> Image:
        """Where the result of one member lies."""
        channel = next(channel for member, channel in self.members if member is call)
        kind = self.kind
        return place(list(kind.shape), element_bytes(kind), self.frame.top, self.frame.left, channel)

    def publish(self) -> None:
        """Everyone who read the values reads slices of the tensor, or all of it."""
        self._publish(self.value, 0)
        concat = values.defining(self.value) if self.shared else None
        if concat is not None:
            concat.erase()
            for member, channel in self.members:
                self._publish(member.result, channel)
        for member, _ in self.members:
            member.request.erase()

    def _publish(self, value: ir.Value, channel: int) -> None:
        assert self.tensor is not None
        dims = values.shape(value)
        for reader in values.users(value):
            border = border_of(reader)
            if border is not None and _fits(border, self.frame):
                padded = reader.results[0]
                top, left = self.frame.top - border.top, self.frame.left - border.left
                padded.replace_all_uses_with(slice_of(self.tensor, top, left, channel, values.shape(padded)))
                reader.erase()
        if values.users(value):
            inside = (self.frame.top, self.frame.left, channel)
            value.replace_all_uses_with(
                slice_of(self.tensor, *inside, dims) if len(dims) == 4 else self.tensor
            )


def find_homes(module: ir.Module, calls: list[KernelCall]) -> dict[KernelCall, Home]:
    """Decides for every kernel where its result goes."""
    by_value = {call.result: call for call in calls}
    function = values.main_function(module)
    homes: dict[KernelCall, Home] = {}
    order = {op: index for index, op in enumerate(values.operations(function))}
    for op in order:
        home = _shared_home(op, by_value, order) if op.name == "tensor.concat" else None
        if home is not None and not any(member in homes for member, _ in home.members):
            homes |= dict.fromkeys((member for member, _ in home.members), home)
    for call in calls:
        homes.setdefault(call, Home(call.result, [(call, 0)]))
    for home in dict.fromkeys(homes.values()):
        home.frame = _wanted_frame(home, by_value_image(calls))
    return homes


def by_value_image(calls: list[KernelCall]) -> dict[ir.Value, list[KernelCall]]:
    """Image → the kernels that read it."""
    found: dict[ir.Value, list[KernelCall]] = {}
    for call in calls:
        found.setdefault(call.image, []).append(call)
    return found


def _shared_home(
    concat: ir.Operation, calls: dict[ir.Value, KernelCall], order: dict[ir.Operation, int]
) -> Home | None:
    """The home of a concatenation of channels that kernels write, none of which is read too early."""
    operands = list(concat.operands)
    rank = values.rank(concat.results[0])
    if rank != 4 or concat.attributes["dim"].value != 3 or len(set(operands)) != len(operands):
        return None
    members, channel = [], 0
    for operand in operands:
        if operand not in calls or not calls[operand].writes_views:
            return None
        members.append((calls[operand], channel))
        channel += values.shape(operand)[3]
    members.sort(key=lambda member: order[member[0].request])
    last = order[members[-1][0].request]
    readers = [reader for operand in operands for reader in values.users(operand)]
    return Home(concat.results[0], members) if all(order[r] > last for r in readers) else None


def _wanted_frame(home: Home, readers: dict[ir.Value, list[KernelCall]]) -> Frame:
    """The largest border that the values are read with; one of another filler stays a `tensor.pad`.

    What kernels read counts first. Generated code is spared a copy, too.
    """
    if values.rank(home.value) != 4 or not home.members[0][0].writes_views:
        return NO_FRAME
    found = NO_FRAME
    for border in sorted(_borders(home, readers), key=lambda border: not border.by_kernel):
        found = border.frame if found == NO_FRAME else _joined(found, border.frame)
    return found


def _joined(one: Frame, other: Frame) -> Frame:
    """The larger of both on each side; the first if they are filled differently."""
    if one.fill != other.fill:
        return one
    return Frame(
        max(one.top, other.top),
        max(one.left, other.left),
        max(one.bottom, other.bottom),
        max(one.right, other.right),
        one.fill,
    )


@dataclass(frozen=True)
class _Border:
    """A padding of a home's values, and whether kernels read it as it is."""

    frame: Frame
    by_kernel: bool


def _borders(home: Home, readers: dict[ir.Value, list[KernelCall]]) -> Iterator[_Border]:
    parts = [member.result for member, _ in home.members] if home.shared else []
    for value in (home.value, *parts):
        for pad in values.users(value):
            if (frame := border_of(pad)) is not None:
                kernels = readers.get(pad.results[0], [])
                by_kernel = any(k.reads_views and not (k.whole_rows and value in parts) for k in kernels)
                yield _Border(frame, by_kernel)


def _fits(border: Frame, frame: Frame) -> bool:
    """Whether `frame` has this border."""
    vertical = border.top <= frame.top and border.bottom <= frame.bottom
    return (
        border.fill == frame.fill and vertical and border.left <= frame.left and border.right <= frame.right
    )


def fold_casts(module: ir.Module) -> None:
    """Storage seen as quantized values and back is storage; other such casts move down to their readers."""
    function = values.main_function(module)
    for op in values.operations(function):
        source = values.defining(op.operands[0]) if op.name == quant.STORAGE else None
        if source is not None and source.name == quant.STORAGE:
            op.results[0].replace_all_uses_with(source.operands[0])
    remove_dead(module)
    order = {op: index for index, op in enumerate(values.operations(function))}
    for op in reversed(order):
        if op.name == quant.STORAGE:
            op.move_before(min(values.users(op.results[0]), key=order.__getitem__))
