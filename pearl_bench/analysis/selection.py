"""What a command line of ``python -m pearl_bench.analysis`` shows of published runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pearl_bench import registry
from pearl_bench.analysis import looks
from pearl_bench.analysis.arms import METHODS, Arm, Measure, RunCurve
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.reference import load_reference
from pearl_bench.analysis.scores import Family, Published, load
from pearl_bench.config.types import ConfigError
from pearl_bench.config.words import check_names, suggest
from pearl_bench.records.published.identity import as_text
from pearl_bench.records.schema import RUNS_FILE


def select(config: AnalysisConfig) -> Published:
    """Read what is published, and return what the words ask for.

    Raises:
        PublishedError: nothing is published, or the files do not fit together.
        ConfigError: a word names something that there is not, or leaves nothing.
    """
    results = [Path(folder).expanduser() for folder in config.results]
    found = _merged([load(folder, config.suite) for folder in results])
    learners = _known_learners(found)
    check_names("reference", [config.reference], learners)
    found = _narrowed(found, config, learners)
    return replace(
        found,
        reference=config.reference,
        renamed=_renamed(found, config),
        reference_curves=tuple(load_reference(results))
        if config.reference_curves
        else (),
    )


def own_first(published: Published) -> Published:
    """Return what several folders hold without methods that an earlier one has.

    A user's own runs of a method stand in the place of those that are published, family
    by family: curves of one method at several budgets are a comparison to ask for.
    """
    families: list[Family] = []
    for family in published.families:
        first: dict[str, str] = {}
        for arm in family.arms:
            first.setdefault(arm.learner, arm.source)
        arms = (arm for arm in family.arms if arm.source == first[arm.learner])
        families.append(replace(family, arms=tuple(arms)))
    return replace(published, families=tuple(families))


def slug(arm: Arm) -> str:
    """Return what an arm is called in the word label.<arm>=."""
    called = arm.name._replace(method=arm.learner)
    return re.sub(r"\W+", "-", "-".join(called.parts), flags=re.A)


def _known_learners(published: Published) -> list[str]:
    return list(
        dict.fromkeys(
            [*registry.learner_names(), *(arm.learner for arm in published.arms)]
        )
    )


def _merged(every: Sequence[Published]) -> Published:
    """Return what several folders hold, a run that stands in two of them once.

    It is the same run if it has its name and began at the same time; the one that went
    on longer stays. Arms of several folders that have one label are told apart.

    Raises:
        PublishedError: the folders judge a family by different measures.
    """
    first = every[0]
    if len(every) == 1:
        return first
    sources = _told_apart([published.folders[0].parent for published in every])
    best: dict[tuple[str, str], tuple[int, int]] = {}
    for i, published in enumerate(every):
        for arm in published.arms:
            for run in arm.runs:
                have = best.get(_identity(run), (0, i))
                best[_identity(run)] = max(have, (run.last_step, -i))
    families: list[Family] = []
    for row in registry.suite(first.suite).families:
        found = [f for one in every for f in one.families if f.name == row.name]
        if not found:
            continue
        arms = [
            replace(arm, runs=runs, source=source)
            for i, (published, source) in enumerate(zip(every, sources, strict=True))
            for other in published.families
            if other.name == row.name
            for arm in other.arms
            if (runs := tuple(r for r in arm.runs if best[_identity(r)][1] == -i))
        ]
        families.append(Family(row, _measure(found, every), tuple(arms)))
    often = Counter(
        label for published in every for label in {arm.label for arm in published.arms}
    )
    families = [
        replace(family, arms=tuple(_with_source(arm, often) for arm in family.arms))
        for family in families
    ]
    folders = tuple(published.folder for published in every)
    return replace(first, folders=folders, families=tuple(families))


def _measure(found: Sequence[Family], every: Sequence[Published]) -> Measure:
    """Return what several folders judge a family by: those that have runs of it."""
    measures: set[Measure] = {family.measure for family in found if family.arms}
    if len(measures) > 1:
        folders = " and ".join(str(published.folder) for published in every)
        raise PublishedError(
            f"{found[0].name} has a success in some of {folders}, and none in others; "
            "take them one by one"
        )
    return measures.pop() if measures else found[0].measure


def _identity(run: RunCurve) -> tuple[str, str]:
    return run.row["run"], run.row["started"]


def _told_apart(folders: Sequence[Path]) -> list[str]:
    """Return the folders' names, or where these are alike their paths."""
    names = Counter(folder.resolve().name for folder in folders)
    return [
        as_text(folder if names[folder.resolve().name] > 1 else folder.resolve().name)
        for folder in folders
    ]


def _with_source(arm: Arm, often: Counter[str]) -> Arm:
    if often[arm.label] == 1:
        return arm
    return replace(arm, name=arm.name.extended(arm.source))


def _narrowed(
    published: Published, config: AnalysisConfig, learners: Sequence[str]
) -> Published:
    """Keep the families, methods and runs that are named."""
    suite = [family.name for family in registry.suite(published.suite).families]
    listed = f"pearl-bench ls suite={published.suite}"
    check_names("families", config.families, suite, listed)
    check_names("learners", config.learners, learners)
    names = [run.row["run"] for arm in published.arms for run in arm.runs]
    for start in config.runs:
        if not any(name.startswith(start) for name in names):
            listed = " or ".join(str(at / RUNS_FILE) for at in published.folders)
            raise ConfigError(f"runs={start} is unknown{suggest(start, names, listed)}")
    families = []
    for family in published.families:
        if config.families and family.name not in config.families:
            continue
        arms = [
            replace(arm, runs=runs)
            for arm in family.arms
            if not config.learners or arm.learner in config.learners
            if (runs := tuple(run for run in arm.runs if _is_chosen(run, config.runs)))
        ]
        families.append(replace(family, arms=tuple(arms)))
    if not any(family.arms for family in families):
        had = sorted({f"{arm.learner} on {arm.family}" for arm in published.arms})
        raise ConfigError(
            "families=, learners= and runs= leave no run of those published, which "
            f"are of {', '.join(had)}"
        )
    return replace(published, families=tuple(families))


def _is_chosen(run: RunCurve, starts: Sequence[str]) -> bool:
    return not starts or run.row["run"].startswith(tuple(starts))


def _renamed(published: Published, config: AnalysisConfig) -> dict[str, str]:
    """Return the names that the words give, by method or label."""
    methods = {arm.learner: arm.learner for arm in published.arms}
    labels = {slug(arm): arm.label for arm in published.arms}
    known = {**labels, **methods}
    for name in config.label:
        if name not in known:
            raise ConfigError(
                f"label.{name}= is unknown; known are: "
                f"{', '.join(f'label.{arm}=' for arm in sorted(known))}"
            )
    renamed = {known[name]: text for name, text in config.label.items()}
    short = looks.names(published, published.arms)
    for arm in published.arms:
        if {arm.learner, arm.label} & renamed.keys():
            continue
        for name, text in config.label.items():
            taken = {arm.label, short[arm.label]}
            if not (name == arm.learner or name.startswith(f"{arm.learner}-")):
                taken.add(METHODS.get(arm.learner, arm.learner))
            if text.strip() in taken:
                raise ConfigError(f"label.{name}={text}: another arm is called so too")
    return renamed
