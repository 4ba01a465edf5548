"""All passes by name, and pipelines as text: `fold-batch-norm,instrument{layers=conv1,fc twins=true}`."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from quantune.errors import QuantuneError
from quantune.passes.annotate_precision import AnnotatePrecision
from quantune.passes.base import Pass
from quantune.passes.cancel_qdq import CancelQdq
from quantune.passes.channels_last import ChannelsLast
from quantune.passes.convert_conv_to_matmul import ConvertConvToMatmul
from quantune.passes.fold_batch_norm import FoldBatchNorm
from quantune.passes.insert_qdq import InsertQdq
from quantune.passes.instrument import Instrument
from quantune.passes.join_groups import JoinGroups
from quantune.passes.lower_casts import LowerCasts
from quantune.passes.lower_to_integer import LowerToInteger
from quantune.passes.name_layers import NameLayers
from quantune.passes.propagate_qdq import PropagateQdq
from quantune.passes.prove_accumulators import ProveAccumulators
from quantune.passes.select_kernels import SelectKernels
from quantune.passes.space_to_depth import SpaceToDepth
from quantune.passes.strip_annotations import StripAnnotations

Readers = Mapping[type, Callable[[str], Any]]
"""How an option's text becomes a Plan or a KernelTarget: the caller looks it up, a pass opens no file."""


def all_passes() -> list[type[Pass]]:
    """Every pass, in the order of the pipeline."""
    return [
        JoinGroups,
        FoldBatchNorm,
        ChannelsLast,
        NameLayers,
        Instrument,
        AnnotatePrecision,
        InsertQdq,
        PropagateQdq,
        CancelQdq,
        ProveAccumulators,
        SelectKernels,
        SpaceToDepth,
        LowerToInteger,
        LowerCasts,
        ConvertConvToMatmul,
        StripAnnotations,
    ]


def parse_pipeline(text: str, readers: Readers) -> list[Pass]:
    """Passes of `name{option=value option=value},name,…`, optionally inside `builtin.module(…)`.

    Values end at a space or `}`; "…" and '…' quote. Raises QuantuneError: text that is not a pipeline (with
    the position), unknown passes and options (with near matches), values of the wrong type, missing options.
    """
    return [_build(name, options, readers) for name, options in _Parser(text).pipeline()]


def option_types(cls: type[Pass]) -> dict[str, type]:
    """Option name → its type: bool, int, str, Plan or KernelTarget."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _build(name: str, options: dict[str, str], readers: Readers) -> Pass:
    known = {cls.name: cls for cls in all_passes()}
    if name not in known:
        raise QuantuneError(f"there is no pass {name!r}{_near(name, known)} (all: quantune-opt --list)")
    cls = known[name]
    types = option_types(cls)
    if unknown := [option for option in options if option not in types]:
        raise QuantuneError(f"pass {name} has no option {unknown[0]!r}{_near(unknown[0], types)}")
    for field in dataclasses.fields(cls):
        if is_required(field) and field.name not in options:
            meaning = field.metadata.get("help", field.name)
            raise QuantuneError(
                f"pass {name} needs the option {field.name}: {name}{{{field.name}=<{meaning}>}}"
            )
    return cls(**{key: _value(name, key, types[key], text, readers) for key, text in options.items()})


def _near(word: str, names: Iterable[str]) -> str:
    names = list(names)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.4) or names
    return f"; near matches: {', '.join(near)}" if near else ", it takes none"


def _value(name: str, option: str, kind: type, text: str, readers: Readers) -> Any:
    if kind in readers:
        return readers[kind](text)
    if kind is bool:
        if text not in ("true", "false"):
            raise QuantuneError(f"pass {name}: option {option} must be true or false, not {text!r}")
        return text == "true"
    if kind is int:
        if not re.fullmatch(r"-?\d+", text):
            raise QuantuneError(f"pass {name}: option {option} must be a whole number, not {text!r}")
        return int(text)
    return text


class _Parser:
    """Recursive descent over the pipeline's text; every error says where."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def pipeline(self) -> list[tuple[str, dict[str, str]]]:
        wrapped = self.take(r"builtin\.module\s*\(") is not None
        found = [self.item()]
        while self.take(","):
            found.append(self.item())
        if wrapped:
            self.expect(r"\)", "',' or ')'")
        if self.at < len(self.text):
            raise self.error("',' or the end")
        return found

    def item(self) -> tuple[str, dict[str, str]]:
        name = self.expect(r"[A-Za-z][\w.-]*", "the name of a pass")
        options: dict[str, str] = {}
        if self.take(r"\{"):
            while not self.take(r"\}"):
                option = self.expect(r"[A-Za-z][\w-]*", "an option or '}'")
                self.expect("=", f"'=' after {option!r}")
                value = self.expect(r"\"[^\"]*\"|'[^']*'|[^\s{}\"']+", f"a value for {option!r}")
                if option in options:
                    raise QuantuneError(f"pass {name}: option {option} is given twice")
                options[option] = value[1:-1] if value[0] in "\"'" else value
        return name, options

    def take(self, pattern: str) -> str | None:
        """The text that matches here, past the spaces around it, or None."""
        match = re.compile(rf"\s*({pattern})\s*").match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[1]

    def expect(self, pattern: str, what: str) -> str:
        found = self.take(pattern)
        if found is None:
            raise self.error(what)
        return found

    def error(self, expected: str) -> QuantuneError:
        rest = self.text[self.at :].lstrip()
        at = len(self.text) - len(rest)
        found = repr(rest.split()[0]) if rest else "the end"
        return QuantuneError(
            f"the pipeline {self.text!r}: expected {expected} at column {at + 1}, found {found}"
        )
