"""The passes' lit suite: `lit -v test/passes` from the source checkout; needs nothing but pip packages."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import lit.formats

ROOT = Path(__file__).resolve().parent.parent
INSTALL = "install the development tools: `make venv`, or `pip install -e '.[dev]'`"


def find_tool(name: str) -> str:
    """The tool beside this Python, else on PATH; stops the suite with the way to install it."""
    beside = Path(sys.executable).parent / name
    tool = str(beside) if beside.exists() else shutil.which(name)
    if tool is None:
        lit_config.fatal(f"{name} not found; {INSTALL}")
    return tool


def require_module(name: str) -> None:
    import importlib.util

    if importlib.util.find_spec(name) is None:
        lit_config.fatal(f"Python package {name} is missing in {sys.executable}; {INSTALL}")


def runs_here(target: str) -> bool:
    """Any processor compiles for any other; what a test also runs needs the instructions."""
    sys.path.insert(0, str(ROOT / "python"))
    from quantune import targets

    return targets.get(target).runs_here


def as_command(word: str) -> str:
    """Matches `word` where it stands as a command, not inside a path or a longer name."""
    return rf"(?<![\w./-]){word}(?![\w./-])"


config.name = "quantune-passes"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_source_root = str(ROOT / "test")
config.test_exec_root = str(ROOT / "build" / "lit")

require_module("iree.compiler")

# Run this checkout's sources, never another installed copy.
python_path = [str(ROOT / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
config.environment["PYTHONPATH"] = os.pathsep.join(python_path)
config.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

if runs_here("x86-64-avx2"):
    config.available_features.add("avx2")

quantune_opt = '-c "import sys; from quantune.cli.opt import main; sys.exit(main())"'
config.substitutions += [
    (as_command("quantune-opt"), f"{shlex.quote(sys.executable)} {quantune_opt}"),
    (as_command("filecheck"), shlex.quote(find_tool("filecheck"))),
    (as_command("iree-compile"), shlex.quote(find_tool("iree-compile"))),
]
