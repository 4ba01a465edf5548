"""The main job on a real network with real pictures, as a user would type it; `make demo` runs this.

EfficientNet-Lite0 with its published ImageNet weights, calibrated on scikit-image's photos, checked on the
labelled photos of foolbox. Everything lands in build/demo; finished steps are not repeated.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from rich.console import Console

from quantune.cli.main import run
from quantune.cli.output import Output
from quantune.job import metrics
from quantune.report.console import summary_table

MODEL = "zoo:efficientnet_lite0"
FOLDER = Path("build/demo")
COMMANDS = (
    f"compile {MODEL} --calibration package:scikit-image --images 16 --compare -o {FOLDER}",
    f"eval {FOLDER} --data package:foolbox",
    f"bench {FOLDER} --dispatches",
    f"report {FOLDER}",
)


def main() -> int:
    """Runs the commands one after the other; stops at the first that fails, with its exit code."""
    console = Console()
    for command in COMMANDS:
        console.print(f"[bold]$ quantune {command}")
        if code := run(shlex.split(command)):
            return code
    Output(False).show(summary_table(metrics.load(FOLDER)))
    console.print(f"Written: {FOLDER}/report.html, metrics.json, plan.json, model.quantized.mlir, model.vmfb")
    return 0


if __name__ == "__main__":
    sys.exit(main())
