"""A short film of a trained method adapting, as an animated GIF.

``pearl-bench clip run=<raw run folder>`` plays the run's meta-test once more from its
last checkpoint, episode 0 aside and each task once. Where all test tasks are filmed,
the run plays each once too, and nothing was learnt after the last evaluation, these are
its very episodes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pearl_bench.config.command import Command
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.trained import load
from pearl_bench.training.evaluate import EvalRow, evaluate
from suites.base import BatchEnv, MetaTest, Step, Task, TaskFamily
from suites.gym import Filmed, find_task


@dataclass(frozen=True)
class ClipConfig:
    """What to film.

    Attributes:
        run: a raw run folder with a checkpoint.
        out: the file to write, a GIF; clip.gif in that folder if none.
        tasks: which tasks to film side by side, by their index; the first two test
            tasks if empty.
    """

    run: str
    out: str | None = None
    tasks: list[int] = field(default_factory=list)


COMMAND = Command(
    "clip",
    ClipConfig,
    "Films a trained method adapting, from its last checkpoint, as an animated GIF.",
    "run=results/raw/locomotion/half-cheetah-fwd-back/pearl/seed=0",
)
SIDE, BAND = 200, 34
"""Pixels of one task's view, and of the line above it."""
COLOURS = 48
SPEED = 3
"""Times faster than life."""
EVERY = 4
"""Steps from one picture to the next."""


class Filming:
    """A family's ``make_batch`` that films the first batch it builds.

    Attributes:
        family: the family.
        frames: what has been filmed so far, all tasks side by side.
        fps: pictures per second of simulated time, known once there is a batch.
    """

    def __init__(self, family: TaskFamily) -> None:
        self.family = family
        self.frames: list[Image.Image] = []
        self.fps: float | None = None

    def __call__(self, tasks: Sequence[Task], *, threads: int) -> BatchEnv:
        """Build the batch; later ones play other protocols and are not filmed."""
        env = self.family.make_batch(tasks, threads=threads)
        return env if self.fps is not None else FilmedBatch(env, self)


class FilmedBatch:
    """Environments under a camera each; everything else is passed on."""

    def __init__(self, env: BatchEnv, film: Filming) -> None:
        self.num_envs = env.num_envs
        self._env = env
        self._film = film
        self._cameras = [cast(Filmed, env).camera(i) for i in range(env.num_envs)]
        film.fps = self._cameras[0].fps / EVERY
        self._episode = self._steps = 0
        self._total = np.zeros(env.num_envs)

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start the next episode."""
        self._episode += 1
        self._steps = 0
        self._total[:] = 0
        return self._env.reset(rng, rows)

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Step, and take a picture now and then."""
        step = self._env.step(action, active)
        self._total += step.sparse_reward
        self._steps += 1
        if self._steps % EVERY == 0:
            self._film.frames.append(self._picture(self._film.family.meta_test))
        return step

    def distance(self) -> np.ndarray | None:
        """Return what the environments say."""
        return self._env.distance()

    def close(self) -> None:
        """Release cameras and environments."""
        for camera in self._cameras:
            camera.close()
        self._env.close()

    def _picture(self, meta_test: MetaTest) -> Image.Image:
        frame = Image.new("RGB", (SIDE * self.num_envs, SIDE + BAND), "white")
        draw, font = ImageDraw.Draw(frame), ImageFont.load_default(12)
        explores = self._episode <= meta_test.exploration_episodes
        kind = "exploring" if explores else "adapted"
        for i, camera in enumerate(self._cameras):
            view = Image.fromarray(camera.picture()).resize((SIDE, SIDE))
            frame.paste(view, (i * SIDE, BAND))
            text = f"episode {self._episode}, {kind}\nreturn {self._total[i]:.0f}"
            draw.text((i * SIDE + 6, 2), text, "black", font, spacing=2)
        return frame


def film(folder: Path, indices: Sequence[int]) -> tuple[Filming, list[EvalRow]]:
    """Film the meta-test of a trained run.

    Args:
        folder: a raw run folder with a checkpoint.
        indices: the tasks by their index; the first two test tasks if empty.

    Returns:
        The film, and the episodes' rows as in ``eval.csv``.

    Raises:
        RecordError: the folder holds no trained run.
        ConfigError: there is no such task, or its suite cannot be filmed here.
    """
    run, family, learner = load(folder)
    try:
        tasks = tuple(find_task(family, index) for index in indices)
    except ValueError as error:
        raise ConfigError(f"tasks=: {error}") from error
    _require_camera(family)
    film = Filming(family)
    filmed = replace(
        family,
        test=tasks or family.test[:2],
        make_batch=film,
    ).tested_by(replace(family.meta_test, repetitions=1, unadapted=False))
    rows = evaluate(learner, filmed, seed=run.seed, threads=run.threads)
    return film, [row for row in rows if row.protocol == "suite"]


def _require_camera(family: TaskFamily) -> None:
    """Refuse a family that cannot be filmed, before anything is played.

    Raises:
        ConfigError: says why.
    """
    env = family.make_batch(family.test[:1], threads=1)
    try:
        if not isinstance(env, Filmed):
            raise ConfigError(
                f"{family.name} cannot be filmed: its environments have no camera"
            )
        env.camera(0).close()
    except RuntimeError as error:  # no OpenGL library
        raise ConfigError(str(error)) from error
    finally:
        env.close()


def save(film: Filming, path: Path) -> None:
    """Write a film as an endless GIF with one palette for all pictures."""
    assert film.fps is not None
    palette = film.frames[0].quantize(COLOURS)
    frames = [
        frame.quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in film.frames
    ]
    milliseconds = round(1000 / film.fps / SPEED)
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0
    )


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _clip)


def _clip(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    folder = Path(wanted.run).expanduser()
    out = Path(wanted.out or folder / "clip.gif").expanduser()
    _require_writable(out)
    found, rows = film(folder, wanted.tasks)
    save(found, out)
    for row in rows:
        print(f"task {row.task}, episode {row.episode}: return {row.total:.1f}")
    print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")
    return 0


def _require_writable(out: Path) -> None:
    """Refuse a file that could not be written, before anything is played.

    Raises:
        ConfigError: says what is wrong with it.
    """
    if out.suffix.lower() != ".gif":
        raise ConfigError(f"out={out}: a film is a GIF; take a name that ends in .gif")
    if out.is_dir() or not out.parent.is_dir():
        what = "is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise ConfigError(f"out={out}: {what}; name a file in a folder that exists")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise ConfigError(f"out={out} cannot be written; name another file")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
