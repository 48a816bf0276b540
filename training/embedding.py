"""Texts as vectors: the means of the embedded encoder's token states, as it was pretrained."""

from __future__ import annotations

import multiprocessing
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from inference.text import clean

FloatArray = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], FloatArray]
"""Texts to vectors of shape ``(texts, width)``."""

LAST = 1.0
# Both tell topics and stances apart better than either alone: log loss on the seeds, crosswise, .170 and .433; the
# first alone .227 and .458, the last .187 and .480.
DEEP_AND_LAST = (2 / 3, LAST)
_MOST_TOKENS = 256
_BATCH = 16
_REMEMBERED = 20_000


def embedder(*, layers: Sequence[float] = (LAST,)) -> Embed:
    """Load the embedded encoder for reading.

    Args:
        layers: whose states are averaged, as parts of the encoder's height; a text's vectors of all of them are put
            one behind the other.
    """
    # Loading torch takes seconds, which a run without semantic functions need not pay.
    import torch

    from training.batches import use_bf16
    from training.embedded import load_embedded

    _one_thread_in_a_worker()
    model, tokenizer = load_embedded()
    model.eval()
    tokenizer.enable_truncation(_MOST_TOKENS)
    tokenizer.enable_padding(pad_id=model.config.pad_token_id)
    places = [round(part * model.config.num_hidden_layers) for part in layers]

    def embed(texts: Sequence[str]) -> FloatArray:
        _one_thread_in_a_worker()
        order = np.argsort([len(t) for t in texts], kind="stable")
        parts = []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=use_bf16("auto")):
            for start in range(0, len(order), _BATCH):
                read = tokenizer.encode_batch(["query: " + clean(texts[i]) for i in order[start : start + _BATCH]])
                mask = torch.tensor([e.attention_mask for e in read])
                states = model(
                    input_ids=torch.tensor([e.ids for e in read]), attention_mask=mask, output_hidden_states=True
                ).hidden_states
                share = (mask / mask.sum(1, keepdim=True))[:, :, None]
                parts.append(torch.cat([(states[p].float() * share).sum(1) for p in places], 1).numpy())
        return np.concatenate(parts)[np.argsort(order, kind="stable")].astype(np.float32)

    return embed


def _one_thread_in_a_worker() -> None:
    import torch

    # Of threads that were started before a worker process was forked off none lives in it, and it would wait for them
    # for ever; and there is one worker for each core.
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)


class Remembering:
    """An embedding that reads each text once, and is loaded when the first one comes.

    Args:
        embed: the embedding; that of the embedded encoder's :data:`DEEP_AND_LAST` layers where None.
    """

    def __init__(self, embed: Embed | None = None) -> None:
        self._embed = embed
        self._known: OrderedDict[str, FloatArray] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """Give the vectors of texts, in order."""
        unknown = list(dict.fromkeys(t for t in texts if t not in self._known))
        if unknown:
            self._embed = self._embed or embedder(layers=DEEP_AND_LAST)
            self._known.update(zip(unknown, self._embed(unknown), strict=True))
        found = np.stack([self._known[t] for t in texts])
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found
