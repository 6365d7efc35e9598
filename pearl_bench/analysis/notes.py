"""What captions and tables say about the data: where it is from, what it lacks."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from matplotlib.ticker import EngFormatter

from pearl_bench import registry
from pearl_bench.analysis.arms import OWN, REPORTED, Arm, RunCurve
from pearl_bench.analysis.origins import lacking, several_commits, short_commits
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.records.published.late import LEVEL_EVALUATIONS

OF_PAPER_IS = "In brackets: share of the paper's budget"
UNEVEN = 0.02
"""Share of the longest run that the others of an arm may lack unmentioned."""


def alike(shortest: float, longest: float) -> bool:
    """Whether runs that end between the two are called by the longest alone."""
    return shortest > (1 - UNEVEN) * longest


def steps_in_words(steps: float) -> str:
    """Return a number of steps as in ``504k``."""
    return EngFormatter(sep="", places=None)(float(f"{steps:.3g}"))


def share_in_words(shares: tuple[float, float] | None) -> str:
    """Return shares of the paper's budget as in ``10 to 15 %``; empty if not known."""
    if shares is None:
        return ""
    fewest, most = (
        f"{100 * share:.{0 if share >= 0.1 else 1}f}" if share >= 0.0005 else "<0.1"
        for share in shares
    )
    return f"{most} %" if fewest == most else f"{fewest} to {most} %"


def of_paper(
    published: Published, label: str, families: Collection[str] | None = None
) -> str:
    """Return what stands behind a label: its share of the paper's budget.

    Args:
        published: the data.
        label: the label.
        families: those that it is about; all if None.
    """
    return in_brackets(share_in_words(published.shares(label, families)))


def in_brackets(share: str) -> str:
    """Return a share as it stands behind a name; nothing if it is not known."""
    return f" ({share})" if share else ""


def evaluations_in_words(number: int) -> str:
    """Return a number of evaluations as in ``1 evaluation``."""
    return f"{number} evaluation{'' if number == 1 else 's'}"


def families_in_words(number: int) -> str:
    """Return a number of families as in ``1 family``."""
    return f"{number} {'family' if number == 1 else 'families'}"


def steps_of(arm: Arm) -> str:
    """Return an arm's steps as in ``504k``, or ``400k to 504k`` if they are uneven."""
    shortest, longest = arm.steps
    if alike(shortest, longest):
        return steps_in_words(longest)
    return f"{steps_in_words(shortest)} to {steps_in_words(longest)}"


