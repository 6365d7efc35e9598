"""A trained method: loaded from a run's folder or a policy file, tested, put to use."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.runs import meta_tested
from pearl_bench.config.types import BenchConfig, ConfigError, RunConfig
from pearl_bench.config.words import path_of, show, unknown, vocabulary
from pearl_bench.execution.console import Lines
from pearl_bench.execution.outputs import enduring
from pearl_bench.execution.pace import expected
from pearl_bench.execution.plan import Run, plan, resolve_device, share_cores
from pearl_bench.execution.signals import StopRequest
from pearl_bench.execution.work import build_learner, save_policy, train_run
from pearl_bench.records import checkpoint, policy_file
from pearl_bench.records.files import RecordError, read_text
from pearl_bench.records.run_folder import CONFIG, read_run
from pearl_bench.training.agent import Agent
from pearl_bench.training.evaluate import EvalRow, evaluate
from pearl_bench.training.types import MetaLearner, Progress
from suites.base import Task, TaskFamily

_MISMATCH = re.compile("size mismatch|must match|(Missing|Unexpected) key")
"""What torch says where a state has other shapes or names than a network."""


class Trained(NamedTuple):
    """A method as training has left it.

    Attributes:
        run: what was trained, and how.
        family: its tasks.
        learner: its networks; of a policy file they cannot be trained on.
    """

    run: RunConfig
    family: TaskFamily
    learner: MetaLearner

    def evaluate(
        self, tasks: Sequence[Task] | None = None, *, seed: int | None = None
    ) -> list[EvalRow]:
        """Play the family's meta-test.

        Args:
            tasks: of the family, ``family.test`` if None.
            seed: of starts and exploration; the run's if None, which after a finished
                run repeats its last evaluation.

        Returns:
            A row per protocol, task, repetition and episode.

        Raises:
            ValueError: a task is of another family, or the seed is none.
        """
        family = meta_tested(self.family, self.run)
        if tasks is not None:
            tasks = tuple(tasks)
            self._require_own(tasks)
            tested = tuple(one for one in family.protocols if one.split == "test")
            family = replace(family, test=tasks, protocols=tested)
        seed = self.run.seed if seed is None else _whole("seed", seed)
        return evaluate(self.learner, family, seed=seed, threads=self.run.threads)

    def agent(self, *, task: Task | None = None, seed: int = 0) -> Agent:
        """Return an agent that has seen nothing of its task yet.

        Args:
            task: of the family; a method that is told it (``pearl.inference=oracle``)
                needs one. To no other does it make a difference.
            seed: of all that it draws.

        Raises:
            ValueError: the method is told the task, and there is none, or it is of
                another family; or the seed is none.
        """
        learner = self.run.learner
        if task is None and registry.method(learner).reads_parameters:
            raise ValueError(f"{learner} reads a task's parameters; give task=")
        self._require_own([] if task is None else [task])
        told = Task(self.family.name, -1, ()) if task is None else task
        return Agent(self.learner.adapter([told], _whole("seed", seed)))

    def adapt(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        episodes: int | None = None,
        task: Task | None = None,
        seed: int = 0,
    ) -> Agent:
        """Explore an environment, adapt to its task, and return the agent.

        Args:
            env: of the family's observation and action sizes.
            episodes: exploration episodes; those of the family's meta-test if None. 0
                leaves the agent as it is before any experience.
            task: as in ``agent``.
            seed: of all that the agent draws, and of the first episode's start.

        Raises:
            ValueError: the environment's sizes are not the family's, ``episodes`` or
                ``seed`` is no whole number from 0 on, or the task is not as ``agent``
                needs it.
        """
        sizes = (self.family.obs_dim,), (self.family.action_dim,)
        shapes = env.observation_space.shape, env.action_space.shape
        if shapes != sizes:
            raise ValueError(
                f"{self.family.name} has observations and actions of the shapes "
                f"{sizes[0]} and {sizes[1]}; those of the environment are {shapes[0]} "
                f"and {shapes[1]}"
            )
        if episodes is None:
            episodes = self.family.meta_test.exploration_episodes
        episodes, seed = _whole("episodes", episodes), _whole("seed", seed)
        agent = self.agent(task=task, seed=seed)
        for number in range(episodes):
            agent.play(env, explore=True, seed=seed if number == 0 else None)
        agent.adapt()
        return agent

    def save(self, path: Path | str) -> None:
        """Write what acting and adapting need as one small file, for ``load``.

        Raises:
            ConfigError: the path begins with a home folder that there is not.
            RecordError: it cannot be written.
        """
        save_policy(path_of("path", path), self.run, self.family, self.learner)

    def _require_own(self, tasks: Sequence[Task]) -> None:
        """Refuse tasks whose numbers mean something else in this family.

        Raises:
            ValueError: names the other family.
        """
        family = self.family
        # an own family may have taken its tasks from one of another name
        own = {family.name, *(task.family for task in (*family.train, *family.test))}
        for task in tasks:
            if task.family not in own:
                raise ValueError(
                    f"task {task.index} of {task.family} is none of {family.name}, "
                    "which this method was trained on; take tasks of family.train or "
                    "family.test"
                )


def _whole(name: str, value: int) -> int:
    """Return a number that counts, or seeds random streams; numpy's as Python's.

    Raises:
        ValueError: it is none.
    """
    counts = isinstance(value, Integral) and not isinstance(value, bool)
    number = int(value) if counts else -1
    if not 0 <= number < 2**63:
        raise ValueError(
            f"{name} must be a whole number from 0 to 2**63 - 1, not {value!r}"
        )
    return number


def train(
    learner: str,
    family: str,
    *,
    suite: str | None = None,
    seed: int = 0,
    out: Path | str = "results/raw",
    settings: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    **words: object,
) -> Trained:
    """Train a method on a family in this process, from where its folder stands.

    It is the run that ``pearl_bench.run`` would train: the same call again, or that
    command, goes on where it stopped, and returns at once when it is done. Like the
    command it ends with a checkpoint when a signal asks it to (Ctrl-C, SIGTERM, a
    closed terminal), before the signal does what it always does; signals reach it in
    the main thread alone.

    Args:
        learner: name of the method.
        family: name of the family.
        suite: name of its suite; the first that has the family if None.
        seed: of networks, exploration and sampling.
        out: raw run folders; this one is ``<out>/<suite>/<family>/<learner>/seed=<k>``.
        settings: of the method, in place of those of ``conf/``.
        progress: is told how far it is; if None, timed lines are printed, those of the
            run's ``log.txt``.
        **words: other words of the command that are of one run, such as
            ``budget="quick"`` or ``steps=50_000``.

    Raises:
        ConfigError: a name, a value or a word is not allowed, or the folder holds
            another run.
        RecordError: the folder is in use or damaged.
        NonFiniteLoss: a loss became NaN or infinite.
        KeyboardInterrupt: a signal stopped it, and the run has a checkpoint.
    """
    _require_one_run(words, learner=learner, family=family, seed=seed)
    given = {
        "suite": suite or _suite_of(family),
        "families": family,
        "learners": learner,
        "seeds": seed,
        "out": out,
        **words,
        **{f"{learner}.{key}": value for key, value in (settings or {}).items()},
    }
    line = [f"{key}={show(value)}" for key, value in given.items()]
    bench = configuration.load(line)
    (run,) = share_cores(bench, plan(bench), jobs=1)
    if run.pending:
        command = ["pearl_bench.train", *line]
        _train_politely(run, progress or _printed(run), command)
    return load(run.folder)


def _require_one_run(words: Mapping[str, object], **names: object) -> None:
    """Refuse what asks for several runs, or for what a command does with them.

    Raises:
        ConfigError: names the word, and what is allowed.
    """
    of_run = {item.name for item in fields(RunConfig)} - {"suite"}
    known = vocabulary(BenchConfig)
    for word, value in words.items():
        if word in known and "." not in word and word not in of_run:
            allowed = [key for key in known if key.partition(".")[0] in of_run]
            raise ConfigError(
                f"{word}={show(value)} is not for train(), which trains one run in "
                "this process: name it by learner, family, suite and seed. Further "
                f"words may be {', '.join(allowed)}; pearl_bench.run takes all"
            )
    for word, name in names.items():
        if name is None or not re.fullmatch(r"[^\s,\[\]]+", str(name)):
            raise ConfigError(
                f"{word}={name!r} is not one name or number; train() trains one run, "
                "so call it for each, or use pearl_bench.run"
            )


def _printed(run: Run) -> Progress:
    """Return where a run's progress becomes lines on standard output."""
    known = expected(run.config, run.folder)
    return Lines(enduring(sys.stdout), run.config.steps, run.name, expected=known)


