"""The belief over z against closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from pearl_bench.pearl.encoder import Belief, ContextEncoder, product_of_gaussians


def gaussians(seed: int, *shape: int):
    rng = torch.Generator().manual_seed(seed)
    mean = torch.randn(*shape, generator=rng, dtype=torch.float64)
    variance = torch.rand(*shape, generator=rng, dtype=torch.float64) + 0.05
    return mean, variance


def encoder(**options) -> ContextEncoder:
    settings = {"probabilistic": True, "recurrent": False, "bptt_steps": 4}
    rng = torch.Generator().manual_seed(0)
    return ContextEncoder(6, 3, 16, rng=rng, **{**settings, **options}).double()


def context(tasks: int = 2, rows: int = 9) -> torch.Tensor:
    return gaussians(1, tasks, rows, 6)[0]


@given(st.integers(0, 1000), st.integers(1, 12))
def test_product_is_the_normalised_product_of_densities(seed, factors):
    mean, variance = gaussians(seed, 1, factors, 1)
    belief = product_of_gaussians(mean, variance)
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    log_product = Normal(mean[0], variance[0].sqrt()).log_prob(z).sum(0)
    log_belief = Normal(belief.mean[0], belief.variance[0].sqrt()).log_prob(z)
    difference = log_product - log_belief  # the same constant for every z
    torch.testing.assert_close(difference, difference[:1].expand(7))


def test_product_counts_valid_factors_only():
    mean, variance = gaussians(3, 2, 5, 4)
    valid = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 1, 0, 0]]).bool()
    belief = product_of_gaussians(mean, variance, valid)
    for task in range(2):
        kept = valid[task]
        alone = product_of_gaussians(mean[task, kept][None], variance[task, kept][None])
        torch.testing.assert_close(belief.mean[task], alone.mean[0])
        torch.testing.assert_close(belief.variance[task], alone.variance[0])


def test_a_vanishing_variance_is_clamped():
    belief = product_of_gaussians(torch.ones(1, 2, 1), torch.zeros(1, 2, 1))
    assert belief.variance.item() == pytest.approx(0.5e-7)
    assert belief.mean.item() == 1


def test_kl_is_summed_over_dimensions_and_tasks():
    mean, variance = gaussians(5, 4, 3)
    expected = kl_divergence(
        Normal(mean, variance.sqrt()),
        Normal(torch.zeros_like(mean), torch.ones_like(mean)),
    ).sum()
    torch.testing.assert_close(Belief(mean, variance).kl_to_prior(), expected)


def test_samples_have_the_beliefs_moments():
    belief = Belief(torch.tensor([[2.0]]), torch.tensor([[9.0]]))
    noise = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    z = belief.sample(noise)
    assert z.mean().item() == pytest.approx(2, abs=0.03)
    assert z.var().item() == pytest.approx(9, rel=0.02)


@pytest.mark.parametrize("probabilistic", [True, False])
def test_the_order_of_the_context_does_not_matter(probabilistic):
    net, rows = encoder(probabilistic=probabilistic), context()
    shuffled = rows[:, torch.randperm(9, generator=torch.Generator().manual_seed(2))]
    torch.testing.assert_close(net(rows), net(shuffled))


def test_the_encoder_takes_softplus_as_variance():
    net, rows = encoder(), context(rows=1)
    mean, spread = net.mlp(rows)[:, 0].chunk(2, dim=-1)
    belief = net(rows)
    torch.testing.assert_close(belief.mean, mean)
    torch.testing.assert_close(belief.variance, functional.softplus(spread))


def test_a_deterministic_latent_is_the_mean_output():
    net, rows = encoder(probabilistic=False), context()
    belief = net(rows)
    torch.testing.assert_close(belief.mean, net.mlp(rows).mean(1))
    assert not belief.variance.any()
    assert not net.prior(4).variance.any()
    valid = torch.arange(9) < torch.tensor([[4], [9]])
    masked = net(rows, valid)
    torch.testing.assert_close(masked.mean[0], net(rows[:1, :4]).mean[0])
    torch.testing.assert_close(masked.mean[1], belief.mean[1])


def test_the_prior_is_a_standard_normal():
    prior = encoder().prior(4)
    assert prior.mean.shape == (4, 3)
    assert not prior.mean.any()
    assert (prior.variance == 1).all()


class TestRecurrent:
    def test_starts_as_torch_starts_an_lstm(self):
        net = encoder(recurrent=True)
        assert net.lstm is not None
        weights = torch.cat([weight.flatten() for weight in net.lstm.parameters()])
        bound = 16**-0.5
        assert 0.99 * bound < weights.abs().max() <= bound

    def test_equals_stepping_the_lstm_row_by_row(self):
        net, rows = encoder(recurrent=True), context()
        assert net.lstm is not None
        state, output = None, None
        for row in net.mlp.features(rows).split(1, dim=1):
            output, state = net.lstm(row, state)
        assert output is not None
        mean, spread = net.mlp.output(output[:, 0]).chunk(2, dim=-1)
        belief = net(rows)
        torch.testing.assert_close(belief.mean, mean)
        torch.testing.assert_close(belief.variance, functional.softplus(spread))

    def test_the_order_of_the_context_matters(self):
        net, rows = encoder(recurrent=True), context()
        assert (net(rows).mean - net(rows.flip(1)).mean).abs().max() > 1e-5

    def test_tasks_do_not_mix(self):
        net, rows = encoder(recurrent=True), context(tasks=3)
        together = net(rows)
        for task in range(3):
            alone = net(rows[task : task + 1])
            torch.testing.assert_close(together.mean[task], alone.mean[0])

    def test_rows_without_data_are_skipped(self):
        net, rows = encoder(recurrent=True), context(tasks=2)
        valid = torch.ones(2, 9, dtype=torch.bool)
        valid[0, 3:6] = False
        masked = net(rows, valid)
        without = net(torch.cat([rows[:1, :3], rows[:1, 6:]], dim=1))
        torch.testing.assert_close(masked.mean[0], without.mean[0])
        torch.testing.assert_close(masked.mean[1], net(rows).mean[1])

    def test_the_gradient_is_cut_after_bptt_steps(self):
        net = encoder(recurrent=True, bptt_steps=4)
        rows = context().requires_grad_()
        (gradient,) = torch.autograd.grad(net(rows).mean.sum(), rows)
        reached = gradient.abs().sum((0, 2)) > 0
        assert reached.tolist() == [False] * 8 + [True]  # 9 rows: chunks 4, 4, 1
        whole = encoder(recurrent=True, bptt_steps=9)
        (gradient,) = torch.autograd.grad(whole(rows).mean.sum(), rows)
        assert (gradient.abs().sum((0, 2)) > 0).all()
        np.testing.assert_allclose(
            net(rows).mean.detach(), whole(rows).mean.detach(), rtol=1e-12
        )

    def test_the_head_is_not_rounded(self):
        """Under bfloat16 the layers below it are."""
        net, rows = encoder(recurrent=True).float(), context().float()
        exact = net(rows).mean
        with torch.autocast("cpu", torch.bfloat16):
            rounded = net(rows).mean
        assert rounded.dtype == torch.float32
        assert not torch.equal(rounded, exact)
        assert not torch.equal(rounded, rounded.bfloat16().float())
