"""`quantune`: the commands, and what becomes of their errors."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from typer.main import get_command

from quantune.cli import (
    analyze,
    bench,
    calibrate_target,
    compile,
    doctor,
    eval,
    plan,
    report,
    train_bits,
    tune,
    zoo,
)
from quantune.errors import QuantuneError

INTERRUPTED = 130
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a path on the command line can cause; other errors of the system are bugs.
_OF_PATHS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)

app = typer.Typer(
    name="quantune",
    help="Trained CNNs made small and fast on ordinary CPUs: mixed precision with MLIR and IREE.",
    epilog="Start with: quantune compile zoo:efficientnet_lite0 --calibration package:scikit-image -o out",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (compile, analyze, plan, tune, train_bits, eval, bench, report, calibrate_target, doctor, zoo)
for module in _COMMANDS:
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    app.command(name, epilog=module.EXAMPLES)(module.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from quantune import __version__

        print(f"quantune {__version__}", flush=True)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Runs one command line (without the program's name) and returns its exit code.

    0, or 1 after a user's mistake, a full disk or a lack of memory (one line each), 130 after Ctrl-C.
    Whatever else is raised is a bug.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without µ or – must not end a long job
    try:
        with _reported() as failure:
            command = get_command(app)
            with command.make_context("quantune", list(arguments) or ["--help"]) as context:
                command.invoke(context)
            sys.stdout.flush()
    except typer.Exit as found:
        return found.exit_code
    except KeyboardInterrupt:
        _say("interrupted; finished steps are kept, the same command goes on from there")
        return INTERRUPTED
    except BrokenPipeError:
        # `quantune … | head`: the reader has seen enough. Python would complain once more at exit.
        with contextlib.suppress(io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if failure:
        _say(f"error: {' '.join(failure[0].split())}")
        return 1
    return 0


@contextlib.contextmanager
def _reported() -> Iterator[list[str]]:
    """Collects the message of an error that needs no traceback."""
    said: list[str] = []
    try:
        yield said
    except QuantuneError as error:
        said.append(str(error))
    except typer.TyperException as error:
        said.append(f"{error.format_message().rstrip('.')}; see `{_command_path(error)} --help`")
    except MemoryError:
        said.append("out of memory; close other programs, or use a smaller model or --input-shape")
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f" while writing {error.filename}" if error.filename else ""
        if error.errno in _DISK_FULL:
            said.append(
                f"the disk is full{place}: {error.strerror}; free some space or choose another folder"
            )
        elif error.errno in _OF_PATHS:
            said.append(
                f"{error.filename or 'a file'}: {error.strerror}; check its permissions or name another"
            )
        else:
            raise


def _command_path(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "quantune"


def _say(message: str) -> None:
    with contextlib.suppress(OSError):
        print(f"quantune: {message}", file=sys.stderr, flush=True)


def main() -> int:
    """The console script."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
