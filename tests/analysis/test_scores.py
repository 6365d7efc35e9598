"""What is read from published files, what is averaged, and what is refused."""

import json
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import raw_runs
from raw_runs import always

import suites
from pearl_bench import registry
from pearl_bench.analysis import notes
from pearl_bench.analysis.arms import OWN, REPORTED, Part
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.scores import load


def published(tmp_path, *runs):
    return load(raw_runs.published(tmp_path, *runs), "locomotion")


def arms(found, family="half-cheetah-vel"):
    return next(f for f in found.families if f.name == family).arms


def constant(value):
    return lambda step, task, episode: value + 100 * episode + step / 1000


def test_mean_over_seeds_wherever_all_have_been_evaluated(tmp_path):
    found = published(
        tmp_path,
        {"seed": 0, "returns": constant(1.0)},
        {"seed": 1, "returns": constant(2.0)},
        {"seed": 7, "returns": constant(6.0), "steps": (1000, 2000)},
    )
    (arm,) = arms(found)
    assert [run.seed for run in arm.runs] == [0, 1, 7]
    for number, offset in ((1, 100), (-1, 300)):
        steps, values, left_out = arm.matched(REPORTED, number, "return")
        assert steps.tolist() == [1000, 2000]
        assert values.mean(0).tolist() == [3 + offset + 1, 3 + offset + 2]
        assert left_out == (1, 1, 0)


def test_seeds_meet_though_their_steps_differ(tmp_path):
    """Episodes of varying length: 1010 and 1190 both follow the first 1000 steps."""
    found = published(
        tmp_path,
        {"seed": 0, "steps": (1010, 2040, 3000), "returns": constant(0.0)},
        {"seed": 1, "steps": (1190, 2000, 3010, 3020), "returns": constant(0.0)},
    )
    steps, values, _ = arms(found)[0].matched(REPORTED, -1, "return")
    assert steps.tolist() == [1100, 2020, 3005]
    assert values.mean(0) == pytest.approx(300 + steps / 1000)


def test_the_evaluation_that_ends_a_run_does_not_displace_another(tmp_path):
    found = published(
        tmp_path,
        {"seed": 0, "steps": (1000, 2000, 2600)},
        {"seed": 1, "steps": (1010, 2010, 2620)},
        {"seed": 2, "steps": (1000, 2000, 3000)},
    )
    steps, _, left_out = arms(found)[0].matched(REPORTED, -1, "return")
    assert steps.tolist() == pytest.approx([3010 / 3, 6010 / 3])
    assert left_out == (1, 1, 1)
    alike = [{"seed": seed, "steps": (2000, 2600)} for seed in (0, 1)]
    (arm,) = arms(published(tmp_path / "alike", *alike))
    assert arm.matched(REPORTED, -1, "return").steps.tolist() == [2000, 2600]


def test_other_meta_tests_are_not_averaged(tmp_path):
    found = published(
        tmp_path,
        {"seed": 0},
        {"seed": 1, "tasks": 4},
        {"seed": 2, "eval_every": 500},
        {"seed": 3, "episodes": 4},
        {"seed": 4, "repetitions": 10},
    )
    once, often = "each task played 1 x", "each task played 10 x"
    assert sorted(a.label for a in arms(found)) == [
        f"PEARL · quick · float32 · {about} steps"
        for about in (
            f"2 exploration episodes · 2 test tasks · {once} · tested every 1000",
            f"2 exploration episodes · 2 test tasks · {once} · tested every 500",
            f"2 exploration episodes · 2 test tasks · {often} · tested every 1000",
            f"2 exploration episodes · 4 test tasks · {once} · tested every 1000",
            f"3 exploration episodes · 2 test tasks · {once} · tested every 1000",
        )
    ]


def test_a_name_means_the_same_in_every_family(tmp_path):
    """ant-goal-2d's kl_weight is 1 in conf/; that of half-cheetah-vel is 0.1."""
    found = published(
        tmp_path,
        {"settings": {"kl_weight": 1.0}},
        {"family": "ant-goal-2d", "settings": {"kl_weight": 1.0}},
    )
    (changed,), (usual,) = arms(found), arms(found, "ant-goal-2d")
    assert changed.label == "PEARL · quick · float32 · kl_weight=1.0"
    assert usual.label == "PEARL · quick · float32"


