"""What every result file holds: a sentence, a unit and a check for each column.

The writers take their columns from here, ``python -m pearl_bench.analysis check`` its
rules, and ``python -m pearl_bench.records.readme`` the tables of results/README.md. A
file's header says of which version it is: files of older versions are read, their later
columns empty, and what publishing writes is of the newest. Version 1 was that up to
November 2026; version 2 has what is ``since=2`` below. What is ``rare`` stands in the
files that need it alone: others stay of the version before, byte for byte.
"""

from __future__ import annotations

from pearl_bench.records.table import (
    BIT,
    COMMIT,
    COUNT,
    DATE,
    FLAG,
    HEX16,
    NAME,
    NOT_NEGATIVE,
    OBJECT,
    ORDINAL,
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
    NAME,
    "",
    "`suite`: the exploration that the suite gives every method, for comparing them. "
    "`own`: as many exploration episodes as the method adapts from in training "
    "(MAML-TRPO and ProMP 20, RL² one less than its trial has), where that is another "
    "number. Others are of an evaluator of the suite's: `metaworld` is the "
    "package's of that name",
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
    "16 hex digits of the family's name, version, horizon and tasks; only equal ones "
    "compare",
)

WALL = Column(
    "wall_s",
    NOT_NEGATIVE,
    "seconds",
    "training time when the evaluation ended, over all sessions",
)
TASK = Column("task", COUNT, "", "index of the task in its family's list")
GROUP = Column(
    "group",
    NAME,
    "",
    "the task's class; empty where the family has none",
    may_be_empty=True,
)
REPETITION = Column(
    "repetition",
    ORDINAL,
    "",
    "how often the task has been begun: each time with a start, exploration and "
    "adaptation of its own",
    since=2,
)
DISTANCE = Column(
    "distance",
    REAL,
    "length",
    "at the end of the episode. Locomotion: metres from its start along the task's "
    "direction (forwards, where a task has none); of ant-goal-2d and the point robots "
    "what is left to the goal. Empty after a breakdown, and where a family has none",
    may_be_empty=True,
    since=2,
)
RETURN = Column("return", REAL, "reward", "undiscounted return of the episode")
LENGTH = Column("length", COUNT, "steps", "environment steps of the episode")
EPISODE_SUCCESS = Column(
    "success",
    BIT,
    "",
    "whether any step succeeded; empty where the family has no success",
    may_be_empty=True,
)
UNSTABLE = Column("unstable", BIT, "", "whether the simulation broke down")

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
        WALL._replace(may_be_empty=True, since=2),
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
            choice("smoke", "regress", "quick", "lean", "paper"),
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
            NOT_NEGATIVE,
            "hours",
            "wall-clock time of training and evaluation, over all sessions",
        ),
        Column(
            "peak_memory_mib",
            NOT_NEGATIVE,
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
        Column(
            "cpu",
            TEXT,
            "",
            "model of the processor",
            may_be_empty=True,
            per_session=True,
        ),
        Column(
            "gpu",
            TEXT,
            "",
            "the GPU; empty without one",
            may_be_empty=True,
            per_session=True,
        ),
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
        Column(
            "settings",
            OBJECT,
            "JSON",
            "every setting that the method had when the run was last begun or resumed "
            "before it was published first; what has become a setting since had its "
            "default",
        ),
        Column(
            "target_steps",
            ORDINAL,
            "steps",
            "environment steps that it was to train for",
            may_be_empty=True,
            since=2,
        ),
        Column(
            "repetitions",
            ORDINAL,
            "",
            "how often a meta-test begins each of its tasks; once where it is empty",
            may_be_empty=True,
            since=2,
        ),
        Column(
            "threads",
            ORDINAL,
            "",
            "of torch, and of the environments",
            may_be_empty=True,
            per_session=True,
            since=2,
        ),
        Column(
            "command",
            TEXT,
            "",
            "the command line, as a shell takes it; absolute paths by their last part",
            may_be_empty=True,
            per_session=True,
            since=2,
        ),
        Column(
            "cpu_flags",
            TEXT,
            "",
            "which of the processor's instruction sets that decide the last bits of "
            "its arithmetic it has",
            may_be_empty=True,
            per_session=True,
            since=2,
        ),
        Column(
            "evaluations",
            COUNT,
            "",
            "how many its published curve has",
            may_be_empty=True,
            since=2,
        ),
        Column(
            "curve",
            HEX16,
            "",
            "16 hex digits of the SHA-256 of its rows in `<learner>.csv`: one cell "
            "`name=value` per line, those without a value left out",
            may_be_empty=True,
            since=2,
        ),
        Column(
            "packages",
            TEXT,
            "",
            "names and versions of other packages that the method and the suite are "
            "of, `a 1.0, b 2.1`; in files where some run has one",
            may_be_empty=True,
            per_session=True,
            since=3,
            rare=True,
        ),
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
            NOT_NEGATIVE,
            "",
            "standard deviation of the belief over z that the episode's z was drawn "
            "from, mean over its dimensions; the prior's is 1",
        ),
    ),
    key=("run", "task", "episode", "t"),
)
"""``<suite>/trajectories.csv``"""

