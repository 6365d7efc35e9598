"""The regression check: its words, its reference, and learners broken on purpose."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from raw_runs import make_run

import pearl_bench
from pearl_bench import registry, regress
from pearl_bench.analysis import regression, scores
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.regression import threshold
from pearl_bench.execution.console import Board
from pearl_bench.records.published.publish import publish
from pearl_bench.records.published.training import publish_training

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "results" / "regress"


def arms(folder, level, seeds, **run: Any):
    """Published runs whose last episode returns ``level``, give or take some."""
    family = registry.family("navigation", "point-robot")
    run = {"fingerprint": family.fingerprint()} | run
    for seed in seeds:
        spread = float(np.random.default_rng(seed).normal())
        raw = make_run(
            folder / "raw",
            suite="navigation",
            family="point-robot",
            budget="regress",
            seed=seed,
            returns=lambda step, task, episode, s=spread: s + level * (episode == 3),
            **run,
        )
        rows = [f"{step},{step * level + spread},1.5" for step in (1000, 2000, 3000)]
        text = "\n".join(["env_steps,q/mean,wall_s", *rows, ""])
        (raw / "train.csv").write_text(text)
    publish(folder / "raw", folder / "published", "navigation")
    publish_training(folder / "raw", folder / "published", "navigation", 1 / 3)
    return scores.load(folder / "published", "navigation").arms


def replacing(*learners):
    return regress.RegressConfig(update=True, learners=[*learners])


class TestReport:
    @pytest.fixture
    def found(self, tmp_path):
        """Compare two folders of results."""
        sides = {}

        def compare(then, now):
            for name, level, seeds in (
                ("then", then, range(100, 116)),
                ("now", now, range(6)),
            ):
                arms(tmp_path / name, level, seeds)
                place = tmp_path / name / "published"
                sides[name] = regress._samples(place, "navigation", usual=False)
            limit = threshold(sides["then"], regress.LEARNT)
            found = regression.compare(
                sides["then"], sides["now"], tested=regress.LEARNT, limit=limit
            )
            return [*found], limit

        return compare

    def test_alike_is_no_alarm(self, found, capsys):
        findings, limit = found(10, 10)
        assert [x.measure for x in findings[:2]] == ["adapted return", "gain"]
        assert findings[2].measure.startswith("training, ")
        with Board() as board:
            assert regress._report(findings, limit, board) == 0
        assert capsys.readouterr().err == ""

    def test_worse_names_method_family_distributions_and_p(self, found, capsys):
        findings, limit = found(10, 4)
        with Board() as board:
            assert regress._report(findings, limit, board) == 1
        err = capsys.readouterr().err
        assert "worse: pearl on point-robot, adapted return, p = " in err
        assert "worse: pearl on point-robot, gain, p = " in err
        assert "other: pearl on point-robot, training, q/mean" in err
        then, now = (
            [line.split()[1:] for line in err.splitlines() if word in line]
            for word in ("reference:", "now:")
        )
        assert [len(x) for x in then] == [16, 16, 16]
        assert [len(x) for x in now] == [6, 6, 6]
        assert all(float(x) < 8 for x in now[0])

    def test_own_exploration_counts_where_there_is_some(self, tmp_path):
        (arm,) = arms(tmp_path, 10, (0, 1), own=4)
        measures = regression.returns_of(arm)
        # the fifth episode is the last one there, and the level is the third's
        assert measures["adapted return"].max() < 5


class TestWords:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["families=ant-goal-2d"], "families=ant-goal-2d is unknown; known are: "),
            (["budget=paper"], "unknown word budget="),
            (["update=maybe"], "update=maybe is not allowed; it takes true or false"),
            (["update=true", "seeds=1"], "leave seeds= and settings out"),
            (["update=true", "pearl.kl_weight=2"], "leave seeds= and settings out"),
            (["learners=perl"], "perl"),
            (["seeds=3"], "seeds= takes two at least"),
            (["seeds=7,111,100"], "seeds=100,111: the reference has these"),
            (["reference="], "reference= is empty"),
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

    def test_runs_that_were_taken_away_are_not_compared(
        self, tmp_path, monkeypatch, capsys
    ):
        arms(tmp_path / "then", 10, range(100, 112))
        reference = regress._samples(
            tmp_path / "then" / "published", "navigation", usual=False
        )
        reference["point-robot", "rl2"] = reference["point-robot", "pearl"]
        monkeypatch.setattr(regress, "_reference", lambda *_: reference)
        monkeypatch.setattr(regress, "_plan", lambda *_: [])
        monkeypatch.setattr(regress, "launch", lambda *_, **__: ({}, None))
        words = ["families=point-robot", "learners=pearl", f"out={tmp_path / 'raw'}"]
        arms(tmp_path, 4, (7, 8))
        regress.main(words)
        shutil.rmtree(tmp_path / "raw" / "navigation")
        arms(tmp_path, 10, (0, 1, 2, 3))
        capsys.readouterr()
        assert regress.main(words) == 0
        out = capsys.readouterr().out
        assert "training, " in out
        # the limit is that of a whole check, whatever part is asked for
        whole = threshold(reference, regress.LEARNT)
        assert f" tests at p < {whole:.2g} and" in out

    @pytest.mark.parametrize(
        ("dirty", "packages", "out", "said"),
        [
            (False, {}, True, "stopped; repeat the command to resume"),
            (True, {}, True, "stopped; nothing goes on from there, since git does"),
            (False, {"mine": "1"}, True, "stopped; nothing goes on from there, since"),
            (True, {}, False, "stopped; out=FOLDER would keep it"),
        ],
    )
    def test_a_stopped_command_goes_on_by_code_that_git_knows(
        self, tmp_path, monkeypatch, capsys, dirty, packages, out, said
    ):
        """All of it: no commit that is known here says what another package's is."""

        def launch(runs, *_, goes_on):
            assert goes_on == (out and not dirty and not packages)
            if runs and out:  # as if it had begun
                monkeypatch.setattr(regress, "plan", lambda _: [begun(runs[0])])
            return {}, signal.SIGINT

        def begun(run):
            session = {"commit": "a" * 40, "dirty": dirty}
            monkeypatch.setattr(regress, "read_run", lambda _: {"sessions": [session]})
            return replace(run, state="stopped")

        monkeypatch.setattr(regress.registry, "packages", lambda *_: packages)
        asked = []
        monkeypatch.setattr(
            regress, "source_commit", lambda: asked.append(1) or ("a" * 40, dirty)
        )
        monkeypatch.setattr(regress, "_reference", lambda *_: {})
        monkeypatch.setattr(regress, "launch", launch)
        words = ["families=point-robot", "learners=rl2"]
        words += [f"out={tmp_path / 'raw'}"] if out else []
        assert regress.main(words) == 128 + signal.SIGINT
        assert capsys.readouterr().out.startswith(said)
        assert len(asked) == 1
        goes_on = not dirty and not packages
        assert regress.main(words) == (2 if out and not goes_on else 130)
        refused = "code that git does not know" in capsys.readouterr().err
        assert refused == (out and not goes_on)

    def test_a_reference_is_made_by_code_that_git_knows(self, monkeypatch, capsys):
        monkeypatch.setattr(regress, "source_commit", lambda: ("a" * 40, True))
        assert regress.main(["update=true"]) == 2
        assert "commit first" in capsys.readouterr().err

    @pytest.fixture
    def reference(self, tmp_path):
        """A reference of PEARL and RL², and a raw run of PEARL to put in its place."""
        for learner in ("pearl", "rl2"):
            arms(tmp_path / learner, 10, (100, 101), learner=learner)
        place = tmp_path / "reference"
        for learner in ("pearl", "rl2"):
            fresh = tmp_path / learner / "published"
            regress._replace(place, fresh, replacing(learner), Board())
        arms(tmp_path / "fresh", 4, (100,))
        return place, tmp_path / "fresh" / "published"

    @pytest.mark.parametrize(("part", "left"), [([], set()), (["pearl"], {"rl2"})])
    def test_a_new_reference_replaces_the_old_one(self, reference, part, left):
        place, fresh = reference
        regress._replace(place, fresh, replacing(*part), Board())
        found = regress._samples(place, "navigation", usual=False)
        assert {learner for _, learner in found} == {"pearl"} | left
        pearl = found["point-robot", "pearl"]
        assert [len(x) for x in pearl.returns.values()] == [1, 1]
        assert [len(x) for x in pearl.training.values()] == [1, 1]
        if left:
            assert len(found["point-robot", "rl2"].training["q/mean"]) == 2
        files = {path.stem for path in place.glob("*/training/*.csv")}
        assert files == {"pearl"} | left

    def test_a_reference_that_is_half_replaced_is_refused(
        self, reference, monkeypatch, capsys
    ):
        place, fresh = reference
        monkeypatch.setattr(regress, "source_commit", lambda: ("a" * 40, False))

        def write(path, data, write=regress.write_atomic):
            if path.name == "runs.csv":
                raise KeyboardInterrupt
            return write(path, data)

        with monkeypatch.context() as during:
            during.setattr(regress, "write_atomic", write)
            with pytest.raises(KeyboardInterrupt):
                regress._replace(place, fresh, replacing("pearl"), Board())
        for other in ([], ["update=true", "learners=rl2"]):
            assert regress.main([*other, f"reference={place}"]) == 2
            said = capsys.readouterr().err
            assert "part old and part new: regress update=true learners=pearl" in said
        for mends in (replacing(), replacing("pearl")):
            regress._require_finished(place, mends)
        regress._replace(place, fresh, replacing("pearl"), Board())
        regress._require_finished(place, regress.RegressConfig())

    def test_a_reference_may_take_several_jobs(self):
        words = regress.COMMAND.read(["update=true", "jobs=2"])
        assert (words.update, words.jobs) == (True, 2)

    def test_other_settings_do_not_compare(self, tmp_path, capsys):
        arms(tmp_path, 10, (100, 101), settings={"latent_dim": 3, "kl_weight": 0.5})
        words = [f"reference={tmp_path / 'published'}", "families=point-robot"]
        assert regress.main([*words, "learners=pearl"]) == 2
        said = capsys.readouterr().err
        assert "pearl on point-robot had other settings than conf/ has now: " in said
        assert "latent_dim" in said
        assert ",steps; update=true" in said

    @pytest.mark.parametrize("kinds", [2, 3])
    def test_a_reference_of_several_settings_does_not_compare(
        self, tmp_path, capsys, kinds
    ):
        for seed in range(kinds):
            arms(tmp_path, 10, (seed,), settings={"latent_dim": 3 + seed})
        words = [f"reference={tmp_path / 'published'}", "families=point-robot"]
        assert regress.main([*words, "learners=pearl"]) == 2
        said = capsys.readouterr().err
        assert "has runs of pearl on point-robot with different settings" in said

    def test_other_tasks_do_not_compare(self, tmp_path, capsys):
        arms(tmp_path, 10, (100, 101), fingerprint="0123456789abcdef")
        words = [f"reference={tmp_path / 'published'}", "families=point-robot"]
        assert regress.main([*words, "learners=pearl"]) == 2
        assert "point-robot has other tasks now" in capsys.readouterr().err


