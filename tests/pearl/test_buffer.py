"""The replay buffer against a plain list per task."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pearl_bench.pearl.buffer import PAGE, ReplayBuffer
from pearl_bench.training.types import Transition


def transitions(first: int, count: int, task: int = 0) -> Transition:
    """Rows that say in every field which transition of which task they are."""
    number = np.arange(first, first + count, dtype=np.float32)
    return Transition(
        obs=np.stack([number, np.full(count, task)], axis=1),
        action=number[:, None] + 0.25,
        reward=number + 0.5,
        sparse_reward=number + 0.75,
        next_obs=np.stack([number + 1, np.full(count, task)], axis=1),
        terminated=number % 2 == 1,
        alive=np.ones(count, dtype=bool),
    )


def buffer(tasks: int = 3, capacity: int = 4 * PAGE) -> ReplayBuffer:
    return ReplayBuffer(tasks, 2, 1, capacity=capacity, device="cpu")


def drawn(store: ReplayBuffer, tasks: list[int], *, recent: bool, size: int = 400):
    spans = store.spans(np.array(tasks), recent=recent)
    return store.sample(spans, size, torch.Generator().manual_seed(0))


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 900), st.booleans()),
        min_size=1,
        max_size=25,
    )
)
def test_draws_come_from_the_right_task_and_range(blocks):
    store = buffer()
    stored = dict.fromkeys(range(3), 0)
    recent: dict[int, tuple[int, int]] = dict.fromkeys(range(3), (0, 0))
    for task, count, clear in blocks:
        if clear:
            store.clear_recent(np.array([task]))
            recent[task] = (stored[task], stored[task])
        store.add(task, transitions(stored[task], count, task), recent=True)
        stored[task] += count
        recent[task] = (recent[task][0], stored[task])
    for task in (t for t in range(3) if stored[t]):
        for only_recent, (low, high) in (
            (False, (0, stored[task])),
            (True, recent[task]),
        ):
            oldest = max(low, stored[task] - store.capacity)
            rows = drawn(store, [task, task], recent=only_recent)
            number = rows.obs[..., :1]
            assert (rows.obs[..., 1] == task).all()
            assert number.min() >= oldest
            assert number.max() < high
            torch.testing.assert_close(rows.action, number + 0.25)
            torch.testing.assert_close(rows.reward, number + 0.5)
            torch.testing.assert_close(rows.sparse_reward, number + 0.75)
            torch.testing.assert_close(rows.next_obs[..., :1], number + 1)
            torch.testing.assert_close(rows.terminated, number % 2)


def test_draws_are_uniform():
    store = buffer()
    store.add(1, transitions(0, 10), recent=True)
    rows = drawn(store, [1], recent=False, size=100_000)
    counts = torch.bincount(rows.obs[0, :, 0].long(), minlength=10)
    assert counts.min() > 9_500
    assert counts.max() < 10_500


def test_draws_tell_tens_of_millions_apart():
    draws = buffer()._uniform(1, 100, torch.Generator().manual_seed(0))
    assert ((draws * 2**26).long() % 2).any()


def test_the_oldest_rows_are_overwritten():
    store = buffer(tasks=1, capacity=2 * PAGE)
    for block in range(5):
        store.add(0, transitions(block * 1000, 1000), recent=True)
    number = drawn(store, [0], recent=False, size=20_000).obs[..., 0]
    assert number.min() == 5000 - 2 * PAGE
    assert number.max() == 4999
    assert len(store.table) <= 2 * PAGE * 5 // 4
    for recent in (True, False):  # windows do not reach back beyond either
        spans = store.spans(np.array([0]), recent=recent)
        assert (spans.first, spans.length) == (5000 - 2 * PAGE, 2 * PAGE)


def test_extra_data_stay_out_of_the_recent_context():
    store = buffer()
    store.add(0, transitions(0, 50), recent=True)
    store.clear_recent(np.array([0]))
    store.add(0, transitions(50, 30), recent=True)
    store.add(0, transitions(80, 40), recent=False)
    number = drawn(store, [0], recent=True, size=2000).obs[..., 0]
    assert (number.min(), number.max()) == (50, 79)


def test_windows_are_in_order():
    store = buffer()
    store.add(0, transitions(0, 3000, 0), recent=True)
    store.add(2, transitions(0, 500, 2), recent=True)
    spans = store.spans(np.array([0, 2, 0]), recent=True)
    rows = store.sample_window(spans, 500, torch.Generator().manual_seed(0))
    steps = rows.obs[..., 0].diff(dim=1)
    assert (steps == 1).all()
    assert rows.obs[1, 0, 0] == 0  # the only window of 500 in 500
    assert rows.obs[0, 0, 0] != rows.obs[2, 0, 0]


def test_every_window_is_drawn():
    store = buffer()
    store.add(0, transitions(0, 4), recent=True)
    spans = store.spans(np.zeros(50, dtype=np.int64), recent=True)
    rows = store.sample_window(spans, 2, torch.Generator().manual_seed(0))
    assert set(rows.obs[:, 0, 0].tolist()) == {0, 1, 2}


def test_a_window_needs_as_many_transitions():
    store = buffer()
    store.add(0, transitions(0, 499), recent=True)
    with pytest.raises(ValueError, match=r"499 recent transitions; .* at least 500"):
        store.spans(np.array([0]), recent=True, at_least=500)


def test_a_hundred_tasks_reserve_what_they_store():
    store = ReplayBuffer(100, 20, 6, capacity=1_000_000, device="cpu")
    rng = np.random.default_rng(0)
    for task in range(100):
        rows = Transition(
            rng.random((2000, 20)),
            rng.random((2000, 6)),
            rng.random(2000),
            rng.random(2000),
            rng.random((2000, 20)),
            np.zeros(2000),
            np.ones(2000),
        )
        store.add(task, rows, recent=True)
    row_bytes = 4 * (20 + 6 + 1 + 1 + 20 + 1)
    assert store.table.nbytes <= 1.3 * 100 * 2048 * row_bytes


def test_state_round_trip_draws_the_same():
    store, other = buffer(), buffer()
    store.add(0, transitions(0, 3000), recent=True)
    store.add(1, transitions(0, 10, 1), recent=False)
    other.load_state_dict(store.state_dict())
    for copy in (store, other):
        copy.add(1, transitions(10, 2000, 1), recent=True)
    for recent in (False, True):
        ours = drawn(store, [0, 1], recent=recent)
        theirs = drawn(other, [0, 1], recent=recent)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_an_empty_range_cannot_be_sampled():
    store = buffer()
    store.add(0, transitions(0, 5), recent=True)
    with pytest.raises(ValueError, match="task 1 has no transitions"):
        drawn(store, [0, 1], recent=False)
