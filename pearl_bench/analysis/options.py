"""The words of ``python -m pearl_bench.analysis``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pearl_bench import registry
from pearl_bench.config.types import KNOWN
from pearl_bench.config.words import LARGEST as FURTHEST

PAGE_WIDTH, COLUMN_WIDTH = 6.9, 3.3
"""Inches, of the text of a page in two columns, and of one of them."""
SMALLEST, LARGEST = 4.0, 24.0
"""Sizes of type, in points."""


@dataclass(frozen=True)
class AnalysisConfig:
    """What to draw, and how.

    Attributes:
        suite: the suite whose figures and tables are drawn.
        results: folders of published results; several are shown side by side, each
            with averages of its own.
        out: where figures/, tables/ and report.html go: results/<suite> of the first
            folder, and custom/ in it where there are several folders, or any word below
            but html is given.
        html: write report.html as well, one page that needs no network; it shows
            clips/<family>.mp4 or .gif where they lie beside the curves.
        families: some of the suite's families; all if empty.
        learners: some of the methods; all if empty.
        runs: some of the runs, by their names in runs.csv or how these begin; all if
            empty.
        reference: the method that is compared; all others are its baselines.
        reference_curves: draw others' published curves as well, in grey.
        until: environment steps at which axes end; if none the learning curves' end
            where the reference does, the others' at the last evaluation.
        log: logarithmic axes of environment steps in all figures.
        width: of a figure, in inches; a column's figures have two panels a row.
        font: size of titles, in points; all else is one point smaller.
        caption: file writes <figure>.md beside a figure, sheet its beginning under the
            panels as well, none writes none.
        format: kinds of file; those of another kind that lie there stay as they are.
        label: label.<arm>= is how an arm, or a method, is called in the figures; a
            name that there is none of lists them.
    """

    suite: str = field(metadata={KNOWN: registry.suite_names})
    results: list[str] = field(default_factory=lambda: ["results"])
    out: str = ""
    html: bool = False
    families: list[str] = field(default_factory=list)
    learners: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    reference: str = "pearl"
    reference_curves: bool = False
    until: float | None = None
    log: bool = False
    width: float = PAGE_WIDTH
    font: float = 8.0
    caption: Literal["file", "sheet", "none"] = "file"
    format: list[Literal["pdf", "png", "svg"]] = field(
        default_factory=lambda: ["pdf", "png"]
    )
    label: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for words that nothing can be drawn of."""
        if not self.results:
            raise ValueError(
                "results=: name a folder of published results, such as results=results"
            )
        if not 1.5 <= self.width <= 60:
            raise ValueError(f"width={self.width:g}: take 1.5 to 60 inches")
        if not SMALLEST <= self.font <= LARGEST:
            raise ValueError(
                f"font={self.font:g}: take {SMALLEST:g} to {LARGEST:g} points"
            )
        if self.until is not None and not 1 <= self.until <= FURTHEST:
            raise ValueError(
                f"until={self.until:g}: take a number of steps from 1 to {FURTHEST:.0e}"
            )
        if not self.format:
            raise ValueError("format=: take some of pdf, png, svg")
        names = [text.strip() for text in self.label.values()]
        for arm, text in zip(self.label, names, strict=True):
            if not text:
                raise ValueError(f"label.{arm}=: give a name, or leave it out")
            if not text.isprintable():
                raise ValueError(
                    f"label.{arm}={text!r}: a name is one line of UTF-8 that can be "
                    "printed"
                )
            if names.count(text) > 1:
                raise ValueError(f"label.{arm}={text}: another arm is called so too")

    @property
    def is_custom(self) -> bool:
        """Whether a word makes the figures others than those that are published."""
        usual = AnalysisConfig(self.suite, self.results, self.out, self.html)
        return len(self.results) > 1 or self != usual