def test_seeds_of_several_devices_are_averaged_and_that_is_told(tmp_path):
    others = {"seed": 2, "device": "cuda"}, {"seed": 3, "cpu": "another CPU"}
    found = published(tmp_path, {"seed": 0}, {"seed": 1}, *others)
    table = found.folder / "runs.csv"
    table.write_text(table.read_text().replace(",cpu,float", ",cpu; cuda,float", 1))
    again = load(tmp_path / "results", "locomotion")
    (arm,) = arms(again)
    assert (arm.label, len(arm.runs)) == ("PEARL · quick · float32", 4)
    moved, stayed = (run.row["device"] for run in arm.runs[:2])
    assert {moved, stayed} == {"cpu", "cpu; cuda"}
    assert (
        f"half-cheetah-vel, PEARL · quick · float32: trained seed 0 on {moved}, a CPU; "
        f"seed 1 on {stayed}, a CPU; seed 2 on cuda, a GPU; seed 3 on cpu, another CPU."
    ) in notes.uneven(again)


def test_devices_are_kept_apart_where_they_ran_the_same_seed(tmp_path):
    both = [{"seed": seed, "device": d} for seed in (0, 1) for d in ("cpu", "cuda")]
    found = published(tmp_path, *both, {"seed": 2})
    assert [(a.label, [r.seed for r in a.runs]) for a in arms(found)] == [
        ("PEARL · quick · float32", [0, 1, 2]),
        ("PEARL · quick · float32 · cuda", [0, 1]),
    ]
    said = [text for text in notes.uneven(found) if "trained seed" in text]
    assert len(said) == 1
    assert said[0].endswith("cuda: trained seed 0, 1 on cuda, a GPU.")


def test_of_a_seed_that_ran_on_both_devices_the_longer_run_counts(tmp_path):
    long, short = (1000, 2000, 3000, 4000), (1000, 2000)
    found = published(
        tmp_path,
        {"seed": 0, "device": "cpu", "steps": short},
        {"seed": 0, "device": "cuda", "steps": long},
        {"seed": 1, "device": "cpu", "steps": long},
        {"seed": 1, "device": "cuda", "steps": short},
        {"seed": 2, "device": "cuda", "steps": short},
    )
    assert [
        (a.label, [(r.seed, r.row["device"], r.last_step) for r in a.runs])
        for a in arms(found)
    ] == [
        (
            "PEARL · quick · float32",
            [(0, "cuda", 4000), (1, "cpu", 4000), (2, "cuda", 2000)],
        ),
        ("PEARL · quick · float32 · cpu", [(0, "cpu", 2000)]),
        ("PEARL · quick · float32 · cuda", [(1, "cuda", 2000)]),
    ]
    family = next(f for f in found.families if f.name == "half-cheetah-vel")
    assert [len(arm.runs) for arm in family.headline] == [3]


def test_success_is_the_mean_over_the_test_episodes(tmp_path):
    """Of the suite's protocol and of the package's; of the own one there is but one."""
    found = published(
        tmp_path,
        {
            "episodes": 5,
            "tested": 3,
            "own": 1,
            "package": 2,
            "success": lambda episode: int(episode in (2, 3)),
            "returns": lambda step, task, episode: float(episode),
        },
    )
    (run,) = arms(found)[0].runs
    for part, share, total in ((REPORTED, 1 / 3, 4), (OWN, 1, 2)):
        points = run.episode(part, -1)
        assert [p.success for p in points] == pytest.approx([share] * 3)
        assert [p.total for p in points] == pytest.approx([total] * 3)
    package = Part(protocol="metaworld")
    assert run.level(package, -1, "success") == 0.5


def test_what_differs_is_not_averaged(tmp_path):
    found = published(
        tmp_path,
        {"seed": 0},
        {"seed": 1},
        {"budget": "paper"},
        {"precision": "bf16"},
        {"learner": "rl2"},
        {"settings": {"context": "whole-buffer", "latent_dim": 5}},
    )
    assert [(a.label, len(a.runs)) for a in arms(found)] == [
        ("PEARL · paper · float32", 1),
        ("PEARL · quick · bf16", 1),
        ("PEARL · quick · float32 · context=recent", 2),
        ("PEARL · quick · float32 · context=whole-buffer", 1),
        ("RL² · quick · float32", 1),
    ]
    assert found.labels[-1] == "RL² · quick · float32"


