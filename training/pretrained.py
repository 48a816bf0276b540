"""The fine-tuned model in transformers' own format, to be loaded with ``from_pretrained``.

    from training.pretrained import Reader, RasdModel
    model = RasdModel.from_pretrained("models/encoder-transformers")
    read = Reader.from_pretrained("models/encoder-transformers")
    output = model(**read(["رحب الوسيط بالهدنة."]))
    output.topics.sigmoid(), output.stance.softmax(-1)

``model.joint.encoder.save_pretrained(FOLDER)`` gives the fine-tuned encoder alone, as a plain BERT.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from inference.encoder import FUNCTIONS_FILE
from inference.encoder_text import CLEAN, encoder_view
from inference.errors import ModelFolderError
from inference.folder import swap_in, write_whole
from inference.lexicon import ABSTAIN, LexicalFunction, Matcher
from training.encoders import Encoder
from training.model import JointModel, JointOutput

FOLDER = "encoder-transformers"


class RasdConfig(PreTrainedConfig):
    """Configuration of the joint model.

    Args:
        encoder: the encoder's own configuration.
        topics: ids of the topics, in the order of the outputs.
        functions: how many lexical labelling functions the model reads beside the tokens.
        prefix: what is put before every text.
        max_tokens: the window.
        run_id: the training run.
        text: how the encoder reads text; see ``inference.encoder_text``.
        rest: what every configuration takes.
    """

    model_type = "rasd"

    def __init__(
        self,
        encoder: Mapping[str, Any] | None = None,
        topics: Sequence[str] = (),
        functions: int = 0,
        prefix: str = "",
        max_tokens: int = 256,
        run_id: str = "",
        text: str = CLEAN,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.encoder = dict(encoder or {})
        self.topics = list(topics)
        self.functions = functions
        self.prefix = prefix
        self.max_tokens = max_tokens
        self.run_id = run_id
        self.text = text


class RasdModel(PreTrainedModel):
    """The joint model as transformers loads and saves it.

    Args:
        config: its configuration.
    """

    config_class = RasdConfig
    base_model_prefix = "joint"

    def __init__(self, config: RasdConfig) -> None:
        super().__init__(config)
        own = dict(config.encoder)
        encoder = AutoModel.from_config(AutoConfig.for_model(own.pop("model_type"), **own))
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        self.joint = JointModel(encoder, topics=len(config.topics), functions=config.functions)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, votes: torch.Tensor) -> JointOutput:
        """Run the model; the arguments are what :class:`Reader` gives."""
        return self.joint(input_ids, attention_mask, votes)  # type: ignore[no-any-return]

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leave the weights alone: every one of them is in the checkpoint."""


AutoConfig.register(RasdConfig.model_type, RasdConfig)
AutoModel.register(RasdConfig, RasdModel)


@dataclass(frozen=True)
class Reader:
    """Makes the model's inputs of texts.

    Args:
        tokenizer: cut to the model's window.
        matcher: the lexical labelling functions.
        prefix: what is put before every text.
        pad_id: token id of padding.
        text: how the encoder reads text.
    """

    tokenizer: Tokenizer
    matcher: Matcher
    prefix: str
    pad_id: int
    text: str

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Reader:
        """Load the reader from the folder that the model lies in.

        Raises:
            ModelFolderError: where the folder is not one of these.
        """
        folder = Path(folder)
        try:
            config = RasdConfig.from_pretrained(folder)
            fast = PreTrainedTokenizerFast.from_pretrained(folder)
            functions = json.loads((folder / FUNCTIONS_FILE).read_text("utf-8"))["functions"]
        except (OSError, ValueError, KeyError) as error:
            raise ModelFolderError(f"{folder}: not a fine-tuned encoder in transformers' format ({error})") from None
        tokenizer = fast.backend_tokenizer
        tokenizer.enable_truncation(config.max_tokens)
        matcher = Matcher([LexicalFunction.from_json(f) for f in functions])
        return cls(tokenizer, matcher, config.prefix, int(fast.pad_token_id), config.text)

    def __call__(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Give ``input_ids`` and ``attention_mask``, ``(texts, tokens)``, and ``votes``, ``(texts, functions)``."""
        rows = [
            e.ids for e in self.tokenizer.encode_batch([self.prefix + encoder_view(self.text, t).text for t in texts])
        ]
        ids = torch.full((len(rows), max(map(len, rows))), self.pad_id)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        votes = (self.matcher.votes(texts) != ABSTAIN).astype(np.float32)
        return {"input_ids": ids, "attention_mask": mask, "votes": torch.from_numpy(votes)}


def save_pretrained(
    target: Path,
    model: JointModel,
    encoder: Encoder,
    *,
    topics: Sequence[str],
    functions: Sequence[LexicalFunction],
    max_tokens: int,
    run_id: str,
) -> Path:
    """Write the fine-tuned model in transformers' format; the folder is whole or absent.

    Args:
        target: the folder; one that stands there is replaced.
        model: the fine-tuned model.
        encoder: what it was made from.
        topics: ids of the topics.
        functions: the lexical labelling functions.
        max_tokens: the window.
        run_id: the training run.
    """
    config = RasdConfig(
        encoder=model.encoder.config.to_dict(),
        topics=list(topics),
        functions=len(functions),
        prefix=encoder.prefix,
        max_tokens=max_tokens,
        run_id=run_id,
        text=encoder.text,
        architectures=[RasdModel.__name__],
    )
    whole = RasdModel(config)
    whole.joint.load_state_dict(model.state_dict())
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        whole.save_pretrained(work)
        pad = encoder.tokenizer.id_to_token(encoder.pad_id)
        PreTrainedTokenizerFast(tokenizer_object=encoder.tokenizer, pad_token=pad).save_pretrained(work)
        lexical = {"functions": [f.to_json() for f in functions]}
        (work / FUNCTIONS_FILE).write_text(json.dumps(lexical, ensure_ascii=False), "utf-8")
        work.chmod(0o755)
        swap_in(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def write_card(folder: Path, card: str) -> None:
    """Lay a model card into a folder of :func:`save_pretrained`."""
    write_whole(folder / "README.md", card)
