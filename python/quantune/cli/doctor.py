"""`quantune doctor`: what is installed, what this machine can do, what is missing and how to get it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from quantune.cli.options import Json
from quantune.cli.output import Output
from quantune.errors import QuantuneError
from quantune.peers import PEERS
from quantune.search.packages import DISTRIBUTIONS as SEARCH

EXAMPLES = "Example: quantune doctor --json"

REQUIRED = (
    *("iree-base-compiler", "iree-base-runtime", "torch-mlir", "torch", "numpy", "scipy", "pillow"),
    *("safetensors", "typer", "rich", "jinja2"),
)
INSTALL = "run `make venv`, or `pip install .` in the checkout"
GIGABYTE = 1e9
ENOUGH_DISK, ENOUGH_MEMORY = 2 * GIGABYTE, 4 * GIGABYTE

Status = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class Check:
    """One thing. status: "missing" is required, "optional" is absent but only some commands want it."""

    name: str
    status: Status
    found: str
    how: str = ""


def command(as_json: Json = False) -> None:
    """Say what is installed, what the CPU can do, what is missing and how to get it.

    The exit code is 0 unless something required is missing.
    """
    from quantune import __version__
    from quantune.targets import cpu

    output = Output(as_json)
    checks = [_python(), *_packages(), _compiler(), *_extras(), _arm(), _fashion_mnist(), _disk(), _memory()]
    here, targets = cpu.here(), _targets()
    output.show(
        f"Quantune {__version__} on {here.name}, {here.cores} cores",
        f"CPU features: {' '.join(here.features) or 'none'}",
    )
    output.show(_target_table(targets), _check_table(checks))
    missing = [check.name for check in checks if check.status == "missing"]
    output.show(f"Missing: {', '.join(missing)}" if missing else "Everything required is there.")
    output.result(
        {
            "version": __version__,
            "cpu": asdict(here),
            "targets": targets,
            "checks": [asdict(check) for check in checks],
            "missing": missing,
        }
    )
    if missing:
        raise typer.Exit(1)


def _python() -> Check:
    found = platform.python_version()
    fits = sys.version_info[:2] == (3, 11)
    return Check(
        "Python",
        "ok" if fits else "missing",
        found,
        "" if fits else "the pinned tool chain needs Python 3.11",
    )


def _packages() -> list[Check]:
    pins = _pins()
    checks = []
    for name in REQUIRED:
        found, pin = _version(name), pins.get(name)
        if found is None:
            checks.append(Check(name, "missing", "not installed", INSTALL))
        elif pin is not None and found.partition("+")[0] != pin:
            checks.append(
                Check(name, "optional", f"{found}, tested with {pin}", f"pip install {name}=={pin}")
            )
        else:
            checks.append(Check(name, "ok", found))
    return checks


def _pins() -> dict[str, str]:
    """Package → version that the installed project asks for; empty when it runs from a checkout."""
    try:
        wanted = importlib.metadata.requires("quantune") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {match[1]: match[2] for line in wanted if (match := re.match(r"([\w.-]+)==([\w.]+)", line))}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compiler() -> Check:
    try:
        from quantune.backend.compiler import iree_compile

        return Check("iree-compile", "ok", str(iree_compile()))
    except QuantuneError as error:
        return Check("iree-compile", "missing", "not found", str(error))


def _extras() -> list[Check]:
    from quantune.data.packages import find_package_folder
    from quantune.zoo.weights import LITE0_PACKAGE, checkpoint

    wanted = [
        ("EfficientNet-Lite0 weights", LITE0_PACKAGE, checkpoint("efficientnet_lite0") is not None),
        (
            "photos to calibrate on (package:scikit-image)",
            "scikit-image",
            find_package_folder("skimage") is not None,
        ),
        ("labelled photos (package:foolbox)", "foolbox", find_package_folder("foolbox") is not None),
    ]
    wanted += [
        (f"{title} (bench --peers)", name, _version(name) is not None) for name, title in PEERS.items()
    ]
    wanted += [("searches (tune)", name, _version(name) is not None) for name in SEARCH]
    return [
        Check(title, "ok", f"{package} {_version(package) or ''}".strip())
        if there
        else Check(title, "optional", "not installed", f"pip install {package}")
        for title, package, there in wanted
    ]


def _arm() -> Check:
    from quantune.backend import emulation

    reason = emulation.available()
    if reason is None:
        return Check("64-bit Arm emulation", "ok", str(emulation.emulator()))
    return Check("64-bit Arm emulation", "optional", "not set up", reason)


def _fashion_mnist() -> Check:
    from quantune.data.sources import load_dataset

    try:
        return Check("Fashion-MNIST", "ok", load_dataset("fashion-mnist", None, (1, 32, 32)).description)
    except QuantuneError as error:
        return Check("Fashion-MNIST", "optional", "not found", str(error))


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    how = "" if free >= ENOUGH_DISK else "large models need a few GB: free some space"
    return Check("free disk here", "optional" if how else "ok", f"{free / GIGABYTE:.1f} GB", how)


def _memory() -> Check:
    try:
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        match = None
    if match is None:
        return Check("free memory", "ok", "unknown")
    free = int(match[1]) * 1024
    how = (
        ""
        if free >= ENOUGH_MEMORY
        else "VGG16 at 224 needs about 8 GB: close other programs for large models"
    )
    return Check("free memory", "optional" if how else "ok", f"{free / GIGABYTE:.1f} GB", how)


def _targets() -> list[dict[str, Any]]:
    from quantune import targets
    from quantune.costs.store import open_store

    rows: list[dict[str, Any]] = []
    for name in targets.names():
        try:
            target = targets.get(name)
        except QuantuneError as error:  # the host is neither x86-64 nor 64-bit Arm
            row = {"name": name, "runs_here": False, "weight_bits": [], "measured_shapes": 0}
            rows.append(row | {"description": str(error)})
            continue
        bits = list(target.weight_bits_menu)
        rows.append(
            {
                "name": name,
                "runs_here": target.runs_here,
                "weight_bits": bits,
                "measured_shapes": len(open_store(target).costs) if target.runs_here else 0,
                "description": target.description,
            }
        )
    return rows


def _target_table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("target", "runs here", "weight bits", "prices", "what it is")
    for row in rows:
        bits = " ".join(map(str, row["weight_bits"]))
        shapes = row["measured_shapes"]
        prices = (
            f"{shapes} shapes measured" if shapes else "calibrate-target" if row["runs_here"] else "modelled"
        )
        table.add_row(row["name"], "yes" if row["runs_here"] else "no", bits, prices, row["description"])
    return table


def _check_table(checks: list[Check]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "missing": "red", "optional": "yellow"}
    table = Table("what", "status", "found", "how to get it")
    for check in checks:
        status = f"[{colours[check.status]}]{check.status}[/]"
        table.add_row(escape(check.name), status, escape(check.found), escape(check.how))
    return table
