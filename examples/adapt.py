"""Load a trained policy, adapt it to a task in a plain Gymnasium environment, act.

python examples/adapt.py POLICY_FILE_OR_RUN_FOLDER [TASK]
"""

import argparse

import pearl_bench
from pearl_bench.config.errors import UserError
from suites.gym import TaskEnv, find_task


def main(path: str, task: int | None = None) -> float:
    """Return what the adapted policy gets in an episode of the task."""
    trained = pearl_bench.load(path)
    if task is None:
        task = trained.family.test[0].index  # unseen, but for those of fwd-back
    env = TaskEnv(trained.family, find_task(trained.family, task))
    agent = trained.adapt(env)  # plays the exploration episodes
    return agent.play(env)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path", help="a policy file or a run's folder")
    parser.add_argument("task", type=int, nargs="?", help="the first test task if none")
    try:
        print(main(**vars(parser.parse_args())))
    except (UserError, ValueError) as error:  # no such policy, no such task
        parser.error(str(error))
