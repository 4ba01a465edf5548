"""Where the labels of a folder of pictures come from."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from quantune.errors import QuantuneError

LABELS_FILE = "labels.csv"

_TRAILING_NUMBER = re.compile(r".*_(\d+)$")
# What cameras and cutting tools call their files: the number counts pictures.
_COUNTER = re.compile(r"(IMG|DSC|DSCN|DSCF|PXL|PIC|image|img|photo|picture|frame)_\d+$")


def find_labels(folder: Path, files: Sequence[Path]) -> tuple[list[int] | None, str]:
    """Returns (labels of `files`, relative to `folder`, or None; where they come from, in words).

    In this order: labels.csv (file,label); sub-folders whose names are all integers; a number after the
    last underscore of every file's name (imagenet_00_243.jpg), unless the names look like a camera's
    (IMG_0042.jpg). Raises QuantuneError when labels.csv is damaged or leaves a picture out.
    """
    table = folder / LABELS_FILE
    if table.is_file():
        return _from_table(table, files), f"labels from {LABELS_FILE}"
    if all(len(file.parts) > 1 and _is_integer(file.parts[0]) for file in files):
        return [int(file.parts[0]) for file in files], "labels from sub-folders"
    numbers = [_TRAILING_NUMBER.fullmatch(file.stem) for file in files]
    if all(numbers) and not any(_COUNTER.fullmatch(file.stem) for file in files):
        return [int(number[1]) for number in numbers if number], "labels from file names"
    return None, "no labels"


def _is_integer(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _from_table(table: Path, files: Sequence[Path]) -> list[int]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            rows = csv.DictReader(handle)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise QuantuneError(f"{table} must begin with the line: file,label")
            known = {
                Path((row["file"] or "").strip()): _label(table, rows.line_num, row["label"]) for row in rows
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QuantuneError(f"cannot read {table}: {error}; write it as UTF-8 text: file,label") from error
    missing = [file for file in files if file not in known]
    if missing:
        raise QuantuneError(
            f"{table} has no line for {missing[0].as_posix()} ({len(missing)} of {len(files)} images); "
            "add the lines or remove the images"
        )
    return [known[file] for file in files]


def _label(table: Path, line: int, text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise QuantuneError(
            f"{table} line {line}: the label {text!r} is not an integer; correct it"
        ) from None
