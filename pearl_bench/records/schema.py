"""What every result file holds: a sentence, a unit and a check for each column and key.

The writers take their columns from here, ``python -m pearl_bench.analysis check`` its
rules, and ``python -m pearl_bench.records.schema`` writes the tables of
results/README.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pearl_bench.config.command import Command
from pearl_bench.config.types import ConfigError
from pearl_bench.records.files import write_atomic
from pearl_bench.records.table import (
    COMMIT,
    COUNT,
    DATE,
    FLAG,
    HEX16,
    NAME,
    OBJECT,
    ORDINAL,
    POSITIVE,
    REAL,
    RUN_ID,
    SHARE,
    TEXT,
    Column,
    Table,
    choice,
)

RUN = Column(
    "run",
    RUN_ID,
    "",
    "`r` and 12 hex digits of the suite, family, method, seed, budget, precision, "
    "settings, evaluation interval, words about the meta-test, task fingerprint and "
    "device (CPU or CUDA) that it "
    "was begun on. How long it ran, and on how many threads, is no part of it",
)
FAMILY = Column("family", NAME, "", "task family")
SEED = Column(
    "seed",
    COUNT,
    "",
    "seed of networks, exploration and sampling; tasks do not depend on it",
)
ENV_STEPS = Column(
    "env_steps",
    COUNT,
    "steps",
    "environment steps of training so far, in all training tasks, adaptation included; "
    "evaluation is not counted",
)
PROTOCOL = Column(
    "protocol",
    choice("suite", "own", "metaworld"),
    "",
    "`suite`: the exploration that the suite gives every method, for comparing them. "
    "`own`: as many exploration episodes as the method adapts from in training "
    "(MAML-TRPO and ProMP 20, RL² one less than its trial has), where that is another "
    "number. `metaworld`: the evaluator of the package of that name",
)
SPLIT = Column(
    "split",
    choice("test", "train"),
    "",
    "where the tasks come from: `test`, or `train` in suites that check training tasks "
    "too",
)
EPISODE = Column(
    "episode",
    COUNT,
    "",
    "position within a task: 0 is played without chance in the actions before any "
    "experience, and the adaptation does not know of it (PEARL takes the prior's mean; "
    "runs of older versions have none); 1 comes before any adaptation, the last is the "
    "reported one; on Meta-World the mean over the last `test_episodes` is. Of the "
    "protocol `metaworld` those that its evaluator counts, all after the adaptation",
)
FINGERPRINT = Column(
    "fingerprint",
    HEX16,
    "",
    "16 hex digits of the family's version, horizon and all its tasks; only equal ones "
    "compare",
)

CURVES = Table(
    (
        RUN,
        FAMILY,
        SEED,
        ENV_STEPS,
        PROTOCOL,
        SPLIT,
        Column(
            "group",
            NAME,
            "",
            "`all` tasks of the split, or the class of tasks that the row is about",
        ),
        EPISODE,
        Column(
            "return",
            REAL,
            "reward",
            "undiscounted return of that episode, mean over the tasks and their "
            "repetitions; of the sparse reward where a family has one",
        ),
        Column(
            "success",
            SHARE,
            "0 to 1",
            "share of such episodes that succeeded; empty where the family has "
            "no success",
            may_be_empty=True,
        ),
        Column("tasks", ORDINAL, "", "number of tasks averaged"),
        Column(
            "unstable",
            COUNT,
            "",
            "how many of those episodes the simulation broke down in; they end there",
        ),
        FINGERPRINT,
    ),
    key=("run", "env_steps", "protocol", "split", "group", "episode"),
)
"""``<suite>/<learner>.csv``"""


def _version(name: str) -> Column:
    return Column(
        name,
        TEXT,
        "",
        f"version of {name.capitalize() if name == 'python' else name}",
        may_be_empty=True,
        per_session=True,
    )


RUNS = Table(
    (
        RUN,
        FAMILY,
        Column("learner", NAME, "", "method"),
        SEED,
        Column(
            "budget",
            choice("smoke", "regress", "quick", "paper"),
            "",
            "which settings of `pearl_bench/conf/` it ran with",
        ),
        Column("device", choice("cpu", "cuda"), "", "where it ran", per_session=True),
        Column(
            "precision",
            choice("float32", "bf16"),
            "",
            "arithmetic of the matrix products in training",
        ),
        Column("steps", COUNT, "steps", "environment steps at the last checkpoint"),
        Column(
            "status",
            choice("done", "stopped", "failed", "begun"),
            "",
            "`done`, `stopped` (to be resumed), `failed`, or `begun` (running, or "
            "killed)",
        ),
        Column(
            "training_hours",
            POSITIVE,
            "hours",
            "wall-clock time of training and evaluation, over all sessions",
        ),
        Column(
            "peak_memory_mib",
            POSITIVE,
            "MiB",
            "largest resident memory of the process; a GPU's memory is not counted",
        ),
        Column("started", DATE, "UTC", "when the first session began"),
        Column("sessions", ORDINAL, "", "how often it was started or resumed"),
        Column(
            "commit",
            COMMIT,
            "",
            "git commit of the source; empty outside git",
            may_be_empty=True,
            per_session=True,
        ),
        Column(
            "dirty",
            FLAG,
            "",
            "whether the source differed from that commit; empty outside git",
            may_be_empty=True,
            per_session=True,
        ),
        *map(
            _version, ("python", "torch", "mujoco", "gymnasium", "metaworld", "numpy")
        ),
        Column("cpu", TEXT, "", "model of the processor", may_be_empty=True),
        Column("gpu", TEXT, "", "the GPU; empty without one", may_be_empty=True),
        FINGERPRINT,
        Column(
            "exploration_episodes",
            COUNT,
            "",
            "episodes before the first adaptation, in the protocol `suite`",
        ),
        Column("test_episodes", ORDINAL, "", "episodes after it"),
        Column("test_tasks", ORDINAL, "", "meta-test tasks"),
        Column(
            "own_exploration_episodes",
            COUNT,
            "",
            "exploration episodes of the protocol `own`; empty where the method has "
            "none",
            may_be_empty=True,
        ),
        Column(
            "eval_every",
            ORDINAL,
            "steps",
            "environment steps between two evaluations",
        ),
        Column("settings", OBJECT, "JSON", "every setting of the method"),
    ),
    key=("run",),
)
"""``<suite>/runs.csv``"""

TRAJECTORIES = Table(
    (
        RUN,
        FAMILY,
        SEED,
        ENV_STEPS,
        Column("task", COUNT, "", "index of the test task in its family's list"),
        Column(
            "episode",
            ORDINAL,
            "",
            "position within the task; the posterior is inferred anew after each",
        ),
        Column("t", COUNT, "steps", "steps since the episode began"),
        Column("x", REAL, "length", "the point's position after t steps"),
        Column("y", REAL, "length", "the other coordinate"),
        Column("goal_x", REAL, "length", "the task's goal"),
        Column("goal_y", REAL, "length", "the other coordinate"),
        Column(
            "return",
            REAL,
            "reward",
            "undiscounted return of the episode so far; of the sparse reward where the "
            "family has one",
        ),
        Column(
            "posterior_std",
            POSITIVE,
            "",
            "standard deviation of the belief over z that the episode's z was drawn "
            "from, mean over its dimensions; the prior's is 1",
        ),
    ),
    key=("run", "task", "episode", "t"),
)
"""``<suite>/trajectories.csv``"""

TRAJECTORIES_FILE = "trajectories.csv"

EVAL = Table(
    (
        ENV_STEPS,
        PROTOCOL,
        SPLIT,
        Column("task", COUNT, "", "index of the task in its family's list"),
        Column(
            "group",
            NAME,
            "",
            "the task's class; empty where the family has none",
            may_be_empty=True,
        ),
        Column(
            "repetition",
            ORDINAL,
            "",
            "how often the task has been begun: each time with a start, exploration "
            "and adaptation of its own. Files of older versions lack the column: 1",
        ),
        EPISODE,
        Column("return", REAL, "reward", "undiscounted return of the episode"),
        Column("length", COUNT, "steps", "environment steps of the episode"),
        Column(
            "success",
            choice("0", "1"),
            "",
            "whether any step succeeded; empty where the family has no success",
            may_be_empty=True,
        ),
        Column("unstable", choice("0", "1"), "", "whether the simulation broke down"),
        Column(
            "distance",
            REAL,
            "length",
            "at the end of the episode. Locomotion: metres from its start along the "
            "task's direction (forwards, where a task has none); of ant-goal-2d and "
            "the point robots what is left to the goal. Empty after a breakdown, and "
            "where a family has none; files of older versions lack the column",
            may_be_empty=True,
        ),
        Column(
            "wall_s",
            POSITIVE,
            "seconds",
            "training time when the evaluation ended, over all sessions",
        ),
    ),
    key=("env_steps", "protocol", "split", "task", "repetition", "episode"),
)
"""``eval.csv`` of a raw run folder."""

RUN_KEYS: dict[str, str] = {
    "format": "version of this file's layout",
    "status": "as in `runs.csv`",
    "message": "why it failed; empty otherwise",
    "env_steps": "environment steps at the last checkpoint",
    "seconds": "training time up to it, over all sessions",
    "peak_memory_mib": "largest resident memory of the process, in MiB",
    "fingerprint": "of the family's tasks, as in `runs.csv`",
    "meta_test": "of each part of an evaluation: protocol, split, number of tasks, "
    "episodes before and after the first adaptation; `repetitions` of each task if "
    "they are several, and `unadapted` if there is an episode 0",
    "sessions": "a record of each start or resume, with the keys below",
}
"""Keys of ``run.json`` of a raw run folder."""

SESSION_KEYS: dict[str, str] = {
    "started": "date and time, UTC",
    "command": "the command line, word by word",
    "host": "name of the machine",
    "cpu": "model of the processor",
    "cores": "processor cores that the process could use",
    "gpu": "the GPU; null without one",
    "commit": "git commit of the source; null outside git",
    "dirty": "whether the source differed from that commit; null outside git",
    "versions": "of Python and the packages that decide results",
    "device": "where the networks were trained",
    "threads": "of torch, and of the environments",
    "engine": "what started it: `local`, `slurm` or `ray`",
    "job": "its job on a cluster; null without one",
    "resumed_at_env_steps": "environment steps of the checkpoint it went on from",
    "resumed_at_seconds": "training time up to that checkpoint",
}
"""Keys of each of its sessions."""


def columns_in_markdown(table: Table) -> str:
    """Return a table of columns, as in results/README.md."""
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    lines += [f"| `{c.name}` | {c.unit} | {c.meaning} |" for c in table.columns]
    return "\n".join(lines)


def keys_in_markdown(keys: dict[str, str]) -> str:
    """Return a table of keys, as in results/README.md."""
    lines = ["| key | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{k}` | {text} |" for k, text in keys.items())])


def with_tables(readme: str) -> str:
    """Return a README with the table after each of its markers brought up to date.

    Raises:
        ValueError: a marker is missing.
    """
    tables = {
        "curves": columns_in_markdown(CURVES),
        "runs": columns_in_markdown(RUNS),
        "trajectories": columns_in_markdown(TRAJECTORIES),
        "eval": columns_in_markdown(EVAL),
        "run": keys_in_markdown(RUN_KEYS),
        "session": keys_in_markdown(SESSION_KEYS),
    }
    for name, table in tables.items():
        marker = f"<!-- schema: {name} -->\n"
        before, found, after = readme.partition(marker)
        if not found:
            raise ValueError(f"the README lacks the line {marker.strip()}")
        rest = re.sub(r"\A(\|.*\n)*", "", after)
        readme = f"{before}{marker}{table}\n{rest}"
    return readme


@dataclass(frozen=True)
class SchemaConfig:
    """What to bring up to date.

    Attributes:
        file: a text with markers, such as results/README.md.
    """

    file: str = "results/README.md"


COMMAND = Command(
    "schema",
    SchemaConfig,
    "Takes changed descriptions of columns over into the README of the results.",
    "file=results/README.md",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _describe)


def _describe(words: Sequence[str]) -> int:
    path = Path(COMMAND.read(words).file)
    try:
        text = with_tables(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"file={path}: {error}") from error
    write_atomic(path, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