def _train_politely(run: Run, progress: Progress, command: Sequence[str]) -> None:
    """Train a run; a signal does what it always does once there is a checkpoint."""
    stop = StopRequest()
    hears = threading.current_thread() is threading.main_thread()
    with stop if hears else nullcontext():
        done = train_run(run.config, run.folder, progress, stop, command)
    if stop.signal is not None:
        signal.raise_signal(stop.signal)
    if not done:  # the signal's handler came back, or it is ignored
        raise KeyboardInterrupt(f"{run.name} was stopped")


def _suite_of(family: str) -> str:
    """Return the first suite that has a family; broken ones are passed over.

    Raises:
        ConfigError: none has it.
    """
    suite = next(registry.suites_of(family), None)
    if suite is None:
        known = [row.name for one in registry.suites_there() for row in one.families]
        raise ConfigError(unknown("family", family, known, "pearl-bench ls"))
    return suite


def load(path: Path | str, say: Callable[[str], None] = print) -> Trained:
    """Load a run's last checkpoint, or a policy file, on the device that is there.

    Args:
        path: a raw run folder or a file that ``Trained.save`` wrote.
        say: is told when the newest checkpoint could not be used, and of a run that
            was trained on another kind of device.

    Raises:
        RecordError: there is no run, no checkpoint or no policy that can be read, or
            its tasks are others than this version's.
        ConfigError: its configuration is damaged, or asks for what is unknown here, or
            the path begins with a home folder that there is not.
    """
    path = path_of("path", path)
    return _from_file(path) if path.is_file() else _from_folder(path, say)


