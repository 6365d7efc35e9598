"""A short film of a trained method adapting, as MP4 or animated GIF.

``pearl-bench clip run=<raw run folder or policy file>`` plays the meta-test once more,
each task once, and shows its episodes side by side. Where all test tasks are filmed,
the run plays each once too, and nothing was learnt after the last evaluation, these are
its very episodes.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pearl_bench.analysis.arms import METHODS
from pearl_bench.config.command import Command
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.trained import Trained, load
from pearl_bench.records import video
from pearl_bench.records.files import Word, make_folder, require_file
from pearl_bench.records.schema import CLIPS_FOLDER
from pearl_bench.training.evaluate import EvalRow, evaluate
from suites.base import (
    BatchEnv,
    MetaTest,
    Step,
    Task,
    TaskFamily,
    first_of_each_group,
)
from suites.gym import Filmed, find_task


@dataclass(frozen=True)
class ClipConfig:
    """What to film.

    Attributes:
        run: a raw run folder with a checkpoint, or a policy file.
        out: the files to write, MP4 or GIF; if none is named, clip.gif beside the
            checkpoint, or a GIF of the policy file's name beside that.
        results: write <results>/<suite>/clips/<family>.mp4 and .gif, where the page of
            analysis looks for them.
        tasks: which tasks to film, one below the other, by their index; the first two
            test tasks if empty, of two classes where there are some.
        episodes: which episodes to show side by side; if empty the first one, the last
            one that explores and the last one. 0 is played without experience.
    """

    run: str
    out: list[str] = field(default_factory=list)
    results: str | None = None
    tasks: list[int] = field(default_factory=list)
    episodes: list[int] = field(default_factory=list)


COMMAND = Command(
    "clip",
    ClipConfig,
    "Films a trained method adapting: its tasks one below the other, their episodes "
    "side by side.",
    "run=results/raw/locomotion/half-cheetah-fwd-back/pearl/seed=0 out=clip.mp4",
)
SIDE = 192
"""Pixels of an episode's view, per side; an even number, as MP4 wants it."""
TITLE, LABEL = 24, 36
"""Pixels of a line, above a task or below all, and of the two above a view."""
MARGIN, POINTS = 6, 12
FPS, SECONDS, PAUSE = 20, 4, 1.5
"""Pictures per second, at most; length of an episode; seconds that the end stays."""


class Shot(NamedTuple):
    """An episode of a task at one moment.

    Attributes:
        view: what the camera sees.
        text: how the episode stands.
    """

    view: Image.Image
    text: str


class Filming:
    """A family's ``make_batch`` that films the first batch it builds.

    Attributes:
        family: the family.
        episodes: the numbers of those that are filmed.
        every: steps from one picture to the next.
        fps: pictures per second of film.
        shots: of each episode and row of the batch, in the order of their happening.
        camera_fps: steps per second of the simulation, known once there is a batch.
    """

    def __init__(self, family: TaskFamily, episodes: Sequence[int]) -> None:
        self.family = family
        self.episodes = tuple(episodes)
        self.every = math.ceil(family.horizon / (FPS * SECONDS))
        self.fps = min(FPS, math.ceil(family.horizon / SECONDS))
        self.shots: dict[tuple[int, int], list[Shot]] = defaultdict(list)
        self.camera_fps: int | None = None

    def __call__(self, tasks: Sequence[Task], *, threads: int) -> BatchEnv:
        """Build the batch; later ones play other protocols and are not filmed."""
        env = self.family.make_batch(tasks, threads=threads)
        return env if self.camera_fps is not None else FilmedBatch(env, self)

    @property
    def speed(self) -> float:
        """How many times faster than life the film is."""
        assert self.camera_fps is not None
        return self.every * self.fps / self.camera_fps


