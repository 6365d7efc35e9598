"""Load published curves and print each run's last steps and reported return.

python examples/load_curves.py [RESULTS_FOLDER [SUITE]]
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd


def main(results: str = "results", suite: str = "locomotion") -> Any:
    """Return the reported return at each run's last evaluation."""
    folder = Path(results, suite)
    runs = pd.read_csv(folder / "runs.csv")
    exact: Any = {"float_precision": "round_trip"}  # every float to the same bits
    curves = pd.concat(
        pd.read_csv(folder / f"{name}.csv", **exact)
        for name in sorted(set(runs.learner))
    )
    reported = curves[
        (curves.protocol == "suite")
        & (curves.split == "test")
        & (curves.group == "all")
    ].merge(runs[["run", "learner", "budget", "test_episodes"]])
    run = ["family", "learner", "budget", "seed", "run"]
    newest = reported.groupby("run")[["env_steps", "episode"]].transform("max")
    # on Meta-World, where episodes may succeed, the mean over all test episodes
    averaged = reported.test_episodes.where(reported.success.notna(), 1)
    last = reported[
        (reported.env_steps == newest.env_steps)
        & (reported.episode > newest.episode - averaged)
    ]
    last = last.groupby(run).agg({"env_steps": "max", "return": "mean"})
    print(last.to_string())
    return last


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("results", nargs="?", default="results", help="the folder")
    parser.add_argument("suite", nargs="?", default="locomotion")
    try:
        main(**vars(parser.parse_args()))
    except FileNotFoundError as error:
        parser.error(f"{error.filename} is not there: nothing published of that name")