def test_what_is_told_of_the_task_is_said_in_words(tmp_path):
    found = published(
        tmp_path,
        *(
            {"settings": {"inference": kind}}
            for kind in ("posterior", "oracle", "none")
        ),
    )
    assert sorted(a.label for a in arms(found)) == [
        "PEARL · quick · float32",
        "PEARL, task not told · quick · float32",
        "PEARL, task told · quick · float32",
    ]


def test_defaults_go_without_saying(tmp_path):
    chosen = {"context_sampler": "whole-buffer", "latent_dim": 5}
    found = published(
        tmp_path,
        {"settings": {"context_sampler": "recent", "latent_dim": 5}},
        {"settings": chosen},
        {"settings": chosen | {"latent_dim": 7}, "seed": 1},
    )
    assert [a.label for a in arms(found)] == [
        "PEARL · quick · float32",
        "PEARL · quick · float32 · context_sampler=whole-buffer",
        "PEARL · quick · float32 · context_sampler=whole-buffer · latent_dim=7",
    ]


def test_a_setting_that_is_newer_than_a_run_had_its_default(tmp_path):
    older = {"latent_dim": 7}
    found = published(
        tmp_path,
        {"settings": older, "seed": 0},
        {"settings": older | {"context_sampler": "recent"}, "seed": 1},
    )
    assert [(a.label, len(a.runs)) for a in arms(found)] == [
        ("PEARL · quick · float32 · latent_dim=7", 2)
    ]


def test_runs_of_other_tasks_are_told_apart(tmp_path):
    found = published(tmp_path, {}, {"seed": 1})
    old = found.folder / "runs.csv"
    names = [run.row["run"] for run in arms(found)[0].runs]
    lines = old.read_text().splitlines(keepends=True)
    lines = [
        line.replace("0123456789abcdef", "f" * 16) if names[1] in line else line
        for line in lines
    ]
    old.write_text("".join(lines))
    again = load(tmp_path / "results", "locomotion")
    assert [a.label for a in arms(again)] == [
        "PEARL · quick · float32 · tasks 012345",
        "PEARL · quick · float32 · tasks ffffff",
    ]


@pytest.mark.parametrize(
    ("evaluations", "averaged"), [(100, 10), (60, 6), (50, 5), (20, 5), (5, 5), (2, 2)]
)
def test_a_level_is_of_the_last_tenth_and_of_five_evaluations(
    tmp_path, evaluations, averaged
):
    steps = tuple(range(1000, 1000 * evaluations + 1, 1000))
    found = published(tmp_path, {"steps": steps, "returns": constant(0.0)})
    (arm,) = arms(found)
    last = np.mean(range(evaluations - averaged + 1, evaluations + 1))
    assert arm.levels(REPORTED, "return") == pytest.approx([300 + last])
    assert arm.levels(REPORTED, "return", 1) == pytest.approx([100 + last])
    assert len(arm.runs[0].level_points(REPORTED, -1)) == averaged


def test_an_arm_knows_its_share_of_the_papers_budget(tmp_path):
    found = published(
        tmp_path,
        {"steps": (135_000, 270_000)},
        {"steps": (135_000,), "seed": 1},
        {"learner": "promp", "steps": (16_000_000,), "budget": "paper"},
    )
    shares = {arm.learner: (arm.steps, arm.shares) for arm in arms(found)}
    assert shares["pearl"] == ((135_000, 270_000), (0.05, 0.1))  # of 2.7M
    assert shares["promp"] == ((16_000_000, 16_000_000), (0.1, 0.1))  # of 160M


def test_a_method_that_is_not_known_has_no_share(tmp_path):
    found = published(tmp_path, {})
    table = found.folder / "runs.csv"
    table.write_text(table.read_text().replace(",pearl,", ",theirs,"))
    (found.folder / "pearl.csv").rename(found.folder / "theirs.csv")
    (arm,) = arms(load(tmp_path / "results", "locomotion"))
    assert arm.learner == "theirs"
    assert arm.shares is None


