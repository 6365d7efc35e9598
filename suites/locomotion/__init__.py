"""The six locomotion families of PEARL's comparison (Rakelly et al. 2019, fig. 3).

A family is a row below, the functions that it names, and a list of tasks.
Scores run from 0 for zero actions (mean return over the test tasks, measured on MuJoCo
3.3.0) to 1 for the best evaluation that is public, or for a bound where there is one.
A reward per step survived makes a robot that just stands score well: 200 on the ant and
the walker, 1,000 on the humanoid.
"""

from __future__ import annotations

from suites.base import ScoreRange, Suite
from suites.locomotion import ant, half_cheetah, humanoid, walker
from suites.locomotion.family import family_of
from suites.locomotion.row import LocomotionRow, never, uniform_normal_start
from suites.tasks import TaskList

OYSTER = "katerakelly/oyster@44e20fd rlkit/envs"
X35F = "best single evaluation of x35f/meta_rl@7481401"

ROWS = (
    LocomotionRow(
        name="half-cheetah-fwd-back",
        version=0,
        xml="half_cheetah.xml",
        frame_skip=5,
        obs_dim=20,
        action_dim=6,
        reads=("torso",),
        start=uniform_normal_start,
        observe=half_cheetah.observe,
        reward=half_cheetah.direction_reward,
        terminated=never,
        distance=half_cheetah.distance_along,
        distance_is="covered",
        tasks=TaskList(
            ("direction",), 2, 2, None, half_cheetah.draw_directions, shared=True
        ),
        score=ScoreRange(0.0, 1684.0, "zero action", X35F),
        source=f"{OYSTER}/half_cheetah_dir.py; the two tasks are train and test",
        tell=half_cheetah.tell_direction,
        view=half_cheetah.VIEW,
    ),
    LocomotionRow(
        name="half-cheetah-vel",
        version=0,
        xml="half_cheetah.xml",
        frame_skip=5,
        obs_dim=20,
        action_dim=6,
        reads=("torso",),
        start=uniform_normal_start,
        observe=half_cheetah.observe,
        reward=half_cheetah.velocity_reward,
        terminated=never,
        distance=half_cheetah.distance_forwards,
        distance_is="covered",
        tasks=TaskList(("velocity",), 100, 30, 1337, half_cheetah.draw_velocities),
        score=ScoreRange(-284.0, 0.0, "zero action", "bound, never quite reached"),
        source=f"{OYSTER}/half_cheetah_vel.py",
        tell=half_cheetah.tell_velocity,
        view=half_cheetah.VIEW,
    ),
    LocomotionRow(
        name="ant-fwd-back",
        version=0,
        xml="ant.xml",
        frame_skip=5,
        obs_dim=27,
        action_dim=8,
        reads=("torso", "cfrc_ext"),
        start=uniform_normal_start,
        observe=ant.observe,
        reward=ant.direction_reward,
        terminated=ant.fallen,
        distance=ant.distance_along,
        distance_is="covered",
        tasks=TaskList(("angle",), 2, 2, None, ant.draw_directions, shared=True),
        score=ScoreRange(
            199.0,
            1071.0,
            "zero action, which stands: 1 a step for staying up",
            f"{X35F}, 200 of it for staying up",
        ),
        source=f"{OYSTER}/ant_dir.py; the two tasks are train and test",
        tell=ant.tell_direction,
        view=ant.VIEW,
    ),
    LocomotionRow(
        name="ant-goal-2d",
        version=0,
        xml="ant.xml",
        frame_skip=5,
        obs_dim=113,
        action_dim=8,
        reads=("torso", "cfrc_ext"),
        start=uniform_normal_start,
        observe=ant.observe_contacts,
        reward=ant.goal_reward,
        terminated=never,
        distance=ant.distance_to_goal,
        distance_is="remaining",
        tasks=TaskList(("x", "y"), 150, 30, 20191, ant.draw_goals),
        score=ScoreRange(-482.0, 0.0, "zero action", "bound, never quite reached"),
        source=f"{OYSTER}/ant_goal.py; own draw of goals",
        tell=ant.tell_goal,
        view=ant.WIDE_VIEW,
        goal=ant.goal,
    ),
    LocomotionRow(
        name="humanoid-direc-2d",
        version=0,
        xml="humanoid.xml",
        frame_skip=5,
        obs_dim=376,
        action_dim=17,
        reads=("com", "cinert", "cvel", "qfrc_actuator", "cfrc_ext"),
        start=humanoid.start,
        observe=humanoid.observe,
        reward=humanoid.reward,
        terminated=humanoid.fallen,
        distance=humanoid.distance_along,
        distance_is="covered",
        tasks=TaskList(("angle",), 100, 30, 20192, humanoid.draw_angles),
        score=ScoreRange(
            197.0,
            1009.0,
            "zero action, which falls at step 40: 5 a step for staying up",
            "best of ZiyiLiubird/CRL@149532c; standing gives 1,000",
        ),
        source=f"{OYSTER}/humanoid_dir.py; own draw of angles",
        tell=humanoid.tell,
        view=humanoid.VIEW,
    ),
    LocomotionRow(
        name="walker-2d-params",
        version=0,
        xml="walker2d.xml",
        frame_skip=4,
        timestep=0.004,
        obs_dim=17,
        action_dim=6,
        reads=(),
        start=walker.start,
        observe=walker.observe,
        reward=walker.reward,
        terminated=walker.fallen,
        distance=walker.distance_forwards,
        distance_is="covered",
        configure=walker.configure,
        tasks=TaskList(walker.COLUMNS, 40, 10, 20193, walker.draw_multipliers),
        score=ScoreRange(
            43.0,
            760.0,
            "zero action, which falls after some 50 steps: 1 a step for staying up",
            f"{X35F} (two test tasks), up to 200 of it for staying up",
        ),
        source="dennisl88/rand_param_envs@4d1529d walker2d_rand_params.py; own draw",
        tell=walker.tell,
        view=walker.VIEW,
    ),
)


def suite() -> Suite:
    """The locomotion families."""
    return Suite("locomotion", tuple(map(family_of, ROWS)))
