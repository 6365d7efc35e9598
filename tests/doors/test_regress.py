"""The regression check: its statistics, its words, and learners broken on purpose."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from raw_runs import make_run

import pearl_bench
from pearl_bench import registry, regress
from pearl_bench.analysis import scores
from pearl_bench.execution.console import Board
from pearl_bench.records.published.publish import publish

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "results" / "regress"


def samples(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


class TestBootstrap:
    def test_unchanged_code_raises_false_alarms_as_rarely_as_stated(self, monkeypatch):
        monkeypatch.setattr(regress, "RESAMPLES", 2000)
        trials = 400
        p_values = np.array(
            [regress.bootstrap(x[:16], x[16:]) for x in samples(0, trials, 22)]
        )
        for level in (0.05, 0.2, 0.5):  # within three standard errors
            slack = 3 * np.sqrt(level * (1 - level) / trials)
            assert abs((p_values < level).mean() - level) < slack

    def test_is_one_sided(self):
        reference = samples(1, 16)
        assert regress.bootstrap(reference, reference[:6] - 3) < 1e-4
        assert regress.bootstrap(reference, reference[:6] + 3) > 0.99

    def test_without_any_spread(self):
        assert regress.bootstrap(np.zeros(16), np.zeros(6)) == 1.0
        assert regress.bootstrap(np.zeros(16), np.full(6, -1.0)) < 1e-3

    def test_draws_from_no_global_stream(self):
        x = samples(2, 22)
        np.random.seed(1)  # noqa: NPY002
        expected = np.random.random()  # noqa: NPY002
        np.random.seed(1)  # noqa: NPY002
        assert regress.bootstrap(x[:16], x[16:]) == regress.bootstrap(x[:16], x[16:])
        assert np.random.random() == expected  # noqa: NPY002

    def test_all_comparisons_together_keep_the_rate(self):
        comparisons = 2 * len(registry.LEARNERS) * len(regress.FAMILIES)
        together = comparisons * regress.threshold(len(registry.LEARNERS))
        assert together == pytest.approx(regress.FALSE_ALARMS)


def arms(folder, level, seeds, **run):
    """Published runs whose last episode returns ``level``, give or take some."""
    for seed in seeds:
        spread = float(samples(seed, 1)[0])
        make_run(
            folder / "raw",
            suite="navigation",
            family="point-robot",
            budget="regress",
            seed=seed,
            returns=lambda step, task, episode, s=spread: s + level * (episode == 3),
            **run,
        )
    publish(folder / "raw", folder / "published", "navigation")
    return scores.load(folder / "published", "navigation").arms


class TestReport:
    @pytest.fixture
    def reference(self, tmp_path):
        return arms(tmp_path / "then", 10, range(100, 116))

    def test_alike_is_no_alarm(self, tmp_path, reference, capsys):
        found = [*regress.compare(reference, arms(tmp_path / "now", 10, range(6)))]
        assert [c.measure for c in found] == ["adapted return", "gain"]
        with Board() as board:
            assert regress._report(found, board) == 0
        assert "worse:" not in capsys.readouterr().err

    def test_worse_names_method_family_distributions_and_p(
        self, tmp_path, reference, capsys
    ):
        found = [*regress.compare(reference, arms(tmp_path / "now", 4, range(6)))]
        with Board() as board:
            assert regress._report(found, board) == 1
        err = capsys.readouterr().err
        assert "worse: pearl on point-robot, adapted return, p = " in err
        assert "worse: pearl on point-robot, gain, p = " in err
        then, now = (
            [line.split()[1:] for line in err.splitlines() if word in line]
            for word in ("reference:", "now:")
        )
        assert [len(x) for x in then] == [16, 16]
        assert [len(x) for x in now] == [6, 6]
        assert all(float(x) < 8 for x in now[0])

    def test_own_exploration_counts_where_there_is_some(self, tmp_path):
        (arm,) = arms(tmp_path, 10, (0, 1), own=4)
        measures = regress._measures(arm)
        # the fifth episode is the last one there, and the level is the third's
        assert measures["adapted return"].max() < 5


class TestWords:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["families=ant-goal-2d"], "families=ant-goal-2d is unknown; known are: "),
            (["budget=paper"], "unknown word budget="),
            (["update=maybe"], "update=maybe is not allowed; it takes true or false"),
            (["update=true", "seeds=1"], "leave the other words out"),
            (["learners=perl"], "perl"),
            (["seeds=3"], "seeds= takes two at least"),
            (["reference=nowhere"], "nowhere has no runs on navigation"),
        ],
    )
    def test_bad_ones_end_with_what_is_allowed(self, words, said, capsys):
        assert regress.main(words) == 2
        assert said in capsys.readouterr().err

    def test_runs_that_nobody_asked_for_are_not_compared(self, tmp_path, capsys):
        make_run(tmp_path, suite="navigation", family="point-robot", seed=77)
        assert regress.main([f"out={tmp_path}"]) == 2
        assert "seed=77 is no run of this command" in capsys.readouterr().err

    def test_a_reference_is_made_by_code_that_git_knows(self, monkeypatch, capsys):
        changed = {"dirty": True, "commit": "a" * 40}
        monkeypatch.setattr(regress, "provenance", lambda *_, **__: changed)
        assert regress.main(["update=true"]) == 2
        assert "commit first" in capsys.readouterr().err

    def test_a_new_reference_replaces_all_of_the_old_one(self, tmp_path):
        for suite in set(regress.FAMILIES.values()):
            (tmp_path / "old" / suite).mkdir(parents=True)
            (tmp_path / "old" / suite / "rl2.csv").write_text("old")
        make_run(tmp_path / "raw", suite="navigation", family="point-robot")
        regress._replace(tmp_path / "old", tmp_path / "raw", Board())
        left = {path.name for path in (tmp_path / "old").glob("*/*.csv")}
        assert left == {"pearl.csv", "runs.csv"}
        scores = (tmp_path / "old" / "navigation" / "pearl.csv").read_text()
        assert scores.startswith("run,family,")

    def test_a_reference_may_take_several_jobs(self):
        words = regress.COMMAND.read(["update=true", "jobs=2"])
        assert (words.update, words.jobs) == (True, 2)

    def test_other_tasks_do_not_compare(self, tmp_path, capsys):
        arms(tmp_path, 10, (100, 101))  # of a fingerprint that was made up
        words = [f"reference={tmp_path / 'published'}", "families=point-robot"]
        assert regress.main([*words, "learners=pearl"]) == 2
        assert "point-robot has other tasks now" in capsys.readouterr().err


BROKEN = {
    "the posterior is never updated": (
        "pearl",
        "pearl_bench/pearl/adapter.py",
        "self.belief = self.inference.posterior(",
        "self.inference.posterior(",
    ),
    "the weight of the KL is a hundred times as large": (
        "pearl",
        "pearl_bench/pearl/update.py",
        "config.kl_weight * kl",
        "100 * config.kl_weight * kl",
    ),
    "the inner step of MAML is skipped": (
        "maml_trpo",
        "baselines/policy_gradient.py",
        "value.detach()) + rate * gradient",
        "value.detach()) + 0 * gradient",
    ),
    "the inner step of ProMP is skipped": (
        "promp",
        "baselines/policy_gradient.py",
        "value.detach()) + rate * gradient",
        "value.detach()) + 0 * gradient",
    ),
    "the hidden state is reset in each episode": (
        "rl2",
        "baselines/rl2_policy.py",
        "        self.previous[:, -1] = 1.0\n",
        "        self.previous[:, -1] = 1.0\n"
        "        self.state = self.policy.initial_state(len(self.previous))\n",
    ),
}
"""Learner, file, what stands there, what to break it with."""


@pytest.mark.slow
class TestSabotage:
    @staticmethod
    def check(folder, learner):
        words = ["families=point-robot", f"learners={learner}", "jobs=2"]
        return subprocess.run(
            [sys.executable, "-m", "pearl_bench.regress", *words],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=1200,
        )

    @pytest.fixture
    def copy(self, tmp_path):
        """The packages as they are installed, and the reference."""
        for name in ("pearl_bench", "baselines", "suites"):
            shutil.copytree(
                Path(pearl_bench.__file__).parents[1] / name, tmp_path / name
            )
        shutil.copytree(REFERENCE, tmp_path / "results" / "regress")
        return tmp_path

    @pytest.mark.parametrize("what", BROKEN)
    def test_a_broken_learner_is_caught(self, what, copy):
        learner, path, old, new = BROKEN[what]
        text = (copy / path).read_text()
        assert text.count(old) == 1
        (copy / path).write_text(text.replace(old, new))
        done = self.check(copy, learner)
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"worse: {learner} on point-robot" in done.stderr

    @pytest.mark.parametrize("learner", registry.LEARNERS)
    def test_an_unbroken_one_is_not(self, learner, copy):
        done = self.check(copy, learner)
        assert done.returncode == 0, done.stdout + done.stderr
