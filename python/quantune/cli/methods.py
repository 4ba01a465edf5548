"""Options that say how values are quantized, which several commands share; nothing heavy is imported."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from quantune.cli.options import one_of, switched_on
from quantune.errors import QuantuneError
from quantune.plan.settings import Settings, choices

Observer = Annotated[
    str | None,
    typer.Option(
        "--observer",
        metavar="NAME",
        help="how ranges are chosen: mse (default), min-max, percentile or entropy",
        show_default=False,
    ),
]
Granularity = Annotated[
    str | None,
    typer.Option(
        "--granularity",
        metavar="NAME",
        help="of weight scales: channel (default) or tensor",
        show_default=False,
    ),
]
Scheme = Annotated[
    str | None,
    typer.Option(
        "--scheme",
        metavar="NAME",
        help="of activations: asymmetric (default), symmetric, symmetric-unsigned or power-of-two",
        show_default=False,
    ),
]
Equalize = Annotated[
    str | None,
    typer.Option(
        "--equalize",
        metavar="on|off",
        help="even out the channels' ranges across layers before calibration (default off)",
        show_default=False,
    ),
]
BiasCorrection = Annotated[
    str | None,
    typer.Option(
        "--bias-correction",
        metavar="on|off",
        help="let biases take over the mean error of every layer (default on)",
        show_default=False,
    ),
]
Rounding = Annotated[
    str | None,
    typer.Option(
        "--rounding",
        metavar="NAME",
        help="of weights: nearest (default), or learned from calibration images, seconds a layer",
        show_default=False,
    ),
]


def given(
    observer: str | None,
    granularity: str | None,
    scheme: str | None,
    equalize: str | None,
    bias_correction: str | None,
    rounding: str | None,
) -> dict[str, str | None]:
    """All options by their settings' names, as `settings` and `refuse` take them."""
    return {
        "observer": observer,
        "granularity": granularity,
        "scheme": scheme,
        "equalize": equalize,
        "bias_correction": bias_correction,
        "rounding": rounding,
    }


def settings(**given: str | None) -> Settings:
    """What the options say, None being one that was not given; raises QuantuneError with near matches."""
    known, found = choices(), dict[str, Any]()
    for name, value in given.items():
        if value is None:
            continue
        if set(known[name]) == {False, True}:
            found[name] = switched_on(value, _option(name))
        else:
            found[name] = one_of(value, known[name], name)
    return Settings(**found)


def refuse(because: str, **given: str | None) -> None:
    """Raises QuantuneError for a setting that was given although nothing would look at it."""
    for name, value in given.items():
        if value is not None:
            raise QuantuneError(f"{_option(name)} would change nothing: {because}; leave it out")


def words(chosen: Settings) -> dict[str, str]:
    """Option → its text, of what is not the default: the command line again."""
    texts = {True: "on", False: "off"}
    return {
        _option(name): texts.get(getattr(chosen, name), str(getattr(chosen, name)))
        for name, values in choices().items()
        if getattr(chosen, name) != values[0]
    }


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