def test_gaps_are_found(tmp_path):
    steps = (1000, 2000, 3000, 7000, 8000, 9000)
    found = published(tmp_path, {"steps": steps}, {"seed": 1})
    assert [run.gaps(REPORTED) for run in arms(found)[0].runs] == [[(3000, 7000)], []]


def test_parts_and_groups_are_kept_apart(tmp_path):
    found = published(
        tmp_path,
        {"learner": "promp", "own": 20, "groups": ("push-v3", "reach-v3")},
    )
    (run,) = arms(found)[0].runs
    assert set(run.points) == {
        Part(protocol, "test", group)
        for protocol in ("suite", "own")
        for group in ("all", "push-v3", "reach-v3")
    }
    assert (run.last_episode(REPORTED), run.last_episode(OWN)) == (3, 21)


def test_scores_use_the_families_ranges(tmp_path):
    found = published(tmp_path, {})
    by_name = {family.name: family for family in found.families}
    for row in suites.load("locomotion").families:
        ends = by_name[row.name].score(np.array([row.score.low, row.score.high]))
        assert ends.tolist() == [0, 1]


def test_the_headline_has_the_longest_arm_of_each_method(tmp_path):
    long = (1000, 2000, 3000, 4000)
    found = published(
        tmp_path,
        {"budget": "paper", "precision": "bf16", "steps": long},
        {"budget": "paper", "steps": (1000, 2000)},
        {"settings": {"latent_dim": 7}, "steps": (*long, 5000)},
        *({"learner": "promp", "seed": seed} for seed in (0, 1)),
        {"learner": "promp", "precision": "bf16"},
        {"learner": "rl2", "settings": {"discount": 0.5}},
    )
    family = next(family for family in found.families if family.arms)
    assert [arm.label for arm in family.headline] == [
        "PEARL · paper · bf16",
        "ProMP · quick · float32",
        "RL² · quick · float32 · discount=0.5",
    ]


CURRENT = suites.load("locomotion").families[1].fingerprint()


@pytest.mark.parametrize(
    ("tasks", "chosen"),
    [("f" * 16, ["RL²"]), (CURRENT, ["PEARL"]), ("0123456789abcdef", ["PEARL", "RL²"])],
)
def test_the_headline_has_runs_of_the_same_tasks_alone(tmp_path, tasks, chosen):
    found = published(tmp_path, {}, {"learner": "rl2"}, {"learner": "rl2", "seed": 1})
    table = found.folder / "runs.csv"
    lines = table.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if ",pearl," in line)
    lines[at] = lines[at].replace("0123456789abcdef", tasks)
    table.write_text("".join(lines))
    found = load(tmp_path / "results", "locomotion")
    family = next(family for family in found.families if family.arms)
    assert [arm.label.split()[0] for arm in family.headline] == chosen


def test_success_is_its_own_score(tmp_path):
    found = published(tmp_path, {"success": always})
    family = next(f for f in found.families if f.arms)
    assert family.measure == "success"
    assert family.score(0.25) == 0.25
    assert family.arms[0].levels(REPORTED, family.measure).tolist() == [1.0]


def test_families_without_runs_are_known(tmp_path):
    found = published(tmp_path, {})
    names = [row.name for row in suites.load("locomotion").families]
    assert [f.name for f in found.families] == names
    assert [bool(f.arms) for f in found.families] == [False, True, *[False] * 4]


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(PublishedError, match="no published curves"):
        load(tmp_path, "locomotion")
    with pytest.raises(PublishedError, match="Did you mean 'locomotion'"):
        load(tmp_path, "locomotio")
    found = published(tmp_path, {}, {"seed": 1})
    curves = found.folder / "pearl.csv"
    text = curves.read_text()
    curves.write_text(text.replace(",,2,0,", ",0.5,2,0,", 1))
    with pytest.raises(PublishedError, match="some rows have a success"):
        load(tmp_path / "results", "locomotion")
    curves.write_text(text.replace(",,2,0,", ",,two,0,", 1))
    with pytest.raises(PublishedError, match=r"pearl-bench check names the line"):
        load(tmp_path / "results", "locomotion")
    curves.write_text(text)

    runs = found.folder / "runs.csv"
    table = runs.read_text()
    runs.write_text(table.replace("half-cheetah-vel", "swimmer"))
    with pytest.raises(PublishedError, match="swimmer is no family of locomotion"):
        load(tmp_path / "results", "locomotion")
    runs.write_text(table.replace('""latent_dim""', "latent_dim"))
    with pytest.raises(PublishedError, match=r"runs\.csv, line 2: settings is"):
        load(tmp_path / "results", "locomotion")
    runs.write_text(table.replace("run,", "name,", 1))
    with pytest.raises(PublishedError, match=r"runs\.csv, line 1: the columns"):
        load(tmp_path / "results", "locomotion")
    runs.write_text(table + "r0,pearl\n")
    with pytest.raises(PublishedError, match=r"line 4: 2 cells; expected are"):
        load(tmp_path / "results", "locomotion")
    foreign = found.folder / "notes.csv"
    foreign.write_text("a,b\n1,2\n")
    with pytest.raises(PublishedError, match=r"notes\.csv, line 1: the"):
        load(tmp_path / "results", "locomotion")
    foreign.unlink()
    runs.write_text("".join(table.splitlines(keepends=True)[:2]))
    with pytest.raises(PublishedError, match=r"runs\.csv lacks the run r"):
        load(tmp_path / "results", "locomotion")
    runs.unlink()
    with pytest.raises(PublishedError, match=r"runs\.csv is missing"):
        load(tmp_path / "results", "locomotion")


