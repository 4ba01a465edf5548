"""Installing the project builds its microkernels: C to bitcode, by CMake with the clang of PyPI's ziglang.

Everything else about the package is in pyproject.toml.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

ROOT = Path(__file__).parent.resolve()
PACKAGE = "quantune/passes/ukernels"


class BuildKernels(Command):
    """Writes the bitcode into the package that is being built, or into the checkout if it is editable."""

    # What setuptools asks of every part of `build`.
    build_lib: str | None
    editable_mode: bool
    user_options = []  # noqa: RUF012 (the base class's form)

    def initialize_options(self) -> None:
        self.build_lib = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        assert self.build_lib is not None
        package = ROOT / "python" if self.editable_mode else Path(self.build_lib).resolve()
        # A build folder would remember pip's cmake and ziglang, which are gone after the installation.
        with tempfile.TemporaryDirectory(prefix="quantune-kernels-") as folder:
            configure = [
                *("cmake", "-S", str(ROOT), "-B", folder, "-G", "Ninja"),
                f"-DQUANTUNE_PYTHON={sys.executable}",
                f"-DQUANTUNE_BITCODE={package / PACKAGE / 'bitcode'}",
            ]
            for command in (configure, ["cmake", "--build", folder]):
                subprocess.run(command, check=True)

    def get_source_files(self) -> list[str]:
        folder = Path("python") / PACKAGE
        sources = [
            path for pattern in ("*.h", "*/*.h", "*/*.c", "CMakeLists.txt") for path in folder.glob(pattern)
        ]
        return ["CMakeLists.txt", *map(str, sorted(sources))]

    def get_outputs(self) -> list[str]:
        return (
            []
            if self.editable_mode
            else sorted(map(str, Path(str(self.build_lib), PACKAGE).glob("bitcode/*/*.bc")))
        )

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    """`build` with the kernels, a part of its own: setuptools only warns when a changed build_py fails."""

    sub_commands = [*build.sub_commands, ("build_kernels", None)]  # noqa: RUF012


setup(cmdclass={"build": Build, "build_kernels": BuildKernels})