def test_a_reference_that_cannot_be_written_is_told_before_training(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(regress, "source_commit", lambda: ("a" * 40, False))
    (tmp_path / "reference").write_text("a file")
    words = ["update=true", "families=point-robot", "learners=rl2"]
    assert regress.main([*words, f"reference={tmp_path / 'reference'}"]) == 2
    assert "reference" in capsys.readouterr().err


def test_a_refused_update_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(regress, "source_commit", lambda: ("a" * 40, False))
    make_run(tmp_path / "raw", suite="navigation", family="point-robot", seed=77)
    place = tmp_path / "reference"
    words = ["families=point-robot", "learners=rl2", f"out={tmp_path / 'raw'}"]
    assert regress.main(["update=true", f"reference={place}", *words]) == 2
    assert "is no run of this command" in capsys.readouterr().err
    assert not place.exists()


def test_a_new_reference_may_be_of_a_part(tmp_path):
    arms(tmp_path, 10, (100, 101))
    place = tmp_path / "reference"
    regress._replace(place, tmp_path / "published", replacing("pearl"), Board())
    assert [path.name for path in place.iterdir()] == ["navigation"]
    bench = regress._bench(
        regress.RegressConfig(learners=["pearl"]),
        "navigation",
        ["point-robot"],
        tmp_path,
    )
    with pytest.raises(PublishedError, match="other settings than conf"):
        regress._reference(place, [bench])
    with pytest.raises(PublishedError, match="or write one with update=true"):
        regress._reference(tmp_path / "none", [replace(bench, suite="locomotion")])


@pytest.mark.parametrize("words", [["update=true"], ["seeds=1,2"]])
def test_other_published_results_are_no_reference(tmp_path, capsys, words):
    make_run(tmp_path / "raw", suite="navigation", family="point-robot")
    publish(tmp_path / "raw", tmp_path / "results", "navigation")
    path = tmp_path / "results" / "navigation" / "pearl.csv"
    before = path.read_bytes()
    assert regress.main([*words, f"reference={tmp_path / 'results'}"]) == 2
    assert "runs of budget=quick; name one, such as" in capsys.readouterr().err
    assert path.read_bytes() == before


class Broken(NamedTuple):
    """A learner broken on purpose.

    Attributes:
        what: is wrong with it.
        learner: the method.
        family: where it is caught.
        path: the file.
        old: what stands there, once.
        new: what to break it with.
    """

    what: str
    learner: str
    family: str
    path: str
    old: str
    new: str


POINT, SPARSE, CHEETAH = regress.FAMILIES
UPDATE, GRADIENTS = "pearl_bench/pearl/update.py", "baselines/policy_gradient.py"
BROKEN = [
    Broken(
        "the posterior is never updated",
        *("pearl", POINT, "pearl_bench/pearl/adapter.py"),
        "self._draw_from(self.inference.posterior(self.tasks, observed, valid))",
        "self.end_episode()",
    ),
    Broken(
        "the weight of the KL is a hundred times as large",
        *("pearl", POINT, UPDATE),
        "config.kl_weight * kl",
        "100 * config.kl_weight * kl",
    ),
    Broken(
        "the weight of the KL is three times as large",
        *("pearl", SPARSE, UPDATE),
        "config.kl_weight * kl",
        "3 * config.kl_weight * kl",
    ),
    Broken(
        "the target network stands still",
        *("pearl", SPARSE, UPDATE),
        "target.lerp_(source, self.config.target_tau)",
        "target.lerp_(source, 0.0)",
    ),
    Broken(
        "only the newest transitions are replayed",
        *("pearl", CHEETAH, "pearl_bench/pearl/learner.py"),
        "self.buffer.spans(tasks, recent=False)",
        "self.buffer.spans(tasks, recent=True)",
    ),
    Broken(
        "the reward scale is halved",
        *("pearl", SPARSE, UPDATE),
        "config.reward_scale * flat",
        "0.5 * config.reward_scale * flat",
    ),
    *(
        Broken(
            f"the inner step of {learner} is skipped",
            *(learner, POINT, GRADIENTS),
            "value.detach()) + rate * gradient",
            "value.detach()) + 0 * gradient",
        )
        for learner in ("maml_trpo", "promp")
    ),
    *(
        Broken(
            f"the lambda of {learner}'s advantages is 0",
            *(learner, POINT, "baselines/gradient_learner.py"),
            "phase.alive, config.discount, config.gae_lambda",
            "phase.alive, config.discount, 0.0",
        )
        for learner in ("maml_trpo", "promp")
    ),
    Broken(
        "the meta-gradient of MAML is of first order",
        *("maml_trpo", CHEETAH, "baselines/maml_trpo.py"),
        "gradient = step.jacobian(gradient)",
        "assert step",
    ),
    Broken(
        "the meta-gradient of ProMP is of first order",
        *("promp", POINT, "baselines/promp.py"),
        "params = self._adapt(params, phase, create_graph=True)",
        "step = self._adapt(params, phase)\n"
        "            params = {\n"
        "                k: x + (step[k] - x).detach() for k, x in params.items()\n"
        "            }",
    ),
    Broken(
        "the hidden state is reset in each episode",
        *("rl2", POINT, "baselines/rl2_policy.py"),
        "        self.previous[:, -1] = 1.0\n",
        "        self.previous[:, -1] = 1.0\n"
        "        self.state = self.policy.initial_state(len(self.previous))\n",
    ),
    Broken(
        "RL² does not read the previous reward",
        *("rl2", POINT, "baselines/rl2_policy.py"),
        "reward = self.reward_input * step.sparse_reward",
        "reward = 0 * step.sparse_reward",
    ),
    Broken(
        "the lambda of RL²'s advantages is 0",
        *("rl2", SPARSE, "baselines/rl2.py"),
        "valid, config.discount, config.gae_lambda",
        "valid, config.discount, 0.0",
    ),
]


@pytest.mark.slow
class TestSabotage:
    @staticmethod
    def check(folder, *words):
        return subprocess.run(
            [sys.executable, "-m", "pearl_bench.regress", *words, "jobs=2"],
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

    @pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.what)
    def test_a_broken_learner_is_caught(self, broken, copy):
        text = (copy / broken.path).read_text()
        assert text.count(broken.old) == 1
        (copy / broken.path).write_text(text.replace(broken.old, broken.new))
        words = [f"families={broken.family}", f"learners={broken.learner}"]
        done = self.check(copy, *words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert f": {broken.learner} on {broken.family}, " in done.stderr

    @pytest.mark.parametrize("learner", registry.LEARNERS)
    def test_an_unbroken_one_is_not(self, learner, copy):
        done = self.check(copy, f"learners={learner}")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.what)
def test_what_is_broken_on_purpose_is_there(broken):
    assert (PROJECT / broken.path).read_text().count(broken.old) == 1