class FilmedBatch:
    """Environments under a camera each; everything else is passed on."""

    def __init__(self, env: BatchEnv, film: Filming) -> None:
        self.num_envs = env.num_envs
        self._env = env
        self._film = film
        self._cameras = [cast(Filmed, env).camera(i, SIDE) for i in range(env.num_envs)]
        film.camera_fps = self._cameras[0].fps
        self._episode = film.family.meta_test.numbers.start - 1
        self._steps = 0
        self._total = np.zeros(env.num_envs)
        self._solved = np.zeros(env.num_envs, bool)

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start the next episode."""
        obs = self._env.reset(rng, rows)
        self._episode += 1
        self._steps = 0
        self._total[:] = 0
        self._solved[:] = False
        for i in range(self.num_envs):
            self._shoot(i)
        return obs

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Step, and take a picture now and then, and of every episode's end."""
        step = self._env.step(action, active)
        self._steps += 1
        self._total += step.sparse_reward
        if step.success is not None:
            self._solved |= step.success
        due = self._steps % self._film.every == 0
        due |= self._steps == self._film.family.horizon
        for i in range(self.num_envs):
            if (active is None or active[i]) and (due or step.terminated[i]):
                self._shoot(i, ended=bool(step.terminated[i]))
        return step

    def distance(self) -> np.ndarray | None:
        """Return what the environments say."""
        return self._env.distance()

    def close(self) -> None:
        """Release cameras and environments."""
        for camera in self._cameras:
            camera.close()
        self._env.close()

    def _shoot(self, i: int, *, ended: bool = False) -> None:
        if self._episode not in self._film.episodes:
            return
        text = f"return {self._total[i]:.{0 if abs(self._total[i]) >= 10 else 1}f}"
        text += ", solved" if self._solved[i] else ""
        text += f" in {self._steps} steps" if ended else ""
        view = Image.fromarray(self._cameras[i].picture())
        self._film.shots[self._episode, i].append(Shot(view, text))


def film(
    trained: Trained, indices: Sequence[int] = (), episodes: Sequence[int] = ()
) -> tuple[list[Image.Image], int, list[EvalRow]]:
    """Film the meta-test of a trained run.

    Args:
        trained: the run.
        indices: the tasks by their index; two test tasks if empty.
        episodes: those to show; the first, the last that explores and the last if
            empty.

    Returns:
        The pictures, how many of them make a second, and the rows, as in ``eval.csv``,
        of all episodes that were played.

    Raises:
        ConfigError: there is no such task or episode, or it cannot be filmed here.
    """
    family = trained.family
    try:
        tasks = tuple(find_task(family, index) for index in indices)
    except ValueError as error:
        raise ConfigError(f"tasks=: {error}") from error
    shown = _episodes(family.meta_test, episodes)
    _require_camera(family)
    tasks = tasks or _some_tasks(family)
    meta_test = replace(family.meta_test, repetitions=1, unadapted=0 in shown)
    tested = replace(family, test=tasks).tested_by(meta_test)
    filming = Filming(tested, shown)
    filmed = replace(tested, make_batch=filming)
    run = trained.run
    rows = evaluate(
        trained.learner,
        filmed,
        seed=run.seed,
        threads=run.threads,
        reported_only=True,
    )
    caption = f"{_origin(trained)}; {filming.speed:.2g} times real time"
    frames = _frames(filming, tasks, caption)
    return frames, filming.fps, rows


def _episodes(meta_test: MetaTest, wanted: Sequence[int]) -> list[int]:
    """Return the numbers of the episodes to show.

    Raises:
        ConfigError: there is no such episode.
    """
    last = meta_test.episodes
    if unknown := [number for number in wanted if not 0 <= number <= last]:
        raise ConfigError(
            f"episodes=: there is no episode {unknown[0]}; they are 1 to {last}, "
            "and 0, before any experience"
        )
    usual = {1, max(1, meta_test.exploration_episodes), last}
    return sorted(set(wanted) or usual)


def _some_tasks(family: TaskFamily) -> tuple[Task, ...]:
    classes = first_of_each_group(family.test, 1)
    return (classes if len(classes) > 1 else family.test)[:2]


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
        env.camera(0, SIDE).close()
    except RuntimeError as error:  # no OpenGL library
        raise ConfigError(str(error)) from error
    finally:
        env.close()


