"""The Python interface: train, load, test, adapt, act; and the examples."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import safetensors.torch
import torch
from raw_runs import always, published, some_return, train_small

import pearl_bench
import suites.gym
from pearl_bench import registry
from pearl_bench.analysis import scores
from pearl_bench.analysis.files import PublishedError
from pearl_bench.config.runs import load, meta_tested, run_config
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.console import Tee
from pearl_bench.execution.trained import Trained
from pearl_bench.execution.work import build_learner
from pearl_bench.records import policy_file
from pearl_bench.records.files import RecordError
from pearl_bench.records.run_folder import read_run

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ["suite=navigation", "families=point-robot", "budget=smoke"]


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=list(registry.LEARNERS))
def folder(request, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("raw")
    return train_small(out, *SMALL, f"learners={request.param}")


def test_a_policy_file_acts_as_the_run_does(folder):
    run = pearl_bench.load(folder)
    policy = pearl_bench.load(folder / "policy.safetensors")
    assert policy.run == run.run
    assert policy.learner.env_steps == run.learner.env_steps
    assert policy.evaluate() == run.evaluate()
    env = gymnasium.make(suites.gym.id_of(policy.family), task=3)
    returns = [trained.adapt(env).play(env, seed=1) for trained in (run, policy)]
    assert returns[0] == returns[1]


def test_a_policy_tested_on_some_of_its_tasks_is_read(tmp_path):
    words = [*SMALL, "learners=rl2", "meta_test.goals=1"]
    path = train_small(tmp_path / "raw", *words) / "policy.safetensors"
    policy = pearl_bench.load(path)
    policy.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    # as runs wrote it once, of the tasks that they had been tested on
    tested = meta_tested(policy.family, policy.run)
    assert tested.fingerprint() != policy.family.fingerprint()
    policy._replace(family=tested).save(tmp_path / "before.safetensors")
    before = pearl_bench.load(tmp_path / "before.safetensors")
    assert before.evaluate() == policy.evaluate()


def test_a_policy_file_is_small_and_saved_again_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = folder / "policy.safetensors"
    assert path.stat().st_size < (folder / "checkpoint.pt").stat().st_size
    pearl_bench.load(path).save("~/again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_an_agent_stepped_by_hand_equals_one_that_plays(folder):
    trained = pearl_bench.load(folder)
    env = gymnasium.make("pearl_bench/point-robot-v0", task=2)
    played = trained.agent().play(env, explore=True, seed=5)
    agent, total, over = trained.agent(), 0.0, False
    obs, _ = env.reset(seed=5)
    while not over:
        obs, reward, terminated, truncated, info = env.step(
            agent.act(obs, explore=True)
        )
        agent.observe(
            obs,
            float(reward),
            terminated=terminated,
            sparse_reward=info["sparse_reward"],
        )
        total += info["sparse_reward"]
        over = terminated or truncated
    assert total == played


def test_nothing_is_learnt_from_a_step_that_broke_down(folder, monkeypatch):
    """As in a meta-test; the environment says so in its info."""
    env = gymnasium.make("pearl_bench/point-robot-v0", task=2)
    step = env.step

    def broken(action):
        obs, reward, _, truncated, info = step(action)
        return obs, reward, True, truncated, info | {"unstable": True}

    monkeypatch.setattr(env, "step", broken)
    agent = pearl_bench.load(folder).agent()
    seen = []
    observe = agent.adapter.observe
    monkeypatch.setattr(
        agent.adapter, "observe", lambda x: seen.append(x.alive) or observe(x)
    )
    agent.play(env, seed=5)
    assert [alive.tolist() for alive in seen] == [[False]]


def test_a_policy_needs_no_memory_for_a_replay(folder, monkeypatch):
    monkeypatch.setattr("pearl_bench.execution.plan.most_memory", lambda: 1)
    assert pearl_bench.load(folder / "policy.safetensors").agent()


def test_without_a_step_there_is_nothing_to_adapt_from(folder):
    trained = pearl_bench.load(folder)
    env = gymnasium.make("pearl_bench/point-robot-v0", task=2)
    fresh = trained.agent().play(env, seed=5)
    assert trained.adapt(env, episodes=0).play(env, seed=5) == fresh
    agent = trained.agent()
    agent.end_episode()
    agent.adapt()
    assert agent.play(env, seed=5) == fresh
    with pytest.raises(ValueError, match=r"episodes must be a whole number.*, not -1"):
        trained.adapt(env, episodes=-1)


def test_a_method_that_is_told_the_task_is_told_that_of_its_agent(monkeypatch):
    words = [*SMALL, "learners=pearl", "device=cpu", "pearl.inference=oracle"]
    family = registry.family("navigation", "point-robot")
    run = run_config(load(words), family.name, "pearl", 0, threads=1)
    trained = Trained(run, family, build_learner(run, family))
    env = gymnasium.make("pearl_bench/point-robot-v0", task=2)
    with pytest.raises(ValueError, match=r"is told its task; give task="):
        trained.agent()
    own, another = (
        trained.adapt(env, episodes=1, task=family.train[k]).play(env, seed=5)
        for k in (2, 3)
    )
    assert own != another
    reading = replace(registry.method("pearl"), reads_parameters=True)
    monkeypatch.setattr(registry, "method", lambda learner: reading)
    with pytest.raises(ValueError, match="reads a task's parameters; give task="):
        trained.agent()


def test_steps_out_of_order_are_refused_with_a_sentence(folder):
    agent = pearl_bench.load(folder).agent()
    env = gymnasium.make("pearl_bench/point-robot-v0", task=2)
    obs, _ = env.reset(seed=5)
    with pytest.raises(RuntimeError, match=r"call act\(\) before"):
        agent.observe(obs, 0.0, terminated=False)
    agent.act(obs, explore=True)
    action = agent.act(obs, explore=True)  # another, which is the one that is taken
    obs, reward, terminated, _, _ = env.step(action)
    agent.observe(obs, float(reward), terminated=terminated)
    with pytest.raises(RuntimeError, match=r"call end_episode\(\) first"):
        agent.adapt()
    agent.end_episode()
    agent.adapt()
    assert np.isfinite(agent.play(env, seed=6))


def test_a_policy_of_which_any_byte_is_another_is_refused(folder, tmp_path):
    whole = (folder / "policy.safetensors").read_bytes()
    path = tmp_path / "policy.safetensors"
    for place in np.linspace(8, len(whole) - 1, 60).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(RecordError):
            pearl_bench.load(path)
    path.write_bytes(whole)
    assert pearl_bench.load(path).agent()


@pytest.mark.parametrize("text", ["", "learner: none", "config: {}"])
def test_a_damaged_configuration_is_named_with_its_folder(folder, tmp_path, text):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(copy / "config.yaml"))):
        pearl_bench.load(copy)


def test_a_policy_is_not_written_in_the_place_of_a_folder(folder, tmp_path):
    with pytest.raises(RecordError, match="cannot be written: Is a directory"):
        pearl_bench.load(folder).save(tmp_path)


def test_a_home_folder_that_there_is_not_is_refused_with_a_sentence(folder):
    path = "~nobody_here/x"
    for use in (pearl_bench.load, pearl_bench.load(folder).save):
        with pytest.raises(ConfigError, match=f"^path={path}: there is no such home"):
            use(path)
    with pytest.raises(PublishedError, match=f"^results={path}: there is no such"):
        scores.load(path, "locomotion")


def test_damaged_policies_are_refused(folder, tmp_path):
    whole = (folder / "policy.safetensors").read_bytes()
    path = tmp_path / "policy.safetensors"
    for size in (0, 4, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(RecordError, match="no policy file"):
            pearl_bench.load(path)
    tensors = safetensors.torch.load(whole)
    for metadata in (None, {"pearl_bench": "[]"}, {"pearl_bench": "{"}):
        path.write_bytes(safetensors.torch.save(tensors, metadata))
        with pytest.raises(RecordError, match="description is damaged"):
            pearl_bench.load(path)
    with safetensors.safe_open(folder / "policy.safetensors", "pt") as file:
        described = json.loads(file.metadata()["pearl_bench"])
    del described[policy_file.DIGEST]  # as in files of before

    def changed(tensors=tensors, **values):
        text = json.dumps(described | values)
        path.write_bytes(safetensors.torch.save(tensors, {"pearl_bench": text}))
        return path

    assert pearl_bench.load(changed()).run == pearl_bench.load(folder).run
    with pytest.raises(RecordError, match="has format 2"):
        pearl_bench.load(changed(format=2))
    with pytest.raises(RecordError, match="other tasks of point-robot"):
        pearl_bench.load(changed(fingerprint="0" * 16))
    name = next(iter(tensors))
    with pytest.raises(RecordError, match=f"its tensor {name} has entries"):
        pearl_bench.load(changed({**tensors, name: tensors[name] * float("nan")}))
    with pytest.raises(RecordError, match="damaged description"):
        pearl_bench.load(changed(env_steps=None))
    with pytest.raises(ConfigError):
        pearl_bench.load(changed(config="a: ["))
    name = next(iter(tensors))
    with pytest.raises(RecordError, match=f"{name} is missing"):
        pearl_bench.load(changed({k: v for k, v in tensors.items() if k != name}))
    with pytest.raises(RecordError, match="has the shape"):
        pearl_bench.load(changed(tensors | {name: torch.zeros(1, 1, 1, 1)}))
    with pytest.raises(RecordError, match="stray is unknown"):
        pearl_bench.load(changed({**tensors, "stray": torch.zeros(1)}))


def test_damaged_run_folders_are_refused(folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    pearl_bench.load(copy)
    described = json.loads((copy / "run.json").read_text())
    other = described | {"fingerprint": "0" * 16}
    (copy / "run.json").write_text(json.dumps(other))
    with pytest.raises(RecordError, match="other tasks of point-robot"):
        pearl_bench.load(copy)
    (copy / "run.json").write_text(json.dumps(described))
    config = (copy / "config.yaml").read_text()
    wider = re.sub(r"hidden_size: \d+", "hidden_size: 33", config)
    assert wider != config
    (copy / "config.yaml").write_text(wider)
    with pytest.raises(RecordError, match=r"not of the run that config\.yaml"):
        pearl_bench.load(copy)


def test_a_full_gpu_is_not_called_another_run(folder, monkeypatch):
    def full(*of_any):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("pearl_bench.training.learner.restore", full)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        pearl_bench.load(folder)


def test_adapting_refuses_an_environment_of_other_sizes(folder):
    env = gymnasium.make("pearl_bench/half-cheetah-vel-v0")
    with pytest.raises(ValueError, match=r"those of the environment are \(20,\)"):
        pearl_bench.load(folder).adapt(env)


def test_tasks_of_another_family_are_refused(folder):
    trained = pearl_bench.load(folder)
    env = gymnasium.make(suites.gym.id_of(trained.family), task=3)
    (other,) = registry.family("navigation", "sparse-point-robot").test[:1]
    for use in (
        lambda task: trained.evaluate([*trained.family.test[:1], task]),
        lambda task: trained.agent(task=task),
        lambda task: trained.adapt(env, episodes=0, task=task),
    ):
        with pytest.raises(ValueError, match=r"of sparse-point-robot is none of point"):
            use(other)
        use(trained.family.train[0])


@pytest.mark.parametrize("seed", [None, 1.5, -1, True, "1", 2**70, np.arange(2)])
def test_what_is_no_seed_is_refused(folder, seed):
    trained = pearl_bench.load(folder)
    env = gymnasium.make(suites.gym.id_of(trained.family), task=3)
    refused = pytest.raises(ValueError, match=r"^seed must be a whole number")
    with refused:
        trained.agent(seed=seed)
    with refused:
        trained.adapt(env, seed=seed)
    if seed is not None:  # the run's
        with refused:
            trained.evaluate(seed=seed)
    with pytest.raises(ValueError, match=r"^episodes must be a whole number"):
        trained.adapt(env, episodes=1.5)  # type: ignore[arg-type]


def test_a_seed_of_numpy_is_one(folder):
    trained = pearl_bench.load(folder)
    env = gymnasium.make(suites.gym.id_of(trained.family), task=3)
    plays = [
        trained.adapt(env, episodes=1, seed=seed).play(env, seed=1)  # type: ignore
        for seed in (2**62, np.int64(2**62))
    ]
    assert plays[0] == plays[1]


def test_an_own_family_may_have_taken_tasks_from_another(folder):
    trained = pearl_bench.load(folder)
    renamed = trained._replace(family=replace(trained.family, name="ring"))
    once = iter(renamed.family.test[:1])
    assert renamed.evaluate(once)  # type: ignore[arg-type]


def test_training_again_returns_what_is_there(tmp_path):
    words: dict[str, Any] = {"budget": "smoke", "out": tmp_path}
    first = pearl_bench.train("promp", "point-robot", **words)
    log = next(tmp_path.rglob("log.txt")).read_bytes()
    again = pearl_bench.train("promp", "point-robot", **words)
    assert next(tmp_path.rglob("log.txt")).read_bytes() == log
    assert again.evaluate() == first.evaluate()
    with pytest.raises(ConfigError, match="did you mean point-robot"):
        pearl_bench.train("promp", "point-robt", **words)
    with pytest.raises(ConfigError, match="inner_rate"):
        pearl_bench.train("promp", "point-robot", settings={"inner_rat": 1}, **words)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("dry", True), ("measure", True), ("engine", "slurm"), ("jobs", 2)),
        *(("gpus", 1), ("memory", "4G"), ("time", "1:00:00"), ("sbatch", "-q low")),
        *(("partition", "a"), ("account", "a"), ("on_stop", "cancel")),
        *(("seeds", [0, 1]), ("families", "point-robot"), ("learners", ["rl2"])),
        *(("task", "point-robot"), ("results", "results")),
    ],
)
def test_words_of_many_runs_or_of_elsewhere_are_refused(tmp_path, word, value):
    words: dict[str, Any] = {"budget": "smoke", "out": tmp_path, word: value}
    with pytest.raises(
        ConfigError, match=rf"^{word}=.* train\(\).* budget, steps, .*;"
    ):
        pearl_bench.train("promp", "point-robot", **words)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("out", [None, ""])
def test_no_folder_is_none(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^out=.* leave it out"):
        pearl_bench.train("promp", "point-robot", budget="smoke", out=out)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("learner", "promp,rl2"), ("learner", ["promp", "rl2"]), ("learner", "")),
        *(("family", "point-robot,sparse-point-robot"), ("family", ["point-robot"])),
        *(("seed", [0, 1]), ("seed", range(2)), ("seed", np.arange(2)), ("seed", "")),
        *(("learner", None), ("family", None), ("seed", None)),
    ],
)
def test_one_call_trains_one_run(tmp_path, word, value):
    words: dict[str, Any] = {"learner": "promp", "family": "point-robot", word: value}
    words |= {"suite": "navigation", "budget": "smoke", "out": tmp_path}
    with pytest.raises(ConfigError, match=rf"^{word}=.* trains one run"):
        pearl_bench.train(**words)
    assert not any(tmp_path.iterdir())


def test_training_says_how_far_it_is(tmp_path, capsys):
    words: dict[str, Any] = {"budget": "smoke", "out": tmp_path}
    pearl_bench.train("promp", "point-robot", **words)
    said = capsys.readouterr().out.splitlines()
    assert "point-robot promp seed=0: 0/" in said[0]
    assert said[-1].endswith("point-robot promp seed=0: done")
    pearl_bench.train("promp", "point-robot", seed=1, progress=Tee(), **words)
    assert capsys.readouterr().out == ""


class Interrupts:
    """Sends a signal once there are steps."""

    def __init__(self, number: signal.Signals) -> None:
        self.number: signal.Signals | None = number

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        del updates, test_return
        if env_steps and self.number:
            number, self.number = self.number, None
            signal.raise_signal(number)

    def say(self, line: str) -> None:
        del line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_goes_on_from_a_checkpoint(number, tmp_path):
    words: dict[str, Any] = {"budget": "smoke", "out": tmp_path / "cut"}
    heard: list[int] = []
    before = signal.signal(number, lambda number, _: heard.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            pearl_bench.train(
                "promp", "point-robot", progress=Interrupts(number), **words
            )
    finally:
        signal.signal(number, before)
    assert heard == [number]  # after the checkpoint
    folder = tmp_path / "cut/navigation/point-robot/promp/seed=0"
    stopped = read_run(folder)
    assert stopped["status"] == "stopped"
    assert pearl_bench.load(folder).learner.env_steps == stopped["env_steps"] > 0
    resumed = pearl_bench.train("promp", "point-robot", **words)
    whole = pearl_bench.train(
        "promp", "point-robot", **words | {"out": tmp_path / "whole"}
    )
    assert resumed.evaluate() == whole.evaluate()


def test_examples(tmp_path, capsys):
    policy = example("train").main(str(tmp_path), budget="smoke")
    assert "mean return: -" in capsys.readouterr().out
    total = example("adapt").main(str(policy), 5)
    assert np.isfinite(total)
    assert total < 0
    assert example("adapt").main(str(policy)) < 0
    last = example("load_curves").main(str(EXAMPLES.parent / "results"))
    assert last.loc["half-cheetah-vel", "return"].max() < 0
    assert {"lean", "paper"} <= set(last.index.get_level_values("budget"))
    assert (last.env_steps > 0).all()


def test_the_example_of_curves_averages_the_episodes_that_may_succeed(tmp_path):
    runs = {"success": ""}, {"success": always, "seed": 1}
    results = published(tmp_path, *({"episodes": 5, "tested": 3} | run for run in runs))
    found = example("load_curves").main(str(results))
    at_last = some_return(3000, 0, 0) + 0.05  # of two tasks
    assert found["return"].tolist() == pytest.approx([at_last + 50, at_last + 40])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["adapt.py"], "the following arguments are required: path"),
        (["adapt.py", "nowhere"], "nowhere holds no run"),
        (["adapt.py", "{policy}", "100"], "point-robot has no task 100"),
        (["adapt.py", "{policy}", "first"], "invalid int value"),
        (["load_curves.py", "results", "ml46"], "results/ml46/runs.csv is not there"),
        (["train.py", "--out=x"], "unrecognized arguments"),
    ],
)
def test_examples_answer_mistakes_in_a_sentence(words, message, folder):
    script, *others = words
    policy = folder / "policy.safetensors"
    assert_refused(script, *(x.format(policy=policy) for x in others), message=message)


def test_the_example_of_training_leaves_another_run_alone(tmp_path):
    train_small(tmp_path, *SMALL, "learners=pearl")
    assert_refused("train.py", str(tmp_path), message="holds a run with other settings")


def assert_refused(script: str, *words: str, message: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLES.parent,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_of_an_own_method_and_family(tmp_path):
    """It is installed by writing down what pip would take from its pyproject.toml."""
    package = EXAMPLES / "own_package"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = tmp_path / "site" / "own_package-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: own-package\nVersion: 0.1\n"
    )
    points = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    paths = [str(info.parent), str(package), os.environ.get("PYTHONPATH", "")]
    code = (
        "import sys\n"
        "from pearl_bench import contract, run\n"
        "contract.check_learner('constant_actions', 'ring', 'ring')\n"
        "contract.check_learner('constant_actions', 'locomotion', 'ant-fwd-back')\n"
        "contract.check_learner('constant_actions', 'pendulums', 'pendulum')\n"
        "contract.check_family('pendulums', 'pendulum')\n"
        "sys.exit(run.main(sys.argv[1:]))"
    )
    words = ["suite=ring", "learners=constant_actions,pearl", "budget=smoke"]
    words += ["device=cpu", f"out={tmp_path / 'raw'}", f"results={tmp_path / 'own'}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "own" / "ring"
    assert (folder / "constant_actions.csv").exists()
    assert list((folder / "figures").glob("learning-curves*"))
