"""An imported model: what every later step starts from."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantune.data.preprocessing import Preprocessing
from quantune.graph.model import Graph


def safe_name(name: str) -> str:
    """The name with everything replaced that file names should not have."""
    return re.sub(r"[^\w@.+-]+", "_", name)


@dataclass(frozen=True)
class Model:
    """One imported model. The weights are in memory once, in `graph`; the two modules are files.

    VGG16's module is 550 MB: kept as bytes, the original alone would lie in memory through calibration and
    compilation, although `iree-compile` reads it from a file anyway.

    Attributes:
        name: short and safe in file names: "resnet18@32", "model".
        spec: what the user typed.
        original_path: MLIR bytecode as imported, in the model's own layout, batch norms not folded (the
            baseline that plain IREE is measured on).
        reference_path: MLIR bytecode after the float passes, with locations and layer names.
        graph: the layers of the reference.
        input_shape: (1, C, H, W), the function's one input.
        preprocessing: how pictures become inputs; None when pictures cannot have that many channels.
        classes: length of the logits, or None when the first output is no [1, classes].
        trained: False when the weights are known to be random.
        reports: what the float passes reported, by pass.
        storage: the temporary folder of the two files, deleted with the model; None where a caller chose.
    """

    name: str
    spec: str
    original_path: Path
    reference_path: Path
    graph: Graph
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing | None
    classes: int | None
    trained: bool
    reports: dict[str, Any]
    storage: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False, compare=False)

    @property
    def original(self) -> bytes:
        """The bytecode of `original_path`, read anew each time."""
        return self.original_path.read_bytes()

    @property
    def reference(self) -> bytes:
        """The bytecode of `reference_path`, read anew each time."""
        return self.reference_path.read_bytes()
