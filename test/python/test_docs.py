"""The pass reference is current, and no document links to what is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import docs

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Halve:
    """Halves every value.

    Before:
        %1 = arith.addf %0, %0 : f32

        return %1
    After:
        return %0

    Attributes:
        rounds: how often,
            at least once.

    Left alone: integers.
    """

    name: ClassVar[str] = "halve"
    rounds: int = 2
    only: str | None = None


@dataclass(frozen=True)
class Silent:
    name: ClassVar[str] = "silent"


def test_a_pass_becomes_a_section() -> None:
    text = docs.render([Halve])
    assert "- [`halve`](#halve)" in text
    assert "## halve\n\nHalves every value.\n" in text
    assert "Before:\n\n```mlir\n%1 = arith.addf %0, %0 : f32\n\nreturn %1\n```" in text
    assert "After:\n\n```mlir\nreturn %0\n```" in text
    assert "Left alone: integers." in text
    assert "Attributes:" not in text


def test_options_carry_type_default_and_meaning() -> None:
    text = docs.render([Halve])
    assert "| `rounds` | `int` | `2` | how often, at least once. |" in text
    assert r"| `only` | `str \| None` | `None` |  |" in text


def test_an_undocumented_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="silent"):
        docs.render([Silent])


def test_pass_reference_is_current() -> None:
    from quantune.passes.registry import all_passes

    assert docs.PAGE.read_text() == docs.render(all_passes()), "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing, f"{document.name} links to {missing}"


def test_every_method_has_a_folder_and_a_page() -> None:
    pages = {page.stem for page in (ROOT / "docs/methods").glob("*.md")}
    package = ROOT / "python/quantune"
    homes = [package / "calibration/observers", package / "numerics/scales"]
    homes += [folder for folder in (package / "repair").iterdir() if (folder / "__init__.py").exists()]
    assert pages == {folder.name.replace("_", "-") for folder in homes}
