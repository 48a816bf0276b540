"""The joint model: one encoder, one pass, a sigmoid per topic and a three-way stance per topic.

Each topic reads the text through its own attention over the encoder's tokens (label-wise attention, Mullenbach et
al., NAACL 2018), beside the mean of all tokens: a clause that mentions a transfer in a long battle report is then
not averaged away, and the attention points at the words that spoke for the topic. Beside the encoder's
deep reading stands a wide one: which lexical labelling functions fire, straight into every logit (wide and deep
learning, Cheng et al., 2016). A wording that training never showed still counts through its function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from training.expert import LARGEST_ODDS, Expert
from training.halves import Halves, cut

STANCE_COUNT = 3
_NEGATIVE = -1e4
# What BERT-like models call the list of their layers.
_STACKS = ("layer", "layers")


@dataclass(frozen=True)
class JointOutput:
    """What one pass gives.

    Args:
        topics: shape ``(batch, topics)``, logits.
        stance: shape ``(batch, topics, 3)``, logits.
        contributions: shape ``(batch, topics, tokens)``; each token's part of the topic's logit.
    """

    topics: torch.Tensor
    stance: torch.Tensor
    contributions: torch.Tensor


class JointModel(nn.Module):
    """Topics and stance of a text in one pass of a shared encoder.

    Args:
        encoder: a BERT-like transformers model.
        topics: how many topics.
        functions: how many lexical labelling functions; 0 for none.
        dropout: dropout before the heads, 0 to 1.
    """

    def __init__(self, encoder: PreTrainedModel, *, topics: int, functions: int, dropout: float = 0.1) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        # Zero queries attend evenly: the model starts as a mean-pooled one and learns where to look.
        self.query = nn.Parameter(torch.zeros(topics, hidden))
        self.topic_weight = nn.Parameter(torch.empty(topics, 2, hidden))
        self.topic_bias = nn.Parameter(torch.zeros(topics))
        self.stance_weight = nn.Parameter(torch.empty(topics, STANCE_COUNT, 2, hidden))
        self.stance_bias = nn.Parameter(torch.zeros(topics, STANCE_COUNT))
        self.topic_votes = nn.Parameter(torch.zeros(topics, functions))
        self.stance_votes = nn.Parameter(torch.zeros(topics, STANCE_COUNT, functions))
        self.expert_weights: torch.Tensor
        self.expert_bias: torch.Tensor
        self.expert_share: torch.Tensor
        self.register_buffer("expert_weights", torch.zeros(topics, functions))
        self.register_buffer("expert_bias", torch.zeros(topics))
        self.register_buffer("expert_share", torch.zeros(()))
        self._frozen: tuple[nn.Module, ...] = ()
        self._halves: tuple[Halves, ...] = ()
        nn.init.normal_(self.topic_weight, std=0.02)
        nn.init.normal_(self.stance_weight, std=0.02)

    def freeze(self, layers: int) -> Halves | None:
        """Keep the embeddings and the lowest layers as they were pretrained, without dropout; 0 freezes nothing.

        Args:
            layers: how many layers.

        Returns:
            the encoder cut above them, whose lower half's output can be kept; None where it cannot be cut.
        """
        self._frozen, self._halves = (), ()
        if not layers:
            return None
        frozen = []
        for name, part in self.encoder.named_modules():
            parts = name.split(".")
            is_low = len(parts) > 1 and parts[-2] in _STACKS and parts[-1].isdigit() and int(parts[-1]) < layers
            if name == "embeddings" or is_low:
                frozen.append(part.requires_grad_(False))
        self._frozen = tuple(frozen)
        halves = cut(self.encoder, layers)
        self._halves = () if halves is None else (halves,)
        return halves

    def train(self, mode: bool = True) -> JointModel:
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def vote_weights(self) -> torch.Tensor:
        """Give what a firing function adds to the topics' logits, its part in the expert included.

        Returns:
            shape ``(topics, functions)``.
        """
        return (self.topic_votes + self.expert_share * self.expert_weights) / (1.0 + self.expert_share)

    def consult(self, expert: Expert, *, share: float) -> None:
        """Let the label model have its say in what the model gives, outside of training.

        Args:
            expert: its log-odds as a function of the votes.
            share: weight of its log-odds beside the model's own, which count 1.
        """
        self.expert_weights.copy_(torch.from_numpy(expert.weights))
        self.expert_bias.copy_(torch.from_numpy(expert.bias))
        self.expert_share.fill_(share)

    def encode(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Run the encoder; from the frozen layers' output where that is given.

        Args:
            input_ids: shape ``(batch, tokens)``.
            attention_mask: shape ``(batch, tokens)``.
            states: shape ``(batch, tokens, hidden)``.
        """
        if states is None:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        else:
            (halves,) = self._halves
            hidden = halves.upper(inputs_embeds=states, attention_mask=attention_mask).last_hidden_state
        return torch.as_tensor(hidden)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        votes: torch.Tensor,
        states: torch.Tensor | None = None,
    ) -> JointOutput:
        """Run the model.

        Args:
            input_ids: shape ``(batch, tokens)``.
            attention_mask: shape ``(batch, tokens)``; 1 for tokens, 0 for padding.
            votes: shape ``(batch, functions)``; 1.0 where a function fires, else 0.0.
            states: shape ``(batch, tokens, hidden)``; the frozen layers' output, where it was kept.
        """
        hidden = self.dropout(self.encode(input_ids, attention_mask, states))
        mask = attention_mask.to(hidden.dtype)
        scores = torch.einsum("bld,td->btl", hidden, self.query) + (1.0 - mask)[:, None, :] * _NEGATIVE
        attention = scores.softmax(-1)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1.0)
        weights = torch.stack([attention, share[:, None, :].expand_as(attention)], dim=2)
        pooled = torch.einsum("btkl,bld->btkd", weights, hidden)
        topics = torch.einsum("btkd,tkd->bt", pooled, self.topic_weight) + self.topic_bias
        stance = torch.einsum("btkd,tskd->bts", pooled, self.stance_weight) + self.stance_bias
        topics = topics + torch.einsum("bf,tf->bt", votes, self.topic_votes)
        stance = stance + torch.einsum("bf,tsf->bts", votes, self.stance_votes)
        if not self.training:
            # While it trains the model must find its own reading, not what is left over of the expert's.
            odds = torch.einsum("bf,tf->bt", votes, self.expert_weights) + self.expert_bias
            odds = odds.clamp(-LARGEST_ODDS, LARGEST_ODDS)
            topics = (topics + self.expert_share * odds) / (1.0 + self.expert_share)
        parts = torch.einsum("bld,tkd->btkl", hidden, self.topic_weight)
        return JointOutput(topics, stance, (parts * weights).sum(2))


def joint_loss(
    output: JointOutput, topics: torch.Tensor, stance: torch.Tensor, *, stance_weight: float = 1.0
) -> torch.Tensor:
    """Give the noise-aware loss: expected cross-entropy under the weak labels.

    The stance of a topic counts as much as the topic is probable, so a stance of a topic that is not there teaches
    nothing.

    Args:
        output: what the model gave.
        topics: shape ``(batch, topics)``; probabilities, or -1 where nothing is known.
        stance: shape ``(batch, topics, 3)``; probabilities.
        stance_weight: weight of the stance's part.
    """
    known = (topics >= 0).to(topics.dtype)
    target = topics.clamp(min=0)
    topic_part = nn.functional.binary_cross_entropy_with_logits(output.topics.float(), target, reduction="none")
    topic_loss = (topic_part * known).sum() / known.sum().clamp(min=1.0)
    stance_part = -(stance * output.stance.float().log_softmax(-1)).sum(-1)
    share = target * known
    stance_loss = (stance_part * share).sum() / share.sum().clamp(min=1.0)
    return topic_loss + stance_weight * stance_loss
