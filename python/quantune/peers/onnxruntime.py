"""ONNX Runtime, as fast as its settings make it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.backend.contender import Ready
from quantune.errors import QuantuneError
from quantune.peers.export import INPUT, OUTPUT
from quantune.targets import Target

ERRORS_ONLY = 3
UNRESTRICTED = "unrestricted"


def load(path: Path, image: NDArray[np.float32], threads: int, target: Target) -> Ready:
    """A session with every graph optimization, input and output bound to arrays that stay."""
    session = open_session(path, threads)
    binding = session.io_binding()
    binding.bind_cpu_input(INPUT, image)
    binding.bind_output(OUTPUT, "cpu")
    settings = {"graph_optimization_level": "all", "execution_mode": "sequential", "io_binding": "yes"}
    if target.name != "host":
        settings["instruction_set"] = UNRESTRICTED  # there is no way to tell it
    return Ready(lambda: session.run_with_iobinding(binding), settings)


def run(path: Path, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The network's output for one image."""
    return np.asarray(open_session(path, 1).run([OUTPUT], {INPUT: image})[0])


def logits(path: Path, images: NDArray[np.float32], batch: int = 100) -> NDArray[np.float32]:
    """What a model that takes any batch makes of images [N, C, H, W]: f32 [N, classes]."""
    session = open_session(path, 1)
    starts = range(0, len(images), batch)
    return np.concatenate(
        [np.asarray(session.run([OUTPUT], {INPUT: images[start : start + batch]})[0]) for start in starts]
    )


def open_session(path: Path, threads: int) -> Any:
    """Raises QuantuneError when ONNX Runtime does not take the file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise QuantuneError(f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0][:200]}") from error