TRAJECTORIES_FILE = "trajectories.csv"
RUNS_FILE = "runs.csv"

LATE = Table(
    (
        RUN,
        FAMILY,
        SEED,
        ENV_STEPS,
        PROTOCOL,
        SPLIT,
        TASK,
        GROUP,
        REPETITION._replace(since=1),
        EPISODE,
        RETURN,
        LENGTH,
        EPISODE_SUCCESS,
        UNSTABLE,
        DISTANCE._replace(since=1),
    ),
    key=("run", "env_steps", "protocol", "split", "task", "repetition", "episode"),
)
"""``<suite>/late/<learner>.csv``"""

LATE_FOLDER = "late"
CLIPS_FOLDER = "clips"
"""``<suite>/clips/<family>.mp4`` and ``.gif``"""

TRAIN = Table((ENV_STEPS,), key=("env_steps",), others=REAL)
"""``train.csv`` of a raw run folder; the metrics are the method's."""
NOT_METRICS = ("env_steps", "updates", "wall_s")
"""Columns of ``train.csv`` that are the loop's."""

TRAINING = Table(
    (
        RUN,
        FAMILY,
        SEED,
        Column("metric", TEXT, "", "a column of the run's `train.csv`"),
        Column("whole", REAL, "", "its mean over all iterations"),
        Column("end", REAL, "", "its mean over those of the last third of the steps"),
    ),
    key=("run", "metric"),
)
"""``regress/<suite>/training/<learner>.csv``"""
TRAINING_FOLDER = "training"

REGRESS = "regress"
"""The folder of results that holds the regression check's reference, by suite."""

REFERENCE = "reference"
"""The folder of results that holds others' published curves."""
CURVE = Column("curve", NAME, "", "name of the curve")
REFERENCE_SOURCES = Table(
    (
        CURVE,
        Column("family", NAME, "", "family whose tasks are the most like its own"),
        Column("learner", NAME, "", "method"),
        Column("name", TEXT, "", "what it is called in figures"),
        Column("measure", choice("return", "success"), "", "what its values are"),
        Column(
            "statistic",
            TEXT,
            "",
            "what was measured, on which tasks, with which settings, in how many runs",
        ),
        Column(
            "taken_from",
            choice("file", "plot"),
            "",
            "numbers from a file, or read off a published plot",
        ),
        Column("source", TEXT, "", "repository, path and commit, or publication"),
    ),
    key=("curve",),
)
"""``reference/sources.csv``"""
REFERENCE_CURVES = Table(
    (
        CURVE,
        Column(
            "env_steps",
            COUNT,
            "steps",
            "environment steps, mean over the evaluations that the row stands for",
        ),
        Column("value", REAL, "reward or 0 to 1", "mean over these evaluations"),
        Column(
            "evaluations",
            ORDINAL,
            "",
            "how many evaluations of the source the row stands for: all of an interval "
            "of 50,000 steps; empty where it was read off a plot",
            may_be_empty=True,
        ),
    ),
    key=("curve", "env_steps"),
)
"""``reference/curves.csv``"""
REFERENCE_SOURCES_FILE, REFERENCE_CURVES_FILE = "sources.csv", "curves.csv"

EVAL = Table(
    (
        ENV_STEPS,
        PROTOCOL,
        SPLIT,
        TASK,
        GROUP,
        REPETITION,
        EPISODE,
        RETURN,
        LENGTH,
        EPISODE_SUCCESS,
        UNSTABLE,
        DISTANCE,
        WALL,
    ),
    key=("env_steps", "protocol", "split", "task", "repetition", "episode"),
)
"""``eval.csv`` of a raw run folder."""
