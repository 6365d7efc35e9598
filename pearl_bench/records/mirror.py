"""A run's CSV files shown elsewhere: TensorBoard or Weights & Biases, both optional.

The files stay the truth. At each checkpoint their new rows are passed on; rows that a
killed run had written after its last checkpoint, and that a resumed one takes back,
were never shown. ``mirror.json`` in the run's folder says how far the mirror is in
each file: a run may stop between a row of ``train.csv`` and the meta-test that belongs
to it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import statistics
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pearl_bench.config.types import ConfigError, RunConfig
from pearl_bench.records import schema
from pearl_bench.records.files import RecordError, read_json, write_atomic
from pearl_bench.records.run_folder import EVAL, TRAIN
from pearl_bench.records.table import Table

STATE = "mirror.json"
FILES = (TRAIN, EVAL)
"""What is shown of a run."""
PROJECT = "pearl_bench"

Values = dict[str, float]


class Sink(Protocol):
    """Where values are shown."""

    def add(self, env_steps: int, values: Values) -> None:
        """Show values at a number of environment steps."""
        ...

    def close(self) -> None:
        """Write what is pending."""
        ...


class TensorBoard:
    """Event files in ``<run>/tensorboard``; each session adds one."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        self._writer = SummaryWriter(folder / "tensorboard")

    def add(self, env_steps: int, values: Values) -> None:
        """Show values at a number of environment steps."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, env_steps)

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()


class WandB:
    """A run of the project ``pearl_bench``, its files in ``<run>/wandb``.

    ``WANDB_MODE=offline`` and all other variables of W&B apply.
    """

    def __init__(self, run: RunConfig, folder: Path, identity: str) -> None:
        # the type checker need not find the package
        wandb: Any = importlib.import_module("wandb")
        self._run = wandb.init(
            project=PROJECT,
            id=identity,
            name=f"{run.family} {run.learner} seed={run.seed}",
            group=run.family,
            config=asdict(run),
            dir=folder,
            resume="allow",
        )
        self._run.define_metric("*", step_metric="env_steps")

    def add(self, env_steps: int, values: Values) -> None:
        """Show values at a number of environment steps."""
        self._run.log({"env_steps": env_steps, **values})

    def close(self) -> None:
        """Write what is pending."""
        self._run.finish()


class Mirror:
    """Passes a run's new rows on whenever it is called; a context manager.

    It is opened before training, so that a missing key or network is noticed at once,
    in a folder that this process holds. From then on it never ends the training: it
    falls behind, says so, and catches up when it can.

    Args:
        run: what is mirrored, and where to.
        folder: the run's folder.
        say: is told when the mirror falls behind, and when it has caught up.
    """

    def __init__(
        self, run: RunConfig, folder: Path, say: Callable[[str], None] = print
    ) -> None:
        self._run = run
        self._folder = folder
        self._say = say
        self._sink: Sink | None = None
        self._state: dict[str, Any] = {}
        self._behind = False

    def __enter__(self) -> Self:
        """Open the mirror.

        Raises:
            ConfigError: it cannot be opened.
        """
        if self._run.mirror != "none":
            try:
                self._state = self._read_state()
                self._sink = self._open()
            except Exception as error:  # whatever the library raises
                why = str(error).removesuffix(".")
                raise ConfigError(
                    f"mirror={self._run.mirror} cannot be opened: {why}. Mend that, or "
                    "take mirror=none; the CSV files have all rows, and a later "
                    "session may mirror them"
                ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the mirror."""
        if self._sink is not None:
            self._attempt(self._sink.close)

    def __call__(self) -> None:
        """Show the rows that are new since the last call, in whatever session."""
        if self._sink is not None:
            self._attempt(self._catch_up)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever the library raises
            if not self._behind:
                self._say(f"mirror={self._run.mirror} has fallen behind: {error}")
            self._behind = True
        else:
            if self._behind:
                self._say(f"mirror={self._run.mirror} has caught up")
            self._behind = False

    def _catch_up(self) -> None:
        assert self._sink is not None
        shown = self._state["env_steps"]
        for env_steps, found in _rows(self._folder):
            new = [file for file in found if env_steps > shown[file]]
            if new:
                values = {k: v for file in new for k, v in found[file].items()}
                self._sink.add(env_steps, values)
                shown |= dict.fromkeys(new, env_steps)
        text = json.dumps(self._state, indent=2) + "\n"
        write_atomic(self._folder / STATE, text.encode())

    def _read_state(self) -> dict[str, Any]:
        path = self._folder / STATE
        fresh = {
            "mirror": self._run.mirror,
            "id": uuid.uuid4().hex,
            "env_steps": dict.fromkeys(FILES, 0),
        }
        try:
            state = read_json(path)
        except FileNotFoundError:
            return fresh
        if not isinstance(state, dict) or not fresh.keys() <= state.keys():
            raise RecordError(f"{path} is damaged; move it away.")
        shown = state["env_steps"]
        if isinstance(shown, int):  # once one number stood for both files
            shown = state["env_steps"] = dict.fromkeys(FILES, shown)
        if not isinstance(shown, dict) or not all(
            isinstance(shown.get(file), int) for file in FILES
        ):
            raise RecordError(f"{path} is damaged; move it away.")
        # Another mirror than before shows the run from its beginning.
        return state if state["mirror"] == self._run.mirror else fresh

    def _open(self) -> Sink:
        if self._run.mirror == "tensorboard":
            return TensorBoard(self._folder)
        return WandB(self._run, self._folder, self._state["id"])


def require(kind: str) -> None:
    """Make sure that a mirror's package is installed.

    Raises:
        ConfigError: it is not; the message says how to install it.
    """
    if kind != "none" and importlib.util.find_spec(kind) is None:
        raise ConfigError(
            f"mirror={kind} needs the package {kind}, which is not installed: "
            f"pip install 'pearl_bench[{kind}]', or in a clone "
            f"pip install -e '.[{kind}]'"
        )


def _rows(folder: Path) -> Iterator[tuple[int, dict[str, Values]]]:
    """Return each iteration's values in order: training metrics, meta-test means.

    Those of either file stand under its name.
    """
    found: dict[int, dict[str, Values]] = {}
    for row in _read(schema.TRAIN, folder / TRAIN):
        steps = row.pop("env_steps")
        metrics = {f"train/{name}": value for name, value in row.items()}
        found.setdefault(steps, {})[TRAIN] = metrics
    returns: dict[tuple[int, str], list[float]] = {}
    for row in _read(schema.EVAL, folder / EVAL):
        place = f"{row['protocol']}-{row['split']}/episode_{row['episode']}"
        for measure in ("return", "success"):
            if row[measure] is not None:
                key = row["env_steps"], f"meta_test/{measure}/{place}"
                returns.setdefault(key, []).append(row[measure])
    for (steps, name), values in returns.items():
        means = found.setdefault(steps, {}).setdefault(EVAL, {})
        means[name] = statistics.fmean(values)
    yield from sorted(found.items())


def _read(table: Table, path: Path) -> Iterator[dict[str, Any]]:
    if path.exists() and path.stat().st_size:
        remedy = "Restore the file, or move the folder away."
        yield from (line.values for line in table.read(path, remedy))
