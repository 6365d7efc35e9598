"""The command line and conf/ become one checked configuration, or a clear error."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest

from pearl_bench import registry
from pearl_bench.config import runs as config
from pearl_bench.config.conf import conf_of
from pearl_bench.config.runs import load, run_config
from pearl_bench.config.types import BenchConfig, ConfigError, MetaTestConfig

PEARL = registry.config_class("pearl")


def resolve(*words, family="point-robot", seed=0):
    bench = load(["suite=navigation", "device=cpu", *words])
    return run_config(bench, family, "pearl", seed, threads=2)


def command(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pearl_bench.run", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def test_defaults_are_filled_in():
    bench = load(["suite=navigation"])
    assert bench.families == ["point-robot", "sparse-point-robot"]
    assert bench.learners == list(registry.learner_names())
    assert (bench.budget, bench.seeds, bench.jobs) == ("quick", [0], None)
    assert load(["suite=navigation", "budget=paper"]).seeds == [0, 1, 2, 3, 4]


def test_words_are_read_with_their_types():
    words = "families=sparse-point-robot,point-robot seeds=[3,1] steps=1e6 dry=true"
    bench = load(["suite=navigation", *words.split(), "out=1e3", "precision=bf16"])
    assert bench.families == ["sparse-point-robot", "point-robot"]
    assert bench.seeds == [3, 1]
    assert bench.steps == 1_000_000
    assert isinstance(bench.steps, int)
    assert bench.dry is True
    assert bench.out == "1e3"
    assert bench.precision == "bf16"
    assert load(["suite=navigation", "steps=none"]).steps is None


def test_nothing_writes_to_a_configuration():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(["suite=navigation"]).jobs = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolve().config.kl_weight = 2.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "suite= is missing; suite may be: locomotion, navigation"),
        (
            "suite=locmotion",
            "suite=locmotion is unknown; did you mean locomotion?",
        ),
        ("suit=navigation", "unknown word suit=; did you mean suite?"),
        ("suite=navigation families=point-robo", "did you mean point-robot?"),
        ("suite=navigation families=ant", "known are: point-robot, sparse-point"),
        ("suite=navigation learners=perl", "did you mean pearl?"),
        (
            "suite=navigation kl_weight=1",
            "did you mean pearl.kl_weight or promp.kl_weight?",
        ),
        ("suite=navigation pearl.kl_wieght=1", "did you mean pearl.kl_weight?"),
        ("suite=navigation settings=1", "unknown word settings="),
        ("suite=navigation pearl=1", "unknown word pearl="),
        ("suite=navigation jobs=two", "jobs=two is not allowed; it takes an integer"),
        ("suite=navigation jobs=1.5", "jobs=1.5 is not allowed; it takes an integer"),
        ("suite=navigation jobs=some", "jobs=some is not allowed"),
        ("suite=navigation jobs=0", "jobs=0: it must be positive"),
        ("suite=navigation threads=1e5", "threads=100000: a run takes at most 1024"),
        ("suite=navigation jobs=1e300", "jobs= is too large to plan; take at"),
        ("suite=navigation steps=1e308 eval_every=1", "steps= is too large"),
        ("suite=navigation seeds=0,1e99", "seeds= is too large to plan"),
        ("suite=navigation steps=-3", "steps=-3: it must be positive"),
        ("suite=navigation checkpoint_minutes=0", "it must be positive"),
        ("suite=navigation checkpoint_minutes=nan", "it is not finite"),
        (
            "suite=navigation budget=fast",
            "it takes one of smoke, regress, quick",
        ),
        ("suite=navigation dry=perhaps", "dry=perhaps is not allowed"),
        ("suite=navigation seeds=a,b", "seeds=a,b is not allowed; it takes integers"),
        ("suite=navigation seeds=0,0", "seeds=0,0: take different numbers >= 0"),
        ("suite=navigation seeds=-1", "seeds=-1: take different numbers >= 0"),
        (
            "suite=navigation families=point-robot,point-robot",
            "families=point-robot,point-robot names something twice",
        ),
        ("suite=navigation jobs=1 jobs=2", "jobs= is given twice"),
        ("suite=navigation out=${nothing}", "out="),
        ("navigation", "'navigation' is not a key=value word"),
        ("--suite=navigation", "such as suite=navigation"),
    ],
)
def test_mistakes_are_named(words, message):
    with pytest.raises(ConfigError) as error:
        load(words.split())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pearl.meta_batch=some", "pearl.meta_batch=some is not allowed"),
        ("pearl.discount=nan", "pearl.discount=nan is not allowed"),
        ("pearl.discount=1.5", "must not exceed 1"),
        ("pearl.hidden_size=1e20", "pearl.hidden_size= is too large to plan"),
        ("pearl.context_sampler=old", "it takes one of recent, whole-buffer, rl-batch"),
    ],
)
def test_mistakes_in_a_methods_settings_are_named(word, message):
    with pytest.raises(ConfigError) as error:
        resolve(word)
    assert message in str(error.value)


def test_a_mistake_on_the_command_line_is_one_message_and_exit_code_2():
    result = command("suite=navigation", "bugdet=smoke")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "unknown word bugdet=; did you mean budget?\n"


def test_help_lists_every_word_with_default_and_meaning():
    result = command("--help")
    assert result.returncode == 0
    for field in dataclasses.fields(BenchConfig):
        assert (f"  {field.name}=  " in result.stdout) == (
            field.name not in ("settings", "meta_test")
        )
    lines = result.stdout.splitlines()
    for field in dataclasses.fields(PEARL):
        (index,) = (
            i for i, line in enumerate(lines) if f"  pearl.{field.name}= " in line
        )
        assert str(field.default).lower() in lines[index].lower()
        assert lines[index + 1].strip()


def test_a_foreign_package_is_refused(tmp_path):
    foreign = tmp_path / "baselines" / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text("")
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from pearl_bench.run import main; sys.exit(main(['suite=navigation']))",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert str(foreign) in result.stderr
    assert "pip uninstall baselines" in result.stderr
    assert "Traceback" not in result.stderr


class TestConf:
    """What conf/<learner>.yaml means."""

    @pytest.fixture
    def conf(self, tmp_path, monkeypatch):
        path = tmp_path / "pearl.yaml"
        method = dataclasses.replace(registry.method("pearl"), conf=path)
        monkeypatch.setattr(registry, "method", lambda learner: method)
        return path

    def test_later_layers_win(self, conf):
        conf.write_text(
            """
            paper:
              "*":
                {steps: 10, eval_every: 5, meta_batch: 1, kl_weight: 1, latent_dim: 1}
              point-robot: {steps: 20, meta_batch: 2, kl_weight: 2, latent_dim: 2}
            smoke:
              "*": {steps: 30, meta_batch: 3, kl_weight: 3}
              point-robot: {steps: 40, meta_batch: 4}
            """
        )
        paper = resolve("budget=paper")
        assert (paper.steps, paper.eval_every) == (20, 5)
        assert (paper.config.meta_batch, paper.config.kl_weight) == (2, 2.0)
        assert paper.config.batch_size == PEARL().batch_size

        smoke = resolve("budget=smoke", "pearl.kl_weight=0.5")
        assert (smoke.steps, smoke.eval_every) == (40, 5)
        assert (smoke.config.meta_batch, smoke.config.latent_dim) == (4, 2)
        assert smoke.config.kl_weight == 0.5

        other = resolve("budget=smoke", "steps=7", family="sparse-point-robot")
        assert (other.steps, other.config.meta_batch) == (7, 3)
        assert resolve("budget=smoke", "eval_every=6").eval_every == 6

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("paper: {'*': {kl_wieght: 1}}", "unknown key paper.*.kl_wieght; did you"),
            ("papper: {'*': {steps: 1}}", "unknown budget papper; did you mean paper?"),
            ("paper: {'*': {eval_every: 5}}", "steps is None for point-robot"),
            ("paper: {'*': {steps: 0, eval_every: 5}}", "must be a positive integer"),
            ("- paper", "must hold a mapping"),
            ("paper: [", "is not valid YAML"),
        ],
    )
    def test_mistakes_name_the_file(self, conf, text, message):
        conf.write_text(text)
        with pytest.raises(ConfigError) as error:
            resolve("budget=paper")
        assert str(conf) in str(error.value)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "is not UTF-8"),
        (b"config: [\n", "is not valid YAML"),
        (b"- config\n", "must hold a mapping"),
        (b"suite: navigation\n", "does not describe a run"),
        (b"{suite: a, family: b, learner: c, seed: 0, config: d}", "does not describe"),
        (b"suite: &x a\nfamily: *x\n", "has anchors or aliases"),
        (None, "is missing"),
    ],
)
def test_a_damaged_configuration_is_told_in_a_line_with_a_remedy(tmp_path, data, said):
    path = tmp_path / "config.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=said) as refusal:
        config.stored(path)
    assert re.fullmatch(
        rf"{path}.*; (mend or restore it|restore it.*)", str(refusal.value)
    )


SIX = [row.name for row in registry.suite("locomotion").families]
FAMILIES = [
    (suite, family.name)
    for suite in registry.suite_names()
    for family in registry.suite(suite).families
]


@pytest.mark.parametrize("budget", ["smoke", "quick", "lean", "paper"])
@pytest.mark.parametrize("suite", registry.suite_names())
@pytest.mark.parametrize("learner", registry.learner_names())
def test_every_family_has_settings_in_every_budget(suite, learner, budget):
    names = [family for of, family in FAMILIES if of == suite][:8]  # of ml1 not all
    bench = load([f"suite={suite}", f"budget={budget}", f"families={','.join(names)}"])
    for family in names:
        run = run_config(bench, family, learner, 0, threads=1)
        assert 0 < run.eval_every <= run.steps


@pytest.mark.parametrize("learner", registry.learner_names())
def test_the_budget_regress_is_never_as_long_as_paper(learner):
    words = ["suite=locomotion", "budget=regress"]
    with pytest.raises(ConfigError) as refusal:
        run_config(load(words), "ant-goal-2d", learner, 0, threads=1)
    message = str(refusal.value)
    assert f"no steps for {learner} on ant-goal-2d" in message
    assert "; take families=half-cheetah-fwd-back, or add them under" in message
    assert "(pearl-bench run takes steps= or another budget=, too)" in message
    for family, given in (("half-cheetah-fwd-back", []), ("ant-goal-2d", ["steps=9"])):
        run = run_config(load([*words, *given]), family, learner, 0, threads=1)
        assert run.steps < 100_000


@pytest.mark.parametrize("family", SIX)
@pytest.mark.parametrize("learner", registry.learner_names())
def test_steps_carry_a_quick_run_on_to_a_lean_one(learner, family):
    """The first is a beginning of the second: equal but for the steps."""

    def run_of(budget):
        bench = load(["suite=locomotion", f"budget={budget}", f"families={family}"])
        return run_config(bench, family, learner, 0, threads=1)

    quick, lean = run_of("quick"), run_of("lean")
    assert (quick.config, quick.eval_every) == (lean.config, lean.eval_every)
    assert quick.steps < lean.steps


@pytest.mark.parametrize("family", SIX)
def test_lean_is_one_rule_for_all_families(family):
    """About 256 transitions a gradient step, one such step per four of a task's."""
    bench = load(["suite=locomotion", "budget=lean", f"families={family}"])
    pearl = run_config(bench, family, "pearl", 0, threads=1).config
    collected = pearl.tasks_per_iteration * (
        pearl.prior_steps + pearl.posterior_steps + pearl.extra_posterior_steps
    )
    assert pearl.updates_per_iteration * 4 == collected
    assert 250 <= pearl.meta_batch * pearl.batch_size <= 256
    assert pearl.context_size == 64
    assert (pearl.learning_rate, pearl.target_tau) == (6e-4, 0.01)


