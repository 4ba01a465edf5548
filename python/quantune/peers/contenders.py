"""Peers as contenders of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantune.backend.contender import Contender, Ready
from quantune.job import Job
from quantune.job.folder import JobOptions
from quantune.peers import onnxruntime, openvino
from quantune.peers.models import onnx_files
from quantune.targets import Target

Load = Callable[[Path, NDArray[np.float32], int, Target], Ready]
LOADERS: dict[str, Load] = {"openvino": openvino.load, "onnxruntime": onnxruntime.load}


@dataclass(frozen=True)
class PeerModel:
    """An ONNX file in one of the peers."""

    model: str
    system: str
    variant: str
    path: Path
    image: NDArray[np.float32]
    target: Target

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size

    def load(self, threads: int) -> Ready:
        return LOADERS[self.system](self.path, self.image, threads, self.target)


def contenders(job: Job, options: JobOptions, peers: Sequence[str]) -> list[Contender]:
    """fp32 and int8 of every peer, from the same two files; raises QuantuneError like `onnx_files`."""
    if not peers:
        return []
    if "openvino" in peers:
        openvino.restrict(job.target)
    found, image = onnx_files(job, options), job.example()
    return [
        PeerModel(job.model.name, peer, variant, path, image, job.target)
        for peer in peers
        for variant, path in found.items()
    ]
