"""Films of trained methods: what is played, what is written."""

import csv

import pytest
from PIL import Image, ImageSequence
from raw_runs import train_small

from pearl_bench import clip

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