def test_conf_names_no_family_that_does_not_exist():
    known = {name for names in FAMILIES for name in names} | {"*"}
    for learner in registry.learner_names():
        conf = conf_of(learner, registry.suite("navigation"))
        assert {entry for entries in conf.values() for entry in entries} <= known


class TestMetaWorldWords:
    def test_ml1_takes_a_task(self):
        assert load(["suite=ml1", "task=push"]).families == ["push"]
        assert load(["suite=ml1", "families=push,reach"]).families == ["push", "reach"]
        assert load(["suite=ml10"]).families == ["ml10"]
        assert load(["suite=ml10", "task=ml10-reward-v1"]).families == [
            "ml10-reward-v1"
        ]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                [],
                "suite=ml1 has 100 families and trains those that are named, such as "
                "task=assembly; pearl-bench ls suite=ml1 lists them all",
            ),
            (["task=pushh"], "task=pushh is unknown; did you mean push?"),
            (["task=push-v3"], "did you mean push"),
            (["task=x"], "task=x is unknown; pearl-bench ls suite=ml1 lists them all"),
            (["task=push", "families=reach"], "give one of them"),
            (["task=push", "meta_test.goals=0"], "meta_test.goals must be positive"),
            (["task=push", "meta_test.repetitions=0"], "repetitions must be positive"),
            (["task=push", "meta_test.goal=1"], "did you mean meta_test.goals?"),
            (["task=push", "meta_test.goals=many"], "takes an integer or none"),
            (
                ["task=push", "meta_test.protocol=own"],
                "push has no such protocol; known are: metaworld, suite",
            ),
            (
                ["task=push-reward-v1", "meta_test.protocol=metaworld"],
                "push-reward-v1 has no such protocol; known are: suite",
            ),
        ],
    )
    def test_mistakes_say_what_to_type(self, words, message):
        with pytest.raises(ConfigError) as error:
            load(["suite=ml1", *words])
        assert message in str(error.value)

    def test_goals_come_from_the_budget_or_the_command_line(self):
        def goals(*words):
            bench = load(["suite=ml1", "task=push", *words])
            return run_config(bench, "push", "rl2", 0, threads=1).meta_test.goals

        assert goals("budget=quick") == 10
        assert goals("budget=quick", "meta_test.goals=3") == 3
        assert goals("budget=paper") is None

    def test_yaml_keeps_what_is_unusual_about_the_meta_test(self):
        words = ["suite=ml1", "task=push", "meta_test.goals=3"]
        run = run_config(load(words), "push", "rl2", 0, threads=1)
        assert config.from_yaml(config.to_yaml(run)) == run
        assert "meta_test:\n  goals: 3\n  repetitions: 1\n" in config.to_yaml(run)
        run = run_config(
            load([*words[:2], "budget=paper"]), "push", "rl2", 0, threads=1
        )
        assert config.from_yaml(config.to_yaml(run)) == run
        assert config.to_yaml(run).endswith("meta_test:\n  repetitions: 1\n")
        older = dataclasses.replace(run, meta_test=MetaTestConfig())
        assert "meta_test" not in config.to_yaml(older)
        assert config.from_yaml(config.to_yaml(older)) == older

    def test_repetitions_are_the_words_the_budgets_or_the_familys(self):
        def repetitions(family, *words):
            bench = load(["suite=locomotion", f"task={family}", *words])
            run = run_config(bench, family, "rl2", 0, threads=1)
            return run.meta_test.repetitions

        assert repetitions("ant-fwd-back") == 10
        assert repetitions("walker-2d-params", "budget=paper") == 2
        assert repetitions("ant-goal-2d") == 1
        assert repetitions("half-cheetah-fwd-back", "budget=regress") == 1
        assert repetitions("ant-fwd-back", "meta_test.repetitions=4") == 4


