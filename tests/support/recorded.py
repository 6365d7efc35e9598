"""A family of which updates were recorded, and no environment."""

from suites.base import ScoreRange, Task, TaskFamily


def no_environment(tasks, *, threads):
    raise AssertionError("an update needs no environment")


def recorded_family(obs_dim: int, action_dim: int) -> TaskFamily:
    tasks = (Task("recorded", 0, ()),)
    return TaskFamily(
        name="recorded",
        version=0,
        horizon=1,
        obs_dim=obs_dim,
        action_dim=action_dim,
        train=tasks,
        test=tasks,
        score=ScoreRange(0, 1, "none", "none"),
        source="recorded update",
        make_batch=no_environment,
    )
