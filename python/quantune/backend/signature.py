"""The inputs and outputs of a compiled module, read from the module itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantune.errors import QuantuneError

# bfloat16 has no numpy type; nothing here produces it.
DTYPES = {
    "i1": np.dtype(np.bool_),
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    **{f"i{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"si{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"ui{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class TensorType:
    """A static tensor type, such as 1x224x224x3xf32."""

    shape: tuple[int, ...]
    element: str

    @property
    def dtype(self) -> np.dtype:
        return DTYPES[self.element]

    def __str__(self) -> str:
        return "x".join([*map(str, self.shape), self.element])


@dataclass(frozen=True)
class Signature:
    """What a function takes and returns."""

    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]

    def check(self, inputs: Sequence[np.ndarray], label: str) -> list[np.ndarray]:
        """The inputs as contiguous arrays of the module's types; raises QuantuneError where one does not fit.

        Unsigned bytes pass for the signless i8 in which quantized activations are stored.
        """
        expected = ", ".join(map(str, self.inputs))
        if len(inputs) != len(self.inputs):
            raise QuantuneError(f"{label} takes {len(self.inputs)} inputs ({expected}), got {len(inputs)}")
        checked = []
        for index, (array, wanted) in enumerate(zip(inputs, self.inputs, strict=True)):
            if array.shape != wanted.shape or not _compatible(array.dtype, wanted):
                got = "x".join([*map(str, array.shape), array.dtype.name])
                raise QuantuneError(f"input {index} of {label} must be {wanted}, got {got}")
            checked.append(np.ascontiguousarray(array).view(wanted.dtype).reshape(wanted.shape))
        return checked


def parse(declaration: str) -> Signature:
    """Parses IREE's `iree.abi.declaration`, as in `sync func @main(%input0: tensor<4xf32>) -> (…)`.

    Raises QuantuneError on dynamic shapes and on arguments that are not tensors of a numpy type.
    """
    arguments, _, results = declaration.partition("->")
    return Signature(_tensors(arguments, declaration), _tensors(results, declaration))


def _tensors(text: str, declaration: str) -> tuple[TensorType, ...]:
    found = []
    for dimensions, element in re.findall(r"tensor<((?:[0-9?]+x)*)([a-z]+[0-9]+)>", text):
        if "?" in dimensions or element not in DTYPES:
            raise QuantuneError(f"only static tensors of numpy types can be run, not: {declaration}")
        found.append(TensorType(tuple(int(d) for d in dimensions.split("x") if d), element))
    if len(found) != text.count(": "):
        raise QuantuneError(f"only functions of tensors can be run, not: {declaration}")
    return tuple(found)


def _compatible(dtype: np.dtype, wanted: TensorType) -> bool:
    signless = wanted.element.startswith("i") and wanted.element != "i1"
    return dtype == wanted.dtype or (
        signless and dtype.kind == "u" and dtype.itemsize == wanted.dtype.itemsize
    )
