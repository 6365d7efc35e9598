"""Train PEARL on a family without the command line, test it and keep its policy.

python examples/train.py [FOLDER]; the same again goes on where it stopped.
"""

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any

import pearl_bench
from pearl_bench.config.errors import UserError


def main(out: str = "results/raw", **words: Any) -> Path:
    """Return the file of the trained policy."""
    trained = pearl_bench.train(
        "pearl", "point-robot", seed=0, out=out, settings={"kl_weight": 1.0}, **words
    )
    rows = [  # one per test task and episode
        row
        for row in trained.evaluate()
        if (row.protocol, row.split) == ("suite", "test")
    ]
    last = max(row.episode for row in rows)
    print("mean return:", fmean(row.total for row in rows if row.episode == last))
    path = Path(out, "pearl-point-robot.safetensors")
    trained.save(path)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", default="results/raw", help="the folder")
    try:
        main(**vars(parser.parse_args()))
    except UserError as error:  # the folder holds another run, say
        parser.error(str(error))