def _from_file(path: Path) -> Trained:
    tensors, description = policy_file.read(path)
    try:
        run, fingerprint, env_steps = (
            configuration.from_yaml(description["config"], path),
            description["fingerprint"],
            int(description["env_steps"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise RecordError(f"{path} has a damaged description: {error!r}") from error
    trained = _untrained(run)
    _require_tasks(path, trained, fingerprint)
    try:
        trained.learner.load_policy_state(tensors)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error
    trained.learner.env_steps = env_steps
    return trained


def _from_folder(folder: Path, say: Callable[[str], None]) -> Trained:
    try:
        text, there = read_text(folder / CONFIG), read_run(folder)
    except FileNotFoundError as error:
        raise RecordError(
            f"{folder} holds no run: there is no {Path(error.filename).name}. Give a "
            "folder like results/raw/<suite>/<family>/<learner>/seed=0, or a policy "
            "file"
        ) from None
    run = configuration.from_yaml(text, folder / CONFIG)
    state = checkpoint.load(folder, say)
    if state is None:
        raise RecordError(f"{folder} has no checkpoint; train the run first")
    from pearl_bench.training.learner import restore  # noqa: PLC0415  (imports torch)

    trained = _untrained(run)
    _require_tasks(folder, trained, there["fingerprint"])
    try:
        restore(trained.learner, state["learner"], say)
    except (KeyError, RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError) and not _MISMATCH.search(str(error)):
            raise  # of a full or broken GPU, say
        raise RecordError(
            f"{folder}: its checkpoint is not of the run that {CONFIG} describes "
            f"({error}). Restore {CONFIG}, or load another run"
        ) from error
    return trained


def _require_tasks(path: Path, trained: Trained, fingerprint: str) -> None:
    """Refuse what was trained on other tasks than this version has."""
    family = trained.family
    # in files of before it is of the tasks that the run was tested on, some or all
    same = family, meta_tested(family, trained.run)
    if fingerprint not in (one.fingerprint() for one in same):
        raise RecordError(
            f"{path} was trained on other tasks of {family.name} than this version's; "
            "use the version that wrote it"
        )


def _untrained(run: RunConfig) -> Trained:
    """Build a run's learner; on the CPU if the GPU that it trained on is not here."""
    family = registry.family(run.suite, run.family)
    here = replace(run, device="cpu" if run.device == "cpu" else resolve_device("auto"))
    return Trained(run, family, build_learner(here, family))
