"""Films of trained methods: what is played, what is written."""

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageSequence
from raw_runs import train_small

from pearl_bench import clip

OLDER_RUNS = Path(__file__).parents[1] / "data" / "older_runs"
WORDS = [
    "suite=locomotion",
    "families=half-cheetah-fwd-back",
    "learners=promp",
    "budget=smoke",
    "promp.episodes=1",  # one exploration episode of its own: a second protocol
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("raw"), *WORDS)


@pytest.mark.usefixtures("opengl")
def test_film_shows_the_last_evaluation(folder, monkeypatch, capsys):
    monkeypatch.setattr(clip, "EVERY", 40)  # rendering takes longer than all else
    assert clip.main([f"run={folder}"]) == 0
    with (folder / "eval.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["protocol"] == "suite"]
    last = [
        f"task {row['task']}, episode {row['episode']}: "
        f"return {float(row['return']):.1f}"
        for row in rows[-8:]
        if row["episode"] != "0"
    ]
    assert capsys.readouterr().out.splitlines()[:6] == last
    with Image.open(folder / "clip.gif") as film:
        pictures, shown = zip(
            *(
                (frame.convert("RGB").tobytes(), frame.info["duration"])
                for frame in ImageSequence.Iterator(film)
            ),
            strict=True,
        )
        assert len(set(pictures)) == len(pictures)
        assert film.size == (2 * clip.SIDE, clip.SIDE + clip.BAND)
        # a picture like the one before it is shown twice as long
        each = 1000 * 40 / 20 / clip.SPEED
        assert min(shown) == pytest.approx(each, 0.02)
        assert sum(shown) == pytest.approx(3 * 200 / 40 * each, 0.02)


def test_mistakes_are_named(folder, tmp_path, capsys):
    assert clip.main([]) == 2
    assert "run= is missing; run=results/raw/" in capsys.readouterr().err
    assert clip.main([f"run={tmp_path}"]) == 2
    assert "holds no run: there is no config.yaml" in capsys.readouterr().err
    assert clip.main([f"run={folder}", "tasks=7"]) == 2
    assert "half-cheetah-fwd-back has no task 7" in capsys.readouterr().err
    (folder / "checkpoint.pt").rename(tmp_path / "checkpoint.pt")
    assert clip.main([f"run={folder}"]) == 2
    assert "has no checkpoint; train the run first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("clip.mp4", "a film is a GIF; take a name that ends in .gif"),
        ("nowhere/clip.gif", "there is no folder"),
        ("made.gif", "is a folder; name a file"),
    ],
)
def test_a_bad_out_is_refused_before_anything_is_loaded(out, said, tmp_path, capsys):
    (tmp_path / "made.gif").mkdir()
    assert clip.main([f"run={tmp_path / 'none'}", f"out={tmp_path / out}"]) == 2
    assert said in capsys.readouterr().err


def test_what_has_no_camera_is_refused_before_it_plays(tmp_path, monkeypatch, capsys):
    def play(*_, **__):
        raise AssertionError("it was played")

    monkeypatch.setattr(clip, "evaluate", play)
    run = OLDER_RUNS / "reach-rl2" / "raw" / "ml1" / "reach" / "rl2" / "seed=0"
    assert clip.main([f"run={run}", f"out={tmp_path / 'clip.gif'}"]) == 2
    assert "reach cannot be filmed: its environments have no camera" in (
        capsys.readouterr().err
    )
    assert not any(tmp_path.iterdir())
