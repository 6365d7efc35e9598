"""One gradient step of PEARL (Rakelly et al. 2019, arXiv 1903.08254).

Equation numbers are the paper's. Where the paper leaves a choice open, the code follows
its authors' implementation, oyster (katerakelly/oyster@44e20fd).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.inference import Inference
from pearl_bench.pearl.networks import PearlNetworks

METRICS = (
    "loss/critic",
    "loss/value",
    "loss/policy",
    "kl/posterior",
    "q/mean",
    "policy/log_prob",
    "policy/log_std",
    "z/mean_abs",
    "z/variance",
)
TEMPERATURE = "policy/temperature"


class Batch(NamedTuple):
    """What one gradient step consumes.

    Attributes:
        context: ``[M, C, D]`` what beliefs are inferred from: rows (o, a, r[, o']).
        obs: ``[M, B, O]``.
        action: ``[M, B, A]``.
        reward: ``[M, B, 1]``, unscaled.
        next_obs: ``[M, B, O]``.
        terminated: ``[M, B, 1]``, 0 or 1.
        noise_z: ``[M, Z]`` standard normal.
        noise_action: ``[M, B, A]`` standard normal.
    """

    context: Tensor
    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminated: Tensor
    noise_z: Tensor
    noise_action: Tensor


class PearlUpdate:
    """The losses of PEARL and the optimisers that step on them.

    The order of updates and the flow of gradients are those of oyster
    ``rlkit/torch/sac/sac.py``: the encoder learns from the critic and the KL term only,
    actor and value see a detached z.

    Args:
        config: weights and rates.
        nets: the networks to train, already on their device.
        inference: makes beliefs of contexts; its encoder is one of ``nets``.
        device: ``cpu`` or ``cuda``.
        precision: ``float32``, or ``bf16`` for the hidden layers in bfloat16.

    Attributes:
        metrics: what an update returns; ``TEMPERATURE`` among them if it is learnt.
    """

    def __init__(
        self,
        config: PearlConfig,
        nets: PearlNetworks,
        inference: Inference,
        *,
        device: str,
        precision: str,
    ) -> None:
        self.config = config
        self.nets = nets
        self.inference = inference
        self.device = device
        self.bf16 = precision == "bf16"

        def adam(*groups: Iterable[nn.Parameter]) -> torch.optim.Adam:
            return torch.optim.Adam(
                [{"params": list(group)} for group in groups],
                lr=config.learning_rate,
                fused=True,
                capturable=device == "cuda",
            )

        encoders = [nets.encoder.parameters()] if nets.encoder is not None else []
        self.has_kl = bool(encoders) and config.probabilistic
        self.optimizers = {
            "critic": adam(nets.q1.parameters(), nets.q2.parameters(), *encoders),
            "value": adam(nets.v.parameters()),
            "policy": adam(nets.policy.parameters()),
        }
        self.metrics = METRICS
        if nets.log_alpha is not None:
            self.optimizers["temperature"] = adam([nets.log_alpha])
            self.metrics = (*METRICS, TEMPERATURE)

    def __call__(self, batch: Batch) -> Tensor:
        """Update every network once; return the ``metrics`` as one vector."""
        config, nets = self.config, self.nets
        tasks, rows = batch.obs.shape[:2]

        def flat(x: Tensor) -> Tensor:
            return x.reshape(tasks * rows, -1)

        def per_row(z: Tensor) -> Tensor:
            return flat(z.unsqueeze(1).expand(-1, rows, -1))

        with self._autocast():
            belief = self.inference.belief(batch.context)
            z = belief.sample(batch.noise_z)
            obs, action = flat(batch.obs), flat(batch.action)
            z_row, z_row_detached = per_row(z), per_row(z.detach())
            obs_z = torch.cat([obs, z_row_detached], dim=1)
            new = nets.policy.sample(obs_z, flat(batch.noise_action))

            # critic, equation 3, and the KL term of equation 1
            obs_action_z = torch.cat([obs, action, z_row], dim=1)
            q1, q2 = nets.q1(obs_action_z), nets.q2(obs_action_z)
            with torch.no_grad():
                next_obs_z = torch.cat([flat(batch.next_obs), z_row_detached], dim=1)
                next_v = nets.target_v(next_obs_z)
                bootstrap = config.discount * (1 - flat(batch.terminated)) * next_v
                target = config.reward_scale * flat(batch.reward) + bootstrap
            critic_loss = functional.mse_loss(q1, target)
            critic_loss = critic_loss + functional.mse_loss(q2, target)
            loss = critic_loss
            kl = torch.zeros_like(critic_loss)
            if self.has_kl:
                kl = belief.kl_to_prior()
                loss = loss + config.kl_weight * kl
        _step(self.optimizers["critic"], loss)

        alpha_log_prob = new.log_prob  # the temperature alpha is 1, unless it is learnt
        if nets.log_alpha is not None:
            alpha_log_prob = nets.log_alpha.detach().exp() * new.log_prob

        with self._autocast():
            # value, with the critics just updated: V(o) = E[min Q - alpha log π] (SAC,
            # arXiv 1801.01290, equation 5)
            obs_new_z = torch.cat([obs, new.action, z_row_detached], dim=1)
            min_q = torch.min(nets.q1(obs_new_z), nets.q2(obs_new_z))
            value_target = (min_q - alpha_log_prob).detach()
            value_loss = functional.mse_loss(nets.v(obs_z), value_target)
        _step(self.optimizers["value"], value_loss)
        self._move_target()

        # policy, equation 4, reparameterised; the regularisers are oyster's
        # policy_mean_reg_weight and policy_std_reg_weight
        policy_loss = (
            (alpha_log_prob - min_q).mean()
            + config.policy_mean_reg * new.mean.square().mean()
            + config.policy_std_reg * new.log_std.square().mean()
        )
        _step(self.optimizers["policy"], policy_loss)
        metrics = [
            critic_loss,
            value_loss,
            policy_loss,
            kl,
            q1.mean(),
            new.log_prob.mean(),
            new.log_std.mean(),
            belief.mean.abs().mean(),
            belief.variance.mean(),
        ]

        if nets.log_alpha is not None:
            # temperature: J(alpha) = E[-alpha (log π + target entropy)], the target
            # minus the action's dimensions (SAC, arXiv 1812.05905, equation 18)
            alpha = nets.log_alpha.exp()
            excess = new.log_prob.detach().mean() - action.shape[1]
            _step(self.optimizers["temperature"], -alpha * excess)
            metrics.append(alpha)
        return torch.stack(metrics).detach()

    @torch.no_grad()
    def _move_target(self) -> None:
        """Move the target value network towards the value network.

        Its weights are an exponentially moving average (SAC, section 4.2, algorithm 1).
        """
        pairs = zip(
            self.nets.target_v.parameters(), self.nets.v.parameters(), strict=True
        )
        for target, source in pairs:
            target.lerp_(source, self.config.target_tau)

    def state_dict(self) -> dict[str, Any]:
        """Return networks and optimisers."""
        optimizers = {name: o.state_dict() for name, o in self.optimizers.items()}
        return {"networks": self.nets.state_dict(), "optimizers": optimizers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.nets.load_state_dict(state["networks"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
            for group in optimizer.param_groups:  # not what another device asked for
                group["capturable"] = self.device == "cuda"

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Step on the gradient of that optimiser's parameters and no others."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    loss.backward(inputs=parameters)
    optimizer.step()
    optimizer.zero_grad()  # now: the next loss takes their memory while it is cached
