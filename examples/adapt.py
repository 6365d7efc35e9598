"""Load a trained policy, adapt it to a task in a plain Gymnasium environment, act.

python examples/adapt.py POLICY_FILE_OR_RUN_FOLDER [TASK]
"""

import sys

import gymnasium

import pearl_bench
import suites.gym  # registers the ids


def main(path: str, task: int = 0) -> float:
    """Return what the adapted policy gets in an episode of the task."""
    trained = pearl_bench.load(path)
    env = gymnasium.make(suites.gym.id_of(trained.family), task=task)
    agent = trained.adapt(env)  # plays the exploration episodes
    return agent.play(env)


if __name__ == "__main__":
    print(main(sys.argv[1], *map(int, sys.argv[2:])))
