"""What stands beside a figure: what it shows, and where its data are from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pearl_bench.analysis import notes, stats
from pearl_bench.analysis.arms import REPORTED, Arm, Part, budgets_of
from pearl_bench.analysis.markdown import plain
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Family, Published

WHISKERS_ARE = (
    f"A line with ends is the range of 2 to {stats.FEW - 1} runs, no interval; "
    f"a bar, from {stats.FEW} runs of every family on, a 95 % interval (percentile "
    f"bootstrap over runs, stratified by family, {stats.RESAMPLES} resamples)"
)
BANDS_ARE = (
    f"Bands: 95 % percentile bootstrap over runs, stratified by family, "
    f"{stats.RESAMPLES} resamples"
)


def counts(
    arms: Sequence[Arm], called: Mapping[str, str], part: Part = REPORTED
) -> str:
    """Say how many runs a panel's curves are of: ``n = 2``, ``n = 2 (PEARL: 1)``.

    Args:
        arms: what the panel shows.
        called: their names in the figure, by label.
        part: runs that were evaluated on it count.
    """
    return count_in_words({called[a.label]: len(a.having(part)) for a in arms})


def count_in_words(numbers: Mapping[str, int]) -> str:
    """Say how many runs there are of each name, that of most names once."""
    return f"n = {most(numbers)}"


def most(of_name: Mapping[str, int | str]) -> str:
    """Say what most names have, and in brackets what the others do."""
    often = Counter(of_name.values())
    common = max(often, key=lambda value: (often[value], value))
    others = [f"{name}: {v}" for name, v in of_name.items() if v != common]
    return str(common) + (f" ({', '.join(others)})" if others else "")


def counts_between(arms: Sequence[Arm]) -> str:
    """Say how many runs arms have whose names are long: ``n = 2``, ``n = 1 to 3``.

    Which has how many stands in the text beside the figure.
    """
    numbers = sorted(len(arm.having(REPORTED)) for arm in arms)
    fewest, most = numbers[0], numbers[-1]
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"


def heads(
    panels: Sequence[Sequence[Arm]],
    called: Mapping[str, str],
    parts: Sequence[Part] = (),
) -> list[str]:
    """Say of each panel of how many runs it is, and of which budgets if they differ.

    Args:
        panels: the arms of each.
        called: their names in the figure, by label, which do not tell the budget.
        parts: of each panel; runs that were evaluated on it count.
    """
    several = len(budgets_of(arm for arms in panels for arm in arms)) > 1
    return [
        counts(arms, called, part)
        + (f", {most({called[a.label]: a.budget for a in arms})}" if several else "")
        for arms, part in zip(panels, parts or [REPORTED] * len(panels), strict=True)
    ]


def measured(families: Iterable[Family]) -> str:
    """Say what families are shown by: a return, a success or, with both, either."""
    return " or ".join(dict.fromkeys(family.measure for family in families))


def shown(published: Published, families: Sequence[Family]) -> str:
    """Say which families of the suite, and which arms of other tasks, are left out."""
    names = {family.name for family in families}
    lacking = [family.name for family in published.families if family.name not in names]
    said = []
    if lacking:
        are, have = ("is", "has") if len(lacking) == 1 else ("are", "have")
        said.append(
            f"Of the suite's {len(published.families)} families {len(lacking)} {are} "
            f"left out, which {have} no data for this figure: {', '.join(lacking)}."
        )
    strangers = [
        f"{arm.label} on {family.name}"
        for family in families
        for arm in family.arms
        if arm.fingerprint != family.headline[0].fingerprint
    ]
    if strangers:
        said.append(f"Left out, because of other tasks: {', '.join(strangers)}.")
    return " ".join(said)


def score_of(families: Sequence[Family]) -> str:
    """Say what scores are, with the fixed returns of the families that are shown."""
    ranges = [
        f"{family.name} {score.low:g} ({score.low_is}) to {score.high:g} "
        f"({score.high_is})"
        for family in families
        if family.measure == "return"
        for score in [family.row.score]
    ]
    if not ranges:
        return "Scores are success rates."
    return f"Scores run from 0 to 1 over fixed returns: {'; '.join(ranges)}." + (
        " Of the other families they are success rates."
        if len(ranges) < len(families)
        else ""
    )


def markdown(published: Published, title: str, sheet: Sheet) -> str:
    """Return the text of the file that stands beside a figure."""
    origin = [
        f"{label}: {text}." if called == label else f"{called} ({label}): {text}."
        for label, text in notes.provenance(published, sheet.arms).items()
        for called in [sheet.called[label]]
    ]
    said = notes.uneven(published, sheet.arms)
    parts = [f"# {plain(title)}: {plain(published.suite)}"]
    parts += [plain(text) for text in sheet.about]
    for heading, lines in (("Runs", origin), ("Notes", said)):
        if lines:
            items = "\n".join(f"- {plain(line)}" for line in lines)
            parts.append(f"## {heading}\n\n{items}")
    return "\n\n".join(parts) + "\n"
