"""Arguments and options that several commands share, and their checks; nothing heavy is imported."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.costs.find import CostSource

IMAGES = 64
"""Calibration images unless --images says otherwise: more rarely change a range, and time grows with them."""

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="zoo:NAME, file.py:factory, file.pt2 or file.mlir", show_default=False
    ),
]
Calibration = Annotated[
    str,
    typer.Option(
        "--calibration",
        metavar="DATA",
        show_default=False,
        help="a folder of images, an .npz, fashion-mnist, package:NAME or random:N",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="safetensors or a state dict, for zoo:NAME and file.py:factory"
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="NAME",
        help="host, x86-64-avx2, cortex-a53, cortex-a72, cortex-a55 or neoverse-n2",
    ),
]
Images = Annotated[
    int | None,
    typer.Option(
        "--images",
        metavar="N",
        help=f"calibrate on so many, spread over the data (default {IMAGES}, or all where there are fewer)",
        show_default=False,
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option("--input-shape", metavar="C,H,W", help="where the model does not say, or another size"),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help="v2 (default), milp (exact, default with a budget), uniform-int8, uniform-w7, -w6, -w4 or fp32",
        show_default=False,
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop-sqnr",
        metavar="DB",
        help="v2, milp: how far the predicted SQNR may fall below uniform int8's (default 1)",
        show_default=False,
    ),
]
Menu = Annotated[
    str | None,
    typer.Option(
        "--menu",
        metavar="BITS",
        help="v2, milp: weight bits to choose from, such as 8,6,4 (default: the target's own)",
    ),
]
Kernels = Annotated[
    str,
    typer.Option(
        "--kernels", metavar="on|off", help="Quantune's microkernels, or IREE's generated code for everything"
    ),
]
Costs = Annotated[
    str,
    typer.Option(
        "--costs",
        metavar="SOURCE",
        help="v2, milp: how layers are priced: measured (what the cache lacks is timed, a minute at most), "
        "cached (what is there, the rest modelled) or modelled",
    ),
]
Variants = Annotated[
    str | None,
    typer.Option(
        "--variants",
        metavar="LIST",
        help="which to build, of fp32, int8, w7, w6, w4 (uniform weight bits) and v2, such as fp32,w6,v2",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document on standard output")]


def one_of(value: str, choices: Iterable[str], what: str) -> str:
    """`value` itself; raises QuantuneError with near matches unless it is among `choices`."""
    known = list(choices)
    if value in known:
        return value
    near = difflib.get_close_matches(value.lower().replace("_", "-"), known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
    raise QuantuneError(f"unknown {what} {value!r}; {hint}")


def checked_target(name: str) -> str:
    from quantune import targets

    return one_of(name, targets.names(), "target")


def checked_costs(name: str) -> CostSource:
    from quantune.costs.find import COST_SOURCES

    one_of(name, COST_SOURCES, "source of costs")
    return next(source for source in COST_SOURCES if source == name)


def checked_strategy(name: str) -> str:
    from quantune.plan.strategies import STRATEGIES

    return one_of(name, STRATEGIES, "strategy")


def parse_shape(text: str | None) -> tuple[int, int, int] | None:
    """'3,224,224' or '3x224x224' → (3, 224, 224)."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)[,x]([1-9]\d*)[,x]([1-9]\d*)", text.replace(" ", ""))
    if match is None:
        raise QuantuneError(f"--input-shape is C,H,W, three positive numbers such as 3,224,224, not {text!r}")
    return int(match[1]), int(match[2]), int(match[3])


def parse_menu(text: str | None) -> tuple[int, ...] | None:
    """'8,6,4' → (8, 6, 4), widest first; None means the target's own."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[2-8]", part) for part in parts):
        raise QuantuneError(f"--menu is a list of weight bits from 2 to 8, such as 8,6,4, not {text!r}")
    return tuple(sorted({int(part) for part in parts}, reverse=True))


def parse_variants(text: str | None) -> tuple[str, ...] | None:
    """'fp32,w6,v2' → ("fp32", "w6", "v2"); None means what the command builds anyway."""
    from quantune.cli.jobs import VARIANTS

    if text is None:
        return None
    return tuple(dict.fromkeys(one_of(part.strip(), VARIANTS, "variant") for part in text.split(",")))


def parse_threads(text: str) -> tuple[int, ...]:
    """'1,2' → (1, 2)."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,3}", part) for part in parts):
        raise QuantuneError(f"--threads is a number of at least 1, or a list such as 1,2, not {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_iree(text: str) -> tuple[str, ...]:
    """'default,best' → both; 'none' → ()."""
    if text == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(one_of(part, ("default", "best"), "flags of --iree") for part in parts))


def parse_peers(text: str | None) -> tuple[str, ...]:
    """'openvino,onnxruntime' → both, once it is clear that they are installed; None means none."""
    from quantune.peers import PEERS, check_installed

    if text is None:
        return ()
    peers = tuple(dict.fromkeys(one_of(part.strip(), PEERS, "peer") for part in text.split(",")))
    check_installed(peers)
    return peers


def switched_on(value: str, option: str) -> bool:
    """on → True, off → False."""
    return one_of(value, ("on", "off"), f"value of {option}") == "on"


def calibration_images(asked: int | None) -> int:
    """How many at most; raises QuantuneError unless that is a number of pictures."""
    return at_least_one(IMAGES if asked is None else asked, "--images")


def at_least_one(value: int, option: str) -> int:
    if value < 1:
        raise QuantuneError(f"{option} must be at least 1, not {value}")
    return value


def only_for_informed(strategy: str, max_drop: float | None, menu: str | None) -> None:
    """Raises QuantuneError for settings that the strategy would not look at, or that make no sense."""
    from quantune.plan.strategies import INFORMED

    for option, value in (("--max-drop-sqnr", max_drop), ("--menu", menu)):
        if value is not None and strategy not in INFORMED:
            raise QuantuneError(
                f"{option} is a setting of strategies {' and '.join(INFORMED)}; leave it out with {strategy}"
            )
    if max_drop is not None and not 0 <= max_drop < float("inf"):
        raise QuantuneError(f"--max-drop-sqnr must be 0 dB or more, not {max_drop:g}")
