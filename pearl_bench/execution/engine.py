"""Where runs execute: on this machine, or on a cluster that decides when and where.

``local`` has a way of its own. A cluster is whatever knows the five verbs below: the
command submits to it and watches it (``follow``), its nodes train (``node``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pearl_bench.config.errors import UserError
from pearl_bench.execution.plan import Run
from pearl_bench.records.files import RecordError


class EngineError(UserError):
    """A cluster does not do what it was asked to.

    Attributes:
        said: what was asked, and the cluster's own words.

    Args:
        said: the same.
        remedy: what to do; it ends the message.
    """

    def __init__(self, said: str, remedy: str) -> None:
        super().__init__(f"{said}. {remedy}")
        self.said = said


class Job(NamedTuple):
    """How a job fares that waits or runs.

    Attributes:
        running: whether a node has it.
        text: the same in a few words, with the reason if it waits.
    """

    running: bool
    text: str


class Engine(Protocol):
    """A cluster, in five verbs; it chooses the names by which it knows its jobs.

    Attributes:
        name: as in the word ``engine=``.
    """

    name: str

    def alive(self, jobs: Collection[str]) -> Mapping[str, Job]:
        """Return those of the jobs that wait or run.

        Raises:
            EngineError: the cluster does not answer.
        """
        ...

    def objection(self, runs: Sequence[Run]) -> str:
        """Return, in its own words, why runs could not start now; "" if they could.

        Nothing is submitted. Not all of it is final: nodes come up again.

        Args:
            runs: what nobody trains yet.

        Raises:
            EngineError: the cluster does not answer.
        """
        ...

    def submit(
        self, runs: Sequence[Run], command: Sequence[str], living: Collection[str]
    ) -> Iterable[tuple[Run, str | RecordError]]:
        """Write each run's order and hand it over; yield the run with its job.

        A run whose folder takes no order is yielded with the reason instead.

        Args:
            runs: what nobody trains yet.
            command: the command line, for the records.
            living: jobs of the same command that were submitted earlier.

        Raises:
            EngineError: the cluster refuses; what was yielded before it keeps.
        """
        ...

    def cancel(self, jobs: Collection[str]) -> None:
        """Stop these jobs, those that train after a checkpoint; may be repeated.

        Raises:
            EngineError: the cluster does not answer.
        """
        ...

    def ended(self, job: str) -> str:
        """Say what is known of why a job that ``alive`` has missed is gone."""
        ...
