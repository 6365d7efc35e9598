"""Films of trained methods: what is played, what is shown, what is written."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageSequence
from raw_runs import train_small

import suites
from pearl_bench import clip
from pearl_bench.analysis.arms import METHODS
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.trained import load
from pearl_bench.records import files, video
from suites.base import tell_numbers

OLDER_RUNS = Path(__file__).parents[1] / "data" / "older_runs"
WORDS = [
    "suite=locomotion",
    "families=half-cheetah-fwd-back",
    "learners=promp",
    "budget=smoke",
    "promp.episodes=1",  # one exploration episode of its own: a second protocol
]
FAMILIES = [
    family
    for suite in ("locomotion", "navigation", "ml1", "ml10", "ml45")
    for family in suites.load(suite).families
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("raw"), *WORDS)


@pytest.fixture
def _few(monkeypatch):
    monkeypatch.setattr(clip, "FPS", 1)  # rendering takes longer than all else


def of_mp4(path: Path, size: tuple[int, int]) -> list[Image.Image]:
    """Return the pictures of a film that has one per second."""
    words = ["-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *words]
    read = subprocess.run(command, capture_output=True, check=True)
    about = read.stderr.decode()
    assert f"{size[0]}x{size[1]}" in about
    assert " 1 fps" in about
    pixels = np.frombuffer(read.stdout, np.uint8).reshape(-1, size[1], size[0], 3)
    return [Image.fromarray(one) for one in pixels]


@pytest.mark.usefixtures("opengl", "_few")
def test_film_shows_the_last_evaluation(folder, tmp_path, capsys):
    assert clip.main([f"run={folder}", f"results={tmp_path}"]) == 0
    with (folder / "eval.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["protocol"] == "suite"]
    last = [
        f"task {row['task']}, episode {row['episode']}: "
        f"return {float(row['return']):.1f}"
        for row in rows[-8:]
        if row["episode"] != "0"
    ]
    assert capsys.readouterr().out.splitlines()[:6] == last
    path = tmp_path / "locomotion" / "clips" / "half-cheetah-fwd-back.mp4"
    frames = of_mp4(path, (576, 528))
    # 200 steps, a picture at the start and every 50; the end stays for 1.5 seconds
    assert len(frames) == 1 + 4 + 2
    with Image.open(path.with_suffix(".gif")) as film:
        assert film.size == frames[0].size
        pictures, shown = zip(
            *(
                (frame.convert("RGB"), frame.info["duration"])
                for frame in ImageSequence.Iterator(film)
            ),
            strict=True,
        )
    assert shown == (1000, 1000, 1000, 1000, 3000)
    for one, other in zip(pictures, frames, strict=False):
        difference = np.asarray(ImageChops.difference(one, other))
        assert difference.mean() < 6  # of 255: the same film
    assert len({picture.tobytes() for picture in pictures}) == 5


@pytest.mark.usefixtures("opengl", "_few")
def test_a_policy_file_is_filmed_like_the_run(folder, tmp_path):
    words = [f"out={tmp_path / 'policy.gif'},{tmp_path / 'run.gif'}", "episodes=3"]
    assert clip.main([f"run={folder}", words[0], words[1], "tasks=1"]) == 0
    of_run = (tmp_path / "run.gif").read_bytes()
    assert (tmp_path / "policy.gif").read_bytes() == of_run
    policy = tmp_path / "policy.safetensors"
    policy.write_bytes((folder / "policy.safetensors").read_bytes())
    assert clip.main([f"run={policy}", "episodes=3", "tasks=1"]) == 0
    assert policy.with_suffix(".gif").read_bytes() == of_run
    assert not (tmp_path / "clip.gif").exists()  # where others' films lie, too


@pytest.mark.slow
@pytest.mark.usefixtures("opengl", "_few")
def test_meta_world_is_filmed(tmp_path):
    run = OLDER_RUNS / "reach-rl2" / "raw" / "ml1" / "reach" / "rl2" / "seed=0"
    out = tmp_path / "reach.mp4"
    assert clip.main([f"run={run}", f"out={out}", "tasks=50", "episodes=1,2,13"]) == 0
    frames = of_mp4(out, (576, 276))
    assert len(frames) == 1 + 4 + 2
    top = clip.TITLE + clip.LABEL
    views = [
        np.asarray(one.crop((0, top, clip.SIDE, top + clip.SIDE)), float)
        for one in (frames[0], frames[-1])
    ]
    assert views[0].std() > 20  # a robot and a table
    assert np.abs(views[0] - views[1]).max() > 100  # which has moved


def test_a_gif_has_every_second_picture_for_twice_as_long(tmp_path):
    frames = [Image.new("RGB", (64, 64)) for _ in range(20)]
    for i, frame in enumerate(frames):
        frame.paste("white", (3 * i, 0, 3 * i + 3, 64))
    video.save(tmp_path / "film.gif", frames, 20)
    with Image.open(tmp_path / "film.gif") as film:
        shown = [frame.info["duration"] for frame in ImageSequence.Iterator(film)]
    assert shown == [100] * 10


def laid_out(family, task, text="return 7") -> Image.Image:
    filming = clip.Filming(family, [1, 2, 3])
    view = Image.new("RGB", (clip.SIDE, clip.SIDE), "gray")
    for episode in (1, 2, 3):
        filming.shots[episode, 0].append(clip.Shot(view, text))
    return clip._frames(filming, [task], "whose it is")[0]


def test_the_task_and_the_return_stand_on_every_frame():
    (family,) = (one for one in FAMILIES if one.name == "half-cheetah-fwd-back")
    back, forth = (laid_out(family, task) for task in family.test)
    left, top, right, bottom = ImageChops.difference(back, forth).getbbox() or (0,) * 4
    assert 30 < left < right < 140
    assert 0 < top < bottom <= clip.TITLE
    more = laid_out(family, family.test[0], "return 8")
    changed = ImageChops.difference(back, more).getbbox() or (0,) * 4
    assert clip.TITLE < changed[1] < changed[3] <= clip.TITLE + clip.LABEL


def test_the_method_is_called_as_people_write_it(folder):
    trained = load(folder)
    steps = f"{trained.learner.env_steps:,}"
    said = f"half-cheetah-fwd-back: ProMP, seed 0, {steps} steps"
    assert clip._origin(trained) == said


def test_whatever_a_film_says_has_letters():
    def drawn(letter: str) -> bytes:
        image = Image.new("L", (24, 24))
        ImageDraw.Draw(image).text((2, 2), letter, 255, clip._font())
        return image.tobytes()

    said = [*METHODS.values(), *(one.tell(one.test[0]) for one in FAMILIES)]
    assert not {letter for letter in "".join(said) if drawn(letter) == drawn("\uffff")}


def test_every_family_tells_its_tasks_apart():
    for family in FAMILIES:
        told = [family.tell(task) for task in family.test]
        assert told[0] != told[1]
        assert len(set(told)) > 0.3 * len(family.test), family.name
        assert all(0 < len(text) <= 90 and text.isprintable() for text in told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("half-cheetah-fwd-back", "backwards"),
        ("half-cheetah-vel", "2.05 m/s"),
        ("ant-fwd-back", "forwards"),
        ("ant-goal-2d", "goal (2.31, -0.11) m"),
        ("humanoid-direc-2d", "direction 127°"),
        (
            "walker-2d-params",
            "multiples of mass 0.3-3.3, inertia 0.3-2.8, damping 0.5-1.9, "
            "friction 0.3-3.4",
        ),
        ("point-robot", "goal (0.80, -0.48)"),
        ("push", "push: goal (0.02, 0.89, 0.01), object at (-0.03, 0.62, 0.02)"),
        ("door-open", "door-open: object at (0.04, 0.85, 0.15)"),
        ("disassemble", "disassemble: object at (0.04, 0.74, 0.03)"),
    ],
)
def test_tasks_are_told_in_words(name, told):
    (family,) = (one for one in FAMILIES if one.name == name)
    assert family.tell(family.test[0]) == told


def test_a_family_without_words_tells_class_and_numbers():
    (family,) = (one for one in FAMILIES if one.name == "point-robot")
    plain = replace(family, tell=tell_numbers)
    assert plain.tell(family.test[0]) == "task 80: 0.797, -0.475"


def test_mistakes_are_named(folder, tmp_path, capsys):
    assert clip.main([]) == 2
    assert "run= is missing; for example run=results/raw/" in capsys.readouterr().err
    assert clip.main([f"run={tmp_path}"]) == 2
    assert "holds no run: there is no config.yaml" in capsys.readouterr().err
    results = tmp_path / "results"
    assert clip.main([f"run={folder}", "tasks=7", f"results={results}"]) == 2
    assert "half-cheetah-fwd-back has no task 7" in capsys.readouterr().err
    assert not results.exists()
    results.write_text("a file")
    assert clip.main([f"run={folder}", f"results={results}"]) == 2
    assert f"{results} is no folder; name another" in capsys.readouterr().err
    assert clip.main([f"run={folder}", "episodes=3,4"]) == 2
    assert "there is no episode 4; they are 1 to 3, and 0" in capsys.readouterr().err
    (folder / "checkpoint.pt").rename(tmp_path / "checkpoint.pt")
    assert clip.main([f"run={folder}"]) == 2
    assert "has no checkpoint; train the run first" in capsys.readouterr().err
    (tmp_path / "checkpoint.pt").rename(folder / "checkpoint.pt")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("clip.avi", "a film is a file that ends in .mp4 or .gif"),
        ("a.gif/clip.gif", "is no folder; name another"),
        ("made.gif", "is a folder; name a file"),
    ],
)
def test_a_bad_out_is_refused_before_anything_is_loaded(out, said, tmp_path, capsys):
    (tmp_path / "made.gif").mkdir()
    (tmp_path / "a.gif").write_text("a film")
    assert clip.main([f"run={tmp_path / 'none'}", f"out={tmp_path / out}"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder of Linux")
def test_a_folder_that_takes_no_file_is_refused_before_anything_is_loaded(capsys):
    """Of root no rights say so."""
    assert clip.main(["run=nowhere", "out=/proc/clip.gif"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_an_out_that_cannot_be_replaced_is_refused_before_anything_is_loaded(
    tmp_path, monkeypatch, capsys
):
    out = tmp_path / "folder" / "clip.gif"
    out.parent.mkdir()
    out.write_bytes(b"an older film")
    # root may write anywhere
    monkeypatch.setattr(files.os, "access", lambda path, _: path != out)
    assert clip.main([f"run={tmp_path / 'none'}", f"out={out}"]) == 2
    assert "cannot be written; name another file" in capsys.readouterr().err


def test_mp4_without_its_extra_is_refused_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    words = [f"run={tmp_path / 'none'}", f"out={tmp_path / 'clip.mp4'}"]
    assert clip.main(words) == 2
    said = capsys.readouterr().err
    assert "pip install 'pearl-bench[clips]'" in said
    assert "ends in .gif" in said


class Unseen:
    """A batch that nothing can look at."""

    def __init__(self, env):
        self.num_envs, self.close = env.num_envs, env.close
        self.reset, self.step, self.distance = env.reset, env.step, env.distance


def test_what_has_no_camera_is_refused_before_it_plays(folder, monkeypatch):
    def play(*_, **__):
        raise AssertionError("it was played")

    monkeypatch.setattr(clip, "evaluate", play)
    trained = load(folder)
    build = trained.family.make_batch
    unseen = replace(
        trained.family,
        make_batch=lambda tasks, threads: Unseen(build(tasks, threads=threads)),
    )
    with pytest.raises(ConfigError, match="cannot be filmed: its environments have no"):
        clip.film(trained._replace(family=unseen))
