"""The ONNX files of a job, made once: `cache/onnx/fp32.onnx` and `int8.onnx`."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import numpy as np

from quantune.backend.runner import HostRunner
from quantune.errors import QuantuneError
from quantune.ingress.torch_module import load_torch
from quantune.job import Job
from quantune.job.cache import file_digest
from quantune.job.folder import JobOptions
from quantune.peers import onnxruntime
from quantune.peers.export import export_onnx, quantize_onnx
from quantune.progress import stage

VARIANTS = ("fp32", "int8")
PACKAGES = ("torch", "onnx", "onnxruntime")
SAME = 1e-2
"""Largest difference, relative to the largest value, between two float runs of one network."""


def onnx_files(job: Job, options: JobOptions) -> dict[str, Path]:
    """Variant → file, exported and quantized anew when the network or its calibration set changed.

    Raises QuantuneError where that cannot be done, UnsupportedError where torch cannot export the network.
    """
    folder = job.folder / "cache" / "onnx"
    paths = {variant: folder / f"{variant}.onnx" for variant in VARIANTS}
    keys = {"fp32": _key(job.imported.graph.fingerprint)}
    keys["int8"] = _key(keys["fp32"], job.calibration.fingerprint)
    stale = [variant for variant in VARIANTS if not job.cache.fresh(paths[variant], keys[variant])]
    for variant in stale:
        with stage(job.progress, f"making {variant}.onnx for peers"):
            if variant == "fp32":
                _export(job, options, paths["fp32"])
            else:
                quantize_onnx(paths["fp32"], paths["int8"], job.calibration)
        job.cache.record(paths[variant], keys[variant])
    return paths


def _export(job: Job, options: JobOptions, path: Path) -> None:
    if options.model.endswith((".mlir", ".mlirbc")):
        raise QuantuneError(
            f"--peers needs the PyTorch network, which {options.model} does not hold: bench zoo:NAME, "
            "file.py:factory or file.pt2, or leave --peers out"
        )
    weights = Path(options.weights) if options.weights else None
    export_onnx(load_torch(options.model, weights, options.input_shape), path)
    image = job.example()
    ours = HostRunner(job.variant_path("fp32")).run([image])[0]
    theirs = onnxruntime.run(path, image)
    if theirs.shape != ours.shape or np.abs(theirs - ours).max() > SAME * np.abs(ours).max():
        path.unlink()
        raise QuantuneError(
            f"{options.model} is not the network any more that {job.folder} was compiled from; "
            "compile it again, then bench"
        )


def _key(*parts: str) -> str:
    """A hash of what a file depends on: the network, the packages, and how we export."""
    versions = [importlib.metadata.version(package) for package in PACKAGES]
    here = file_digest(Path(__file__).with_name("export.py"))
    return hashlib.sha256(repr((here, versions, parts)).encode()).hexdigest()[:24]