@pytest.mark.parametrize("suite", list(suites.SUITES))
def test_no_simulator_and_no_torch_is_imported(suite):
    code = (
        "import json, sys; from pathlib import Path\n"
        "import pearl_bench.analysis.stats\n"
        "from pearl_bench.analysis.files import PublishedError\n"
        "from pearl_bench.analysis.scores import load\n"
        "try: load(Path('nowhere'), sys.argv[1])\n"
        "except PublishedError as error: print(json.dumps([str(error), [m for m in "
        "('torch', 'mujoco', 'gymnasium', 'metaworld') if m in sys.modules]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, suite], check=True, capture_output=True, text=True
    )
    message, imported = json.loads(done.stdout)
    assert "no published curves" in message
    assert imported == []


def test_families_that_nobody_asked_for_are_left_out(tmp_path):
    run = {"family": "ml10", "success": always}
    found = load(raw_runs.published(tmp_path, run, suite="ml10"), "ml10")
    assert [family.name for family in found.families] == ["ml10"]


def test_of_what_bounds_a_method_the_longest_run_counts(tmp_path):
    told = {"settings": {"inference": "oracle"}}
    found = published(
        tmp_path,
        {"settings": {"inference": "posterior"}},
        told | {"device": "cpu", "steps": (1000, 2000)},
        told | {"device": "cuda", "steps": (1000, 2000, 3000)},
        {"settings": {"inference": "none"}},
    )
    (family,) = (f for f in found.families if f.name == "half-cheetah-vel")
    assert [(arm.label, arm.steps[1]) for arm in family.bounds] == [
        ("PEARL, task not told · quick · float32", 3000),
        ("PEARL, task told · quick · float32", 3000),
    ]
    assert "PEARL, task told · quick · float32 · cpu" in [a.label for a in family.arms]


def test_what_bounds_a_method_at_another_precision_is_another_arm(tmp_path):
    told = {"settings": {"inference": "oracle"}}
    found = published(
        tmp_path,
        {"settings": {"inference": "posterior"}},
        told | {"precision": "float32", "steps": (1000, 2000)},
        told | {"precision": "bf16", "steps": (1000, 2000, 3000)},
    )
    (family,) = (f for f in found.families if f.name == "half-cheetah-vel")
    assert sorted(arm.label for arm in family.bounds) == [
        "PEARL, task told · quick · bf16",
        "PEARL, task told · quick · float32",
    ]


@dataclass(frozen=True)
class Lists:
    """Settings of a method that are lists."""

    widths: tuple[int, ...] = (64, 64)
    rates: list[float] = field(default_factory=lambda: [0.1])


def test_settings_that_are_lists_are_compared_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "config_class", lambda _: Lists)
    both = ({"widths": widths, "rates": [0.1]} for widths in ([64, 64], [32, 32]))
    found = published(tmp_path, *({"settings": some} for some in both))
    assert sorted((arm.label, arm.bounds) for arm in arms(found)) == [
        ("PEARL · quick · float32", False),
        ("PEARL · quick · float32 · widths=32,32", False),
    ]