def _frames(filming: Filming, tasks: Sequence[Task], caption: str) -> list[Image.Image]:
    """Lay all shots out, a line of views per task; who has ended waits for the rest."""
    font, family = _font(), filming.family
    titles = [f"task: {family.tell(task)}" for task in tasks]
    longest = max(font.getlength(text) for text in (caption, *titles))
    width = max(SIDE * len(filming.episodes), math.ceil(longest) + 2 * MARGIN)
    height = (TITLE + LABEL + SIDE) * len(tasks) + TITLE
    blank = Image.new("RGB", (width + width % 2, height), "white")
    ink = ImageDraw.Draw(blank)
    ink.text((MARGIN, height - TITLE + 4), caption, "gray", font)
    for i, title in enumerate(titles):
        top = i * (TITLE + LABEL + SIDE)
        ink.rectangle((0, top, blank.width, top + TITLE - 1), "#e8eef4")
        ink.text((MARGIN, top + 4), title, "black", font)
    frames = []
    for now in range(max(map(len, filming.shots.values()))):
        frame = blank.copy()
        ink = ImageDraw.Draw(frame)
        for (episode, i), shots in filming.shots.items():
            shot = shots[min(now, len(shots) - 1)]
            left = filming.episodes.index(episode) * SIDE
            top = i * (TITLE + LABEL + SIDE) + TITLE
            text = f"{_kind(episode, family.meta_test)}\n{shot.text}"
            ink.text((left + MARGIN, top + 2), text, "black", font, spacing=2)
            frame.paste(shot.view, (left, top + LABEL))
            corners = (left, top + LABEL, left + SIDE - 1, top + LABEL + SIDE - 1)
            ink.rectangle(corners, outline="white")
        frames.append(frame)
    return frames + [frames[-1]] * round(PAUSE * filming.fps)


def _font() -> ImageFont.FreeTypeFont:
    """Return the type of the figures, which has RL²'s 2 as well; Pillow's has not."""
    found = find_spec("matplotlib")  # to import it takes a folder that can be written
    assert found is not None
    assert found.origin is not None
    data = Path(found.origin).with_name("mpl-data")
    return ImageFont.truetype(data / "fonts" / "ttf" / "DejaVuSans.ttf", POINTS)


def _origin(trained: Trained) -> str:
    run, steps = trained.run, trained.learner.env_steps
    method = METHODS.get(run.learner, run.learner)
    return f"{run.family}: {method}, seed {run.seed}, {steps:,} steps"


def _kind(episode: int, meta_test: MetaTest) -> str:
    if episode == 0:
        return "before any experience"
    explores = episode <= meta_test.exploration_episodes
    return f"episode {episode}, {'exploring' if explores else 'adapted'}"


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _clip)


def _clip(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    source = Path(wanted.run).expanduser()
    files: Sequence[tuple[Path, Word]] = [
        (Path(out).expanduser(), "out") for out in wanted.out
    ]
    _require_writable(files)
    trained = load(source)
    if wanted.results is not None:
        run = trained.run
        clips = Path(wanted.results).expanduser() / run.suite / CLIPS_FOLDER
        names = [f"{run.family}{kind}" for kind in video.KINDS]
        files = [*files, *((clips / name, "results") for name in names)]
    if not files:
        beside = source / "clip.gif" if source.is_dir() else source.with_suffix(".gif")
        files = [(beside, "out")]
    _require_writable(files)
    frames, fps, rows = film(trained, wanted.tasks, wanted.episodes)
    for row in rows:
        print(f"task {row.task}, episode {row.episode}: return {row.total:.1f}")
    for path, _ in files:
        make_folder(path.parent)
        video.save(path, frames, fps)
        print(f"wrote {path} ({path.stat().st_size / 2**20:.2f} MiB)")
    return 0


def _require_writable(files: Sequence[tuple[Path, Word]]) -> None:
    """Refuse films that could not be written, before anything is played.

    Args:
        files: each, and the word that names it.

    Raises:
        ConfigError: one is of a kind that cannot be written here.
        RecordError: one could not be written where it is to be.
    """
    for path, about in files:
        video.require_encoder(path)
        require_file(path, about)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
