"""A PEARL that is quick to train."""

import numpy as np

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.learner import PearlLearner
from pearl_bench.pearl.update import Batch

SMALL = PearlConfig(
    hidden_size=32,
    encoder_hidden_size=32,
    meta_batch=4,
    batch_size=32,
    context_size=16,
    initial_steps=40,
    tasks_per_iteration=3,
    prior_steps=40,
    extra_posterior_steps=40,
    updates_per_iteration=30,
)


def learner_on(family, config=SMALL, *, seed=0, precision="float32") -> PearlLearner:
    return PearlLearner(
        config, family, seed=seed, device="cpu", precision=precision, threads=1
    )


def draw(learner: PearlLearner) -> Batch:
    tasks = np.arange(SMALL.meta_batch) % len(learner.family.train)
    return learner._sample(*learner._spans(tasks))
