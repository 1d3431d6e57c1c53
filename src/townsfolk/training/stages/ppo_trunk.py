"""One trunk for all that PPO needs: the base model once, policy, reference and reward model its adapters.

The value head is a linear layer on the trunk's last hidden states, which it does not train: gradients of the
values would move the adapter, the only thing that is kept, for reasons that no reward gave, and most at the
start, when values are worst (such interference is what Phasic Policy Gradient removes: Cobbe et al. 2021,
arXiv:2009.04416). It begins at 0 and is thrown away at the end.

It refuses to know how replies come about, and what is learnt from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import torch
from torch import Tensor

from townsfolk.errors import ConfigError
from townsfolk.training.stages.packing import Pack, pack, target_logits
from townsfolk.training.stages.tokens import Ids, TokenRow, sharing

POLICY, REFERENCE, REWARD = "default", "ref", "reward"
"""Names of the adapters; PEFT calls the first one so."""


class ValueHead(torch.nn.Module):  # type: ignore[misc]
    """What is expected of a reply, from each of its tokens on: [..., hidden] -> [...]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(hidden, elementwise_affine=False)  # one learning rate for all trunks
        self.linear = torch.nn.Linear(hidden, 1)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.linear(self.norm(hidden.float())).squeeze(-1)


class Trunk:
    """A PEFT model whose adapter learns, a frozen copy of it as it was, and a value head.

    Attributes:
        model: the PEFT model; the policy is active in it but while `using` another adapter.
        value_head: of the policy.
        opening: tokens that activate the policy's adapter (aLoRA); (): it applies from the start.
    """

    def __init__(self, model: Any, temperature: float = 1.0) -> None:
        self.model, self._temperature = model, temperature
        self.value_head = ValueHead(model.config.hidden_size).to(model.device)
        self.opening: Ids = tuple(model.peft_config[POLICY].alora_invocation_tokens or ())
        self._hidden = torch.empty(0)
        model.get_output_embeddings().register_forward_pre_hook(self._keep_hidden)
        model.eval()  # dropout would make the ratio of the same policy differ from 1
        self._add_reference()

    def _keep_hidden(self, _: Any, arguments: tuple[Tensor, ...]) -> None:
        """The output matrix is given the hidden states of the targets alone: just those that have a value."""
        self._hidden = arguments[0].detach()

    def _add_reference(self) -> None:
        self.model.add_adapter(REFERENCE, self.model.peft_config[POLICY])
        peft.set_peft_model_state_dict(self.model, self.policy(), adapter_name=REFERENCE)
        self.model.set_adapter(POLICY)

    def add_reward_model(self, folder: Path) -> None:
        """Another frozen adapter, that of a reward model.

        Raises:
            ConfigError: it is activated by an opening, and so no reward model.
        """
        self.model.load_adapter(str(folder), adapter_name=REWARD)
        if self.model.peft_config[REWARD].alora_invocation_tokens:
            raise ConfigError(f"reward_model {folder} is an activated LoRA: name a run of `reward`")
        self.model.set_adapter(POLICY)

    def policy(self) -> dict[str, Tensor]:
        """A copy of the policy's weights."""
        state = peft.get_peft_model_state_dict(self.model, adapter_name=POLICY)
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def set_policy(self, weights: Mapping[str, Tensor]) -> None:
        """Weights as `policy` gave them."""
        peft.set_peft_model_state_dict(self.model, dict(weights), adapter_name=POLICY)

    @property
    def policy_parameters(self) -> list[Any]:
        """What PPO trains, but for the value head."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @contextmanager
    def using(self, adapter: str) -> Iterator[None]:
        """Another adapter than the policy, for a while and without gradients."""
        self.model.set_adapter(adapter)
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.set_adapter(POLICY)

    def pack(self, rows: Sequence[TokenRow]) -> Pack:
        """Rows as `forward` takes them."""
        return pack(sharing(rows), self.opening).to(self.model.device)

    def forward(self, rows: Pack) -> tuple[Tensor, Tensor]:
        """Logits [targets, vocab] of the active adapter at the temperature of sampling, values [targets]."""
        logits = target_logits(self.model, rows) / self._temperature
        return logits, self.value_head(self._hidden[0])
