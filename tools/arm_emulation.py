"""Sets up what the tests need to run 64-bit Arm modules on an x86-64 machine, without root.

Fetches IREE's runtime for Arm from PyPI, and whatever of qemu and the Arm C libraries is not installed
from the mirror that apt is configured for, into build/arm. What is there already is left alone.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from quantune.backend import emulation

RUNTIME = "iree-base-runtime==3.13.0"
LIBRARY_PACKAGES = ("libc6-arm64-cross", "libgcc-s1-arm64-cross", "libstdc++6-arm64-cross")


def fetch_runtime(target: Path) -> None:
    """Unpacks the aarch64 wheel; its tools are plain programs, whatever Python version its name carries."""
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        platform = ["--only-binary=:all:", "--platform", "manylinux_2_28_aarch64", "--python-version", "3.11"]
        _call([*download, *platform, "--dest", name, RUNTIME])
        unpacked = Path(name) / "runtime"
        with zipfile.ZipFile(next(Path(name).glob("*.whl"))) as wheel:
            wheel.extractall(unpacked)
        (unpacked / "iree" / "_runtime_libs" / "iree-run-module").chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)


def fetch_packages(packages: Sequence[str], root: Path) -> None:
    """Unpacks Debian packages below `root` without installing them."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise RuntimeError(f"this is not Debian; install the equivalents of {', '.join(packages)} yourself")
    with tempfile.TemporaryDirectory(dir=root.parent) as name:
        _call(["apt-get", "download", *packages], cwd=name)
        for package in Path(name).glob("*.deb"):
            _call(["dpkg", "-x", str(package), str(root)])


def _call(command: Sequence[str], cwd: str | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise RuntimeError(f"{' '.join(command[:4])} …: {lines[-1][:200] if lines else done.returncode}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--require", action="store_true", help="exit with 1 if the set-up is not complete")
    required: bool = parser.parse_args().require
    folder = emulation.folder()
    folder.mkdir(parents=True, exist_ok=True)
    steps: list[tuple[Callable[[], Path | None], Callable[[], None]]] = [
        (emulation.emulator, lambda: fetch_packages(["qemu-user-static"], folder / "root")),
        (emulation.sysroot, lambda: fetch_packages(LIBRARY_PACKAGES, folder / "root")),
        (emulation.runtime, lambda: fetch_runtime(folder / "runtime")),
    ]
    try:
        for found, fetch in steps:
            if found() is None:
                fetch()
    except (RuntimeError, OSError) as error:
        print(f"Arm emulation is not set up: {error}")
        return 1 if required else 0
    reason = emulation.available()
    print(f"Arm emulation is not set up: {reason}" if reason else "Arm emulation is ready")
    return 1 if reason and required else 0


if __name__ == "__main__":
    sys.exit(main())
