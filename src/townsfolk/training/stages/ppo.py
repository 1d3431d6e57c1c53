"""PPO on replies: sample, judge, learn, and stop where the policy goes astray.

    rollout     replies to drawn prompts                                    ppo_rollout
    experience  probabilities under policy and reference, values, rewards   ppo_experience
    learn       penalties per token, GAE, both clipped losses               ppo_math

Step 0 measures the parent; step n the policy after n rounds of learning, by its own replies. A policy is kept
only when these were within bounds: near enough to the parent (KL) and not all alike (distinct-2). The first
that is not ends the run, and the last that was is what is written. So the coefficient of the penalty may err,
and what comes out has still not collapsed.

It refuses to know texts: whoever judges a reply is given its tokens.
"""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from statistics import fmean
from typing import Any

import torch
import transformers
from torch import Tensor

from townsfolk.errors import ConfigError
from townsfolk.training.stages import base, ppo_math
from townsfolk.training.stages.artifact import Trained, save_adapter
from townsfolk.training.stages.config import PpoConfig
from townsfolk.training.stages.packing import ATTENTION
from townsfolk.training.stages.ppo_checkpoint import (
    Checkpoint,
    last_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from townsfolk.training.stages.ppo_experience import Experience, Judge, look_at, padded
from townsfolk.training.stages.ppo_judges import judge_hash, judges_of, text_weights
from townsfolk.training.stages.ppo_rollout import Sampled, Sampling, sample_replies
from townsfolk.training.stages.ppo_trunk import POLICY, Trunk
from townsfolk.training.stages.run import Run, open_run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types.manifest import Manifest

Figures = dict[str, float]


def run(
    config: PpoConfig, served: ServedBase, rows: Rows, quiet: bool = False, judges: Sequence[Judge] = ()
) -> Manifest:
    """Train as `config` says and write the policy's adapter; what a crash cut short is continued.

    Args:
        judges: besides those that `config` names; a reply's reward is the sum of all.

    Raises:
        ConfigError: there are no prompts or no judge, or the settings don't fit this machine or folder.
        AdapterError: parent or reward model do not fit, or what was learnt can't be served.
    """
    _refuse_in_vain(config, rows, judges)
    reward_model = judge_hash(config, served)
    with open_run(config, quiet) as under_way:
        model, parent = base.load_adapted(served, config)
        model.get_base_model().set_attn_implementation(ATTENTION)
        trunk = Trunk(model, config.temperature)
        ppo = Ppo(config, trunk, [*judges, *judges_of(config, served, trunk)], rows.train, under_way)
        ppo.train()
        trained = Trained(
            config=config,
            served=served,
            dataset_hash=rows.dataset_hash,
            rows=len(rows.train),
            steps=ppo.kept_step,
            parent=parent,
            reward_model=reward_model,
            metrics=ppo.kept_figures,
        )
        return save_adapter(model, config.output_dir, trained, POLICY)


def _refuse_in_vain(config: PpoConfig, rows: Rows, judges: Sequence[Judge]) -> None:
    if not rows.train:
        raise ConfigError(f"the dataset {config.dataset} has no rows of {config.persona}: check `persona`")
    if not (judges or config.reward_model or text_weights(config)):
        raise ConfigError("nobody judges the replies: name a `reward_model` (townsfolk train reward)")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("ppo computes in one process: start it without accelerate launch")


class Ppo:
    """Rounds of learning on one trunk.

    Attributes:
        kept_step: rounds that the policy has had which was within bounds last; at the end it is the trunk's.
        kept_figures: of that policy, and `reward_at_start`, `distinct_bigrams_at_start` of the parent.
    """

    def __init__(
        self, config: PpoConfig, trunk: Trunk, judges: Sequence[Judge], rows: Sequence[TokenRow], log: Run
    ) -> None:
        self._config, self._trunk, self._judges, self._rows, self._log = config, trunk, judges, rows, log
        self._end = rows[0].reply[-1]
        self._steps = config.max_steps or math.ceil(config.epochs * len(rows) / config.prompts)
        groups = [
            {"params": trunk.policy_parameters, "lr": config.lr},
            {"params": [*trunk.value_head.parameters()], "lr": config.value_lr},
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        kind = "constant_with_warmup" if config.schedule == "constant" else config.schedule
        schedule = transformers.get_scheduler(
            kind, self._optimizer, math.ceil(config.warmup * self._steps), self._steps
        )
        self._share_of_rate: Callable[[int], float] = schedule.lr_lambdas[0]  # of a step; keeps no state
        self._controller = ppo_math.KlController(config.kl_target, config.kl_gain)
        self._coefficient = config.kl_start
        self._kept = trunk.policy()
        self.kept_step, self.kept_figures = 0, Figures()

    def train(self) -> None:
        """From the last checkpoint, if there is one, to the last step or the first out of bounds."""
        for step in range(self._resumed(), self._steps + 1):
            began = time.monotonic()
            random = torch.Generator(self._trunk.model.device).manual_seed(
                self._config.seed * 1_000_003 + step
            )
            replies = self._sampled(step, random)
            seen, scores = look_at(self._trunk, replies, self._config.batch_size), self._scores(replies)
            figures = self._measured(replies, seen, scores)
            fault = self._out_of_bounds(figures)
            if not fault:
                self._keep(step, figures)
                if step < self._steps:
                    figures |= self._learn(step, seen, scores, random)
            figures["tokens_per_s"] = round(int(seen.mask.sum()) / (time.monotonic() - began), 1)
            self._log.log(step, self._steps, **figures)
            if fault:
                print(f"stopped after step {step}, kept step {self.kept_step}: {fault}", file=sys.stderr)
                break
            if (step + 1) % self._config.save_steps == 0:
                self._save(step + 1)
        self._trunk.set_policy(self._kept)

    def _sampled(self, step: int, random: Any) -> list[Sampled]:
        """Replies to prompts that step and seed draw."""
        drawing = Random(f"{self._config.seed}/{step}")  # noqa: S311 - data, no secret
        drawn = drawing.sample(self._rows, min(self._config.prompts, len(self._rows)))
        sampling = Sampling(
            self._end, self._config.max_reply_tokens, self._config.temperature, self._trunk.opening
        )
        return sample_replies(self._trunk.model, drawn, self._config.replies, sampling, random)

    def _scores(self, replies: Sequence[Sampled]) -> list[float]:
        """Each reply's reward [B]: the judges' sum, less a penalty where it did not end."""
        judged = zip(*(judge(replies) for judge in self._judges), strict=True)
        unended = self._config.no_end_penalty
        return [
            sum(scores) - (0.0 if reply[-1] == self._end else unended)
            for (_, reply), scores in zip(replies, judged, strict=True)
        ]

    def _measured(self, replies: Sequence[Sampled], seen: Experience, scores: Sequence[float]) -> Figures:
        said = [reply for _, reply in replies]
        return {
            "reward": fmean(scores),
            "kl": float(seen.kl.sum(1).mean()),
            "kl_coefficient": self._coefficient,
            "distinct_bigrams": ppo_math.distinct_bigrams(said),
            "distinct_replies": ppo_math.distinct_replies(said),
            "ended": fmean(reply[-1] == self._end for reply in said),
            "reply_tokens": fmean(map(len, said)),
            "entropy": float(ppo_math.masked_mean(seen.entropy, seen.mask)),
        }

    def _out_of_bounds(self, figures: Figures) -> str:
        """What is wrong with a policy whose replies gave `figures`; "": nothing."""
        kl, distinct = figures["kl"], figures["distinct_bigrams"]
        least = self._config.distinct_floor * self.kept_figures.get("distinct_bigrams_at_start", 0.0)
        if not kl <= self._config.kl_limit:  # so that what is no number is out of bounds too
            return f"KL {kl:.2f} is over kl_limit {self._config.kl_limit}: raise kl_start, or lower lr"
        if distinct < least:
            return (
                f"distinct-2 {distinct:.2f} is under {least:.2f}: replies grow alike; lower kl_target or lr"
            )
        return ""

    def _keep(self, step: int, figures: Figures) -> None:
        self._kept, self.kept_step = self._trunk.policy(), step
        starts = {f"{name}_at_start": figures[name] for name in ("reward", "distinct_bigrams")}
        self.kept_figures = {**starts, **self.kept_figures, **figures}

    def _learn(self, step: int, seen: Experience, scores: Sequence[float], random: Any) -> Figures:
        """Some passes over the replies, fewer where the policy has moved far from the one that sampled."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self._share_of_rate(step)
        advantages, returns = self._advantages(seen, scores)
        learnt: list[Figures] = []
        for _ in range(self._config.passes):
            order = torch.randperm(len(seen.batches), generator=random, device=random.device).tolist()
            for start in range(0, len(order), self._config.g_accum):
                own = order[start : start + self._config.g_accum]
                learnt += [self._backward(seen, n, advantages, returns, 1 / len(own)) for n in own]
                if learnt[-1]["step_kl"] > self._config.step_kl_limit:
                    self._optimizer.zero_grad()
                    return self._after_learning(seen, learnt)
                self._step()
        return self._after_learning(seen, learnt)

    def _advantages(self, seen: Experience, scores: Sequence[float]) -> tuple[Tensor, Tensor]:
        """(whitened advantages, returns) [B, T]."""
        rewards = ppo_math.token_rewards(
            torch.tensor(scores, device=seen.mask.device),
            seen.log_probs,
            seen.reference,
            seen.mask,
            self._coefficient,
        )
        advantages, returns = ppo_math.advantages_and_returns(
            rewards, seen.values, seen.mask, self._config.discount, self._config.decay
        )
        return ppo_math.whiten(advantages, seen.mask), returns

    def _backward(
        self, seen: Experience, batch: int, advantages: Tensor, returns: Tensor, share: float
    ) -> Figures:
        """Add the gradients of one batch, which makes `share` of a step."""
        pack, own = seen.batches[batch]
        mask = seen.mask[own]
        logits, values = self._trunk.forward(pack)
        log_probs = padded(ppo_math.token_log_probs(logits, pack.targets), mask)
        policy, clipped = ppo_math.policy_loss(
            log_probs, seen.log_probs[own], advantages[own], mask, self._config.clip
        )
        value = ppo_math.value_loss(
            padded(values, mask), seen.values[own], returns[own], mask, self._config.value_clip
        )
        ((policy + value) * share).backward()
        far = ppo_math.step_kl(log_probs.detach(), seen.log_probs[own], mask)
        losses = {"policy_loss": policy, "value_loss": value, "clipped": clipped, "step_kl": far}
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _step(self) -> None:
        """The two losses share no weight, so neither's gradient is to shorten the other's."""
        for group in self._optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], self._config.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _after_learning(self, seen: Experience, learnt: Sequence[Figures]) -> Figures:
        """Means of the passes' figures; the coefficient moves on."""
        self._coefficient = self._controller.next(self._coefficient, float(seen.kl.sum(1).mean()))
        rate = self._optimizer.param_groups[0]["lr"]
        return {name: fmean(it[name] for it in learnt) for name in learnt[0]} | {"learning_rate": rate}

    def _save(self, step: int) -> None:
        """All that step `step` begins with."""
        tensors: Mapping[str, Mapping[str, Tensor]] = {
            "policy": self._trunk.policy(),
            "kept": self._kept,
            "value": self._trunk.value_head.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer),
        }
        facts = {"coefficient": self._coefficient, "kept_step": self.kept_step, **self.kept_figures}
        save_checkpoint(self._log.checkpoints, Checkpoint(step, tensors, facts))

    def _resumed(self) -> int:
        """The step to go on with."""
        saved = last_checkpoint(self._log.checkpoints)
        if saved is None:
            self._log.continue_from(-1)
            return 0
        self._trunk.set_policy(saved.tensors["policy"])
        self._kept = dict(saved.tensors["kept"])
        self._trunk.value_head.load_state_dict(saved.tensors["value"])
        restore_optimizer(self._optimizer, saved.tensors["optimizer"])
        facts = dict(saved.facts)
        self._coefficient, self.kept_step = facts.pop("coefficient"), int(facts.pop("kept_step"))
        self.kept_figures = facts
        self._log.continue_from(saved.step - 1)
        return saved.step
