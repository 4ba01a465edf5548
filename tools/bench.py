"""The zoo against other engines; `make bench` runs this, and docs/results/ is what comes out.

Every model and count of threads is one run of `quantune bench`, in a process of its own: all engines loaded
side by side, timed in turns. A run is kept in build/bench/ and not repeated until the code, a package or the
machine changes; so an interrupted `make bench` goes on where it stopped. First everything for this machine,
then with our modules and OpenVINO limited to AVX2, which is what CPUs without dot-product instructions have.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench_results
from accuracy_mixed import DROP_DB
from command import finish, for_each
from quantune import peers, targets
from quantune.backend.benchmark import cpu_info, versions
from quantune.data.packages import find_package_folder
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.job.cache import file_digest, key_of
from quantune.peers import openvino

RUNS = Path("build/bench")
MODELS = (
    *("resnet18", "resnet50", "vgg16", "squeezenet"),
    *("mobilenet_v2", "shufflenet_v2", "efficientnet_lite0"),
)
TRAINED = {"efficientnet_lite0"}
PEERS = "openvino,onnxruntime"
NARROW = (7, 6)
"""Uniform weight bits worth a row where a target has them: the widths at which 16-bit lanes gain speed."""


def command(model: str, target: str, threads: str, rounds: int) -> list[str]:
    """What measures one model; trained weights are calibrated on photos where there are some."""
    photos = model in TRAINED and find_package_folder("skimage") is not None
    narrow = [f"w{bits}" for bits in NARROW if bits in targets.get(target).weight_bits_menu]
    variants = ["fp32", "int8", *narrow, "v2"]
    return [
        *("bench", f"zoo:{model}", "--target", target, "--variants", ",".join(variants)),
        *("--calibration", "package:scikit-image" if photos else "random:4"),
        *("--max-drop-sqnr", f"{DROP_DB:g}"),
        *("--peers", PEERS, "--iree", "best", "--threads", threads, "--rounds", str(rounds)),
    ]


def targets_here() -> list[str]:
    """host, and x86-64-avx2 where that is less than what the host has."""
    small, host = targets.get("x86-64-avx2"), targets.get("host")
    return ["host", *([small.name] if small.runs_here and host.avx512_vnni else [])]


def measure(model: str, target: str, threads: str, rounds: int, again: bool) -> dict[str, Any]:
    """The run's result, from its file if nothing has changed since; raises QuantuneError if it fails."""
    words = command(model, target, threads, rounds)
    path = RUNS / target / f"{model}-{threads}.json"
    engines = [file_digest(source) for source in sorted(Path(peers.__file__).parent.glob("*.py"))]
    key = key_of("bench", words, cpu_info(), versions(), engines, os.environ.get(openvino.VARIABLE))
    if path.exists() and not again:
        found: dict[str, Any] = read_json(path)
        if found.get("key") == key:
            return found
    done = subprocess.run(
        [sys.executable, "-m", "quantune.cli.main", *words, "--json"], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise QuantuneError(
            f"{_title((target, model, threads))}, was not measured: quantune {' '.join(words)}"
        )
    measured = json.loads(done.stdout)
    kept = {name: measured[name] for name in ("cpu", "versions", "rows", "verdicts")}
    found = {"key": key, "model": model, "target": target, "command": ["quantune", *words], **kept}
    write_json(path, found)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo (default: {' '.join(MODELS)})")
    parser.add_argument("--targets", default=",".join(targets_here()), help="default: %(default)s")
    parser.add_argument("--threads", default="1,2", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="measure even what was measured before")
    parser.add_argument(
        "-o", "--output", type=Path, default=bench_results.FOLDER, help="default: %(default)s"
    )
    asked = parser.parse_args(arguments)
    found: list[dict[str, Any]] = []

    def one(wanted: tuple[str, str, str]) -> None:
        target, model, threads = wanted
        found.append(measure(model, target, threads, asked.rounds, asked.again))

    wanted = [
        (target, model, threads)
        for target in asked.targets.split(",")
        for model in asked.models or MODELS
        for threads in asked.threads.split(",")
    ]
    failed = for_each(wanted, one, _title)
    if found:
        for path in bench_results.write(bench_results.beside(found, asked.output), asked.output):
            print(f"Written: {path}")
    return failed


def _title(wanted: tuple[str, str, str]) -> str:
    target, model, threads = wanted
    return f"{model} for {target}, {threads} thread{'s' * (threads != '1')}"


if __name__ == "__main__":
    finish(main)