def test_yaml_gives_the_same_run_back():
    run = resolve("pearl.learning_rate=1e-7", "pearl.context_sampler=whole-buffer")
    assert run.config.learning_rate == 1e-7
    assert config.from_yaml(config.to_yaml(run)) == run


@pytest.mark.parametrize(
    ("key", "name"), [("learner", "steady"), ("suite", "rings"), ("family", "ring")]
)
def test_a_run_of_a_package_that_is_gone_is_refused(key, name):
    text = re.sub(f"(?m)^{key}: .*", f"{key}: {name}", config.to_yaml(resolve()))
    with pytest.raises(ConfigError, match=rf"{key}={name} is unknown \(is the package"):
        config.from_yaml(text)


def test_broken_yaml_is_refused():
    with pytest.raises(ConfigError, match="'learner' is missing"):
        config.from_yaml("config: {}\nsuite: navigation\n")


@pytest.mark.parametrize(("before", "name"), [("config:", "pearl."), ("suite:", "")])
def test_a_setting_of_another_version_is_named(before, name):
    own = f"{before}\n  newer: 3" if name else f"newer: 3\n{before}"
    text = config.to_yaml(resolve()).replace(before, own)
    with pytest.raises(ConfigError, match=rf"^config\.yaml: {name}newer is no setting"):
        config.from_yaml(text)


def test_configuration_loads_without_torch():
    code = (
        "import sys\n"
        "from pearl_bench.config import runs as config\n"
        "config.load(['suite=locomotion'])\n"
        "sys.exit(bool({'torch', 'mujoco', 'pandas'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
