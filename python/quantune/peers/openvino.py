"""OpenVINO, as fast as its settings make it, on the instruction set that our modules were compiled for."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.backend.contender import Ready
from quantune.errors import QuantuneError
from quantune.targets import Target

VARIABLE = "ONEDNN_MAX_CPU_ISA"
"""oneDNN, of which OpenVINO's kernels are made, reads it once, before it generates the first kernel."""
SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    # On CPUs with bf16 instructions the default would be to compute in bf16: no fp32 result.
    "INFERENCE_PRECISION_HINT": "f32",
    # As our own threads are: without it two threads are up to 1.8 times as slow.
    "ENABLE_CPU_PINNING": "YES",
}


def load(path: Path, image: NDArray[np.float32], threads: int, target: Target) -> Ready:
    """A compiled model with one request that is used again and again, on an input that stays where it is."""
    limit = restrict(target)
    openvino, core = _core()
    try:
        compiled = core.compile_model(path, "CPU", SETTINGS | {"INFERENCE_NUM_THREADS": threads})
    except RuntimeError as error:
        raise QuantuneError(f"OpenVINO cannot load {path}: {str(error).splitlines()[-1][:200]}") from error
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(image, shared_memory=True))
    restriction = {"instruction_set": limit} if limit else {}

    def infer() -> None:
        request.start_async()
        request.wait()

    return Ready(infer, SETTINGS | restriction)


def read(path: Path) -> Any:
    """An ONNX file as OpenVINO's model; raises QuantuneError when it cannot read it."""
    _, core = _core()
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise QuantuneError(f"OpenVINO cannot load {path}: {str(error).splitlines()[-1][:200]}") from error


def logits(model: Any, images: NDArray[np.float32], batch: int = 100) -> NDArray[np.float32]:
    """What a model that takes any batch makes of images [N, C, H, W]: f32 [N, classes]."""
    _, core = _core()
    compiled = core.compile_model(model, "CPU", SETTINGS)
    starts = range(0, len(images), batch)
    return np.concatenate([np.array(compiled(images[start : start + batch])[0]) for start in starts])


def instruction_set(target: Target) -> str:
    """The limit to set for a fair comparison with modules of `target`; "" for none.

    What the user set in the environment wins.
    """
    if target.name == "host" or _from_user():
        return _from_user()
    return "AVX512_CORE_VNNI" if target.avx512_vnni else "AVX2" if target.avx2 else ""


def restrict(target: Target) -> str:
    """Limits OpenVINO in this process to `instruction_set(target)`, which is returned.

    Raises QuantuneError when it already runs with another limit.
    """
    wanted = instruction_set(target)
    current = os.environ.get(VARIABLE, "")
    if wanted != current and "openvino" in sys.modules:
        raise QuantuneError(
            f"OpenVINO is already limited to {current or 'nothing'} in this process, {target.name} needs "
            f"{wanted or 'no limit'}: run one `quantune bench` for each target"
        )
    if wanted:
        os.environ[VARIABLE] = wanted
    return wanted


@functools.cache
def _from_user() -> str:
    """As it was before we touched it, which is when this is first asked for."""
    return os.environ.get(VARIABLE, "")


@functools.cache
def _core() -> tuple[Any, Any]:
    import openvino

    return openvino, openvino.Core()
