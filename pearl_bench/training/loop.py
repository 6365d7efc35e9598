"""The one training loop: collect, update, evaluate, checkpoint, for every method."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pearl_bench.records import checkpoint
from pearl_bench.records.run_folder import RunRecord
from pearl_bench.records.schema import NOT_METRICS
from pearl_bench.training.evaluate import evaluate, reported_return
from pearl_bench.training.learner import restore
from pearl_bench.training.types import MetaLearner, Metrics, Progress, StopRequested
from suites.base import TaskFamily

if TYPE_CHECKING:
    from pearl_bench.config.types import RunConfig


PATIENCE = 30.0
"""Seconds after which a meta-test is told to take long: its counters stand still."""


class _Means:
    """Means of metrics over an iteration, weighted by the updates behind them."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weights: dict[str, int] = {}

    def add(self, metrics: Metrics, weight: int) -> None:
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + weight * value
            self.weights[name] = self.weights.get(name, 0) + weight

    def result(self) -> Metrics:
        return {name: self.sums[name] / self.weights[name] for name in self.sums}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.weights = dict(state["sums"]), dict(state["weights"])


def train(
    learner: MetaLearner,
    family: TaskFamily,
    run: RunConfig,
    record: RunRecord,
    progress: Progress,
    stop: Callable[[], bool],
) -> bool:
    """Meta-train until the run's steps are reached, continuing from its checkpoint.

    Iterations are whole: the run ends with the first iteration that reaches
    ``run.steps``. The learner is evaluated after the iterations that pass a multiple
    of ``run.eval_every`` environment steps, and after the last.

    Args:
        learner: a fresh learner.
        family: the tasks.
        run: steps, evaluation interval, checkpoint interval.
        record: the run's folder; its rows after the checkpoint are taken back.
        progress: told after every slice of work.
        stop: polled after every slice, and at every step of a meta-test, which the run
            plays anew when it goes on; true ends the run with a checkpoint.

    Returns:
        Whether the steps were reached.

    Raises:
        NonFiniteLoss: a loss is NaN or infinite; what was recorded stays.
        CheckpointError: no checkpoint of the folder can be read.
        ValueError: a metric has the name of another column.
    """
    return _Loop(learner, family, run, record, progress).run_until(stop)


class _Loop:
    """The state of a run beside its learner's."""

    def __init__(
        self,
        learner: MetaLearner,
        family: TaskFamily,
        run: RunConfig,
        record: RunRecord,
        progress: Progress,
    ) -> None:
        self.learner = learner
        self.family = family
        self.run = run
        self.record = record
        self.progress = progress
        self.means = _Means()
        self.seconds = 0.0
        self.test_return: float | None = None
        self.evaluated_at = 0
        self.row_due = self.meta_test_due = False
        self.learnt = self.iteration_updates = 0
        self._resume()
        self.clock = time.monotonic()
        self.saved_at = self.clock

    def run_until(self, stop: Callable[[], bool]) -> bool:
        self._tell()  # what is known at the start: a slice may take minutes
        while not self._finished():
            if self.learner.updates_due:
                before = self.learner.updates_done
                metrics = self.learner.update()
                self.means.add(metrics, self.learner.updates_done - before)
            elif self.row_due:
                self._end_iteration()
            elif self.meta_test_due:
                try:
                    self._meta_test(stop)
                except StopRequested:
                    self._save()
                    return False
            else:
                self.learnt = self.learner.env_steps
                self.means.add(self.learner.collect(), 1)
                self.row_due = True
                self.iteration_updates = self.learner.updates_due
            self._tell()
            if stop():
                self._save()
                return self._finished()
            if time.monotonic() - self.saved_at > 60 * self.run.checkpoint_minutes:
                self._save()
        self._save()
        return True

    def _tell(self) -> None:
        """Tell the steps learnt from so far: unlike those collected, they flow."""
        fresh = self.learner.env_steps - self.learnt
        share = 1 - self.learner.updates_due / max(1, self.iteration_updates)
        steps = self.learnt + int(share * fresh)
        self.progress.update(steps, self.learner.updates_done, self.test_return)

    def _finished(self) -> bool:
        due = self.learner.updates_due or self.row_due or self.meta_test_due
        return not due and self.learner.env_steps >= self.run.steps

    def _end_iteration(self) -> None:
        """Write the iteration's row, and say whether a meta-test is due."""
        steps = self.learner.env_steps
        means = self.means.result()
        if taken := means.keys() & set(NOT_METRICS):
            raise ValueError(
                f"the method returns metrics called {', '.join(sorted(taken))}, which "
                "are other columns of train.csv; give them other names"
            )
        self._tick()
        self.record.append_train(
            {
                "env_steps": steps,
                "updates": self.learner.updates_done,
                **means,
                "wall_s": round(self.seconds, 3),
            }
        )
        self.means = _Means()
        self.row_due = False
        every = self.run.eval_every
        passed = steps // every > self.evaluated_at // every
        self.meta_test_due = passed or steps >= self.run.steps

    def _meta_test(self, stop: Callable[[], bool]) -> None:
        """Evaluate the learner and write the rows."""
        steps = self.learner.env_steps
        rows = evaluate(
            self.learner,
            self.family,
            seed=self.run.seed,
            threads=self.run.threads,
            stop=self._patiently(stop),
        )
        self.test_return = reported_return(rows, self.family)
        self.evaluated_at = steps
        self.meta_test_due = False
        self._tick()
        wall_s = round(self.seconds, 3)
        self.record.append_eval([row.in_file(steps, wall_s) for row in rows])

    def _patiently(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Return ``stop``, which says once that what polls it takes long."""
        due: float | None = time.monotonic() + PATIENCE

        def polled() -> bool:
            nonlocal due
            if due is not None and time.monotonic() >= due:
                due = None
                steps = self.learner.env_steps
                self.progress.say(f"in the meta-test at {steps:,} steps")
            return stop()

        return polled

    def _tick(self) -> None:
        """Add the time since the last tick to the run's seconds."""
        now = time.monotonic()
        self.seconds += now - self.clock
        self.clock = now

    def _save(self) -> None:
        self._tick()
        checkpoint.save(
            self.record.folder,
            {
                "learner": self.learner.state_dict(),
                "means": self.means.state_dict(),
                "seconds": self.seconds,
                "test_return": self.test_return,
                "evaluated_at": self.evaluated_at,
                "row_due": self.row_due,
                "meta_test_due": self.meta_test_due,
                "learnt": self.learnt,
                "iteration_updates": self.iteration_updates,
                "position": self.record.position(),
            },
        )
        self.record.progress(self.learner.env_steps, self.seconds)
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        state = checkpoint.load(self.record.folder, self.progress.say)
        if state is None:
            self.record.rewind(None)
            return
        restore(self.learner, state["learner"], self.progress.say)
        self.means.load_state_dict(state["means"])
        self.seconds = state["seconds"]
        self.test_return = state["test_return"]
        self.evaluated_at = state["evaluated_at"]
        self.row_due = state["row_due"]
        self.learnt = state.get("learnt", self.learner.env_steps)
        self.iteration_updates = state.get(
            "iteration_updates", self.learner.updates_due
        )
        # older versions took no checkpoint between a row and its meta-test
        self.meta_test_due = state.get("meta_test_due", False)
        self.record.rewind(state["position"])
        self.record.go_on_from(self.learner.env_steps, self.seconds)
        # asked for fewer steps than it has, it ends here, and with a meta-test
        if self._finished() and self.evaluated_at < self.learner.env_steps:
            self.meta_test_due = True
