"""A trained learner, rebuilt from its run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.types import ConfigError, RunConfig
from pearl_bench.execution.plan import resolve_device
from pearl_bench.execution.work import build_learner
from pearl_bench.records import checkpoint
from pearl_bench.records.files import RecordError
from pearl_bench.records.run_folder import CONFIG
from pearl_bench.training.types import MetaLearner
from suites.base import TaskFamily


class Trained(NamedTuple):
    """A run as its last checkpoint left it."""

    run: RunConfig
    family: TaskFamily
    learner: MetaLearner


def restore(folder: Path, say: Callable[[str], None] = print) -> Trained:
    """Rebuild a run's learner from its last checkpoint, on the device it trained on.

    Args:
        folder: a raw run folder.
        say: is told when the newest checkpoint could not be used.

    Raises:
        RecordError: the folder holds no run, or no checkpoint that can be read.
        ConfigError: its configuration is damaged, or the device is not there.
    """
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(
            f"{folder} holds no run: there is no {CONFIG}. Give a folder like "
            "results/raw/<suite>/<family>/<learner>/seed=0"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / CONFIG} cannot be read: {error}") from error
    run = configuration.from_yaml(text)
    family = registry.family(run.suite, run.family)
    state = checkpoint.load(folder, say)
    if state is None:
        raise RecordError(f"{folder} has no checkpoint; train the run first")
    here = replace(run, device=resolve_device(run.device))
    learner = build_learner(here, family)
    learner.load_state_dict(state["learner"])
    return Trained(run, family, learner)