def short_steps_of(arm: Arm) -> str:
    """Return an arm's steps as they fit beside a panel: ``504k``, or ``5.1-10M``."""
    shortest, longest = arm.steps
    if alike(shortest, longest):
        return steps_of(arm)
    first, last = (float(f"{steps:.2g}") for steps in (shortest, longest))
    unit = 1000 ** (math.floor(math.log10(last)) // 3)
    return f"{first / unit:g}-{steps_in_words(last)}"


def at_steps(arm: Arm) -> str:
    """Say how far an arm's runs went: ``504k steps, 10 % of the paper's budget``."""
    share = share_in_words(arm.shares)
    return f"{steps_of(arm)} steps" + (
        f", {share} of the paper's budget" if share else ""
    )


def provenance(published: Published, arms: Sequence[Arm]) -> dict[str, str]:
    """Say of the labels of arms which runs, tasks and commits they stand for."""
    return {
        label: _origin([arm for arm in arms if arm.label == label])
        for label in published.ordered(arm.label for arm in arms)
    }


def _origin(arms: Sequence[Arm]) -> str:
    """Say what arms have in common once, and of the rest who has what."""
    by_aspect: dict[str, dict[str, list[str]]] = {}
    for arm in arms:
        for aspect, value in _aspects(arm).items():
            by_aspect.setdefault(aspect, {}).setdefault(value, []).append(arm.family)
    parts = [", ".join(dict.fromkeys(arm.family for arm in arms))]
    for aspect, values in by_aspect.items():
        if len(values) == 1:
            said = next(iter(values))
        else:
            each = (f"{value} ({', '.join(who)})" for value, who in values.items())
            said = ", ".join(each)
        parts.append(aspect.format(said))
    return "; ".join(part for part in parts if part)


def _aspects(arm: Arm) -> dict[str, str]:
    """Return values by the phrase they belong in."""
    rows = [run.row for run in arm.runs]
    tasks = {str(run.points[REPORTED][-1].tasks) for run in arm.having(REPORTED)}

    def joined(key: str) -> str:
        return " or ".join(dict.fromkeys(row[key] for row in rows if row[key]))

    aspects = {
        "seeds {}": ", ".join(str(run.seed) for run in arm.runs),
        "{} test tasks": " or ".join(sorted(tasks)),
        "exploration episodes: {}": joined("exploration_episodes"),
        "in its own protocol: {}": joined("own_exploration_episodes"),
        "{}": at_steps(arm),
        "commit {}": commits(arm.runs),
    }
    return {aspect: value for aspect, value in aspects.items() if value}


def commits(runs: Sequence[RunCurve]) -> str:
    """Return the short commits of runs, each once."""
    every = (commit for run in runs for commit in short_commits(run.row))
    return ", ".join(dict.fromkeys(every))


def missing_learners(family: Family) -> list[str]:
    """Return the registered methods that a family has no runs of."""
    return sorted(set(registry.learner_names()) - {arm.learner for arm in family.arms})


def notes(published: Published) -> list[str]:
    """Say what is missing, and of every run what makes it uneven with others."""
    found: list[str] = []
    for family in published.families:
        if not family.arms:
            found.append(f"{family.name}: no runs yet.")
        elif missing := missing_learners(family):
            found.append(f"{family.name}: no runs of {', '.join(missing)} yet.")
        found += [
            f"{family.name}, {arm.label}: one seed, no interval."
            for arm in family.arms
            if len(arm.runs) == 1
        ]
    return [*found, *uneven(published)]


def uneven(published: Published, shown: Sequence[Arm] | None = None) -> list[str]:
    """Say of every run, or of some arms' runs, what makes it uneven with others.

    What holds of an arm's label in several families is said once.
    """
    families_of: dict[tuple[str, str], list[str]] = {}
    of_figure = {(arm.family, arm.label) for arm in shown or ()}
    for family in published.families:
        for arm in family.arms:
            if shown is not None and (arm.family, arm.label) not in of_figure:
                continue
            said = [
                (arm.label, text) for text in (*_seeds(published, arm), *_runs(arm))
            ]
            said += [
                (f"{arm.label}, seed {run.seed} (run {run.row['run']})", f"{text}.")
                for run in arm.runs
                for text in _run(family, arm, run)
            ]
            for each in said:
                families_of.setdefault(each, []).append(family.name)
    return [
        f"{', '.join(families)}, {who}: {text}"
        for (who, text), families in families_of.items()
    ]


def _seeds(published: Published, arm: Arm) -> list[str]:
    """Say which seeds an arm lacks that others of its budget have."""
    of_budget = (other for other in published.arms if other.budget == arm.budget)
    seeds = {run.seed for other in of_budget for run in other.runs}
    missing = sorted(seeds - {run.seed for run in arm.runs})
    if not missing:
        return []
    return [
        f"no run of seed {', '.join(map(str, missing))}, which others of budget "
        f"{arm.budget} have."
    ]


def _runs(arm: Arm) -> list[str]:
    """Say what is uneven between the runs of an arm."""
    found = []
    seeds = [run.seed for run in arm.runs]
    if len(set(seeds)) < len(seeds):
        found.append("several runs of the same seed count as different ones.")
    if said := several_commits(run.row for run in arm.runs):
        found.append(f"{said}.")
    if said := _processors(arm):
        found.append(f"{said}.")
    older: dict[str, list[str]] = {}
    for run in arm.runs:
        older.setdefault(lacking(run.row), []).append(str(run.seed))
    found += [
        f"seed {', '.join(some)}: older than some settings; counts as {said}."
        for said, some in older.items()
        if said
    ]
    for part in (REPORTED, OWN):
        runs = arm.having(part)
        if not runs:
            continue
        left_out = arm.matched(part, -1, "return").left_out
        for run, count in zip(runs, left_out, strict=True):
            if count:
                found.append(
                    f"seed {run.seed}: {count} of {len(run.episode(part, -1))} "
                    f"evaluations ({part.protocol}) have no counterpart in every other "
                    "seed: its level and thin line have them, the mean curve, steps to "
                    "a level and areas do not."
                )
    return found


def _processors(arm: Arm) -> str:
    """Say which seeds ran on which processor; nothing of a single kind of CPU."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for run in arm.runs:
        seeds.setdefault(run.trained_on, []).append(str(run.seed))
    if [device for device, _ in seeds] == ["cpu"]:
        return ""
    each = [
        f"seed {', '.join(some)} on {', '.join(where)}" for where, some in seeds.items()
    ]
    return "trained " + "; ".join(each)


def _run(family: Family, arm: Arm, run: RunCurve) -> list[str]:
    """Say what is particular about one run."""
    found = []
    if run.row["fingerprint"] != family.row.fingerprint():
        found.append(
            f"its tasks (fingerprint {run.row['fingerprint']}) are not those of this "
            f"version ({family.row.fingerprint()})"
        )
    evaluations = len(run.level_points(REPORTED, -1))
    if 0 < evaluations < LEVEL_EVALUATIONS:
        found.append(f"its level is the mean of {evaluations_in_words(evaluations)}")
    longest = max(other.last_step for other in arm.runs)
    if run.last_step < (1 - UNEVEN) * longest:
        found.append(
            f"ends at {steps_in_words(run.last_step)} steps, the longest at "
            f"{steps_in_words(longest)}"
        )
    if not float(run.row["training_hours"]):
        found.append("has no checkpoint yet, so that its time is unknown")
    if run.row["status"] != "done":
        found.append(f"its status is {run.row['status']}")
    if "True" in run.row["dirty"]:
        found.append("its source differed from the commit")
    found += [
        f"no evaluation between {steps_in_words(before)} and {steps_in_words(after)} "
        "steps; the curve is open there"
        for before, after in run.gaps(REPORTED)
    ]
    broken = sum(point.unstable for point in run.points.get(REPORTED, ()))
    if broken:
        found.append(f"the simulation broke down in {broken} meta-test episodes")
    return found
