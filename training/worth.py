"""What a model turned out to be worth on gold, written into its folder and its cards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.folder import amend_folder, read_manifest
from training.card import FILE, model_card
from training.evaluation import Scored
from training.pretrained import FOLDER, write_card

_USE = """
## Use
```python
from training.pretrained import RasdModel, Reader

model = RasdModel.from_pretrained("models/encoder-transformers")
read = Reader.from_pretrained("models/encoder-transformers")
output = model(**read(["رحب الوسيط بالهدنة."]))
print(output.topics.sigmoid(), output.stance.softmax(-1))  # before calibration; see manifest.json of models/encoder
model.joint.encoder.save_pretrained("my-encoder")  # the fine-tuned encoder alone, as transformers' own class
```
"""


def add_worth(models: Path, kind: str, scored: Scored) -> None:
    """Write what a model is worth on gold into its folder's manifest and card, and into that of its weights.

    Args:
        models: the models folder.
        kind: ``encoder`` or ``tfidf``.
        scored: its answers on gold.
    """
    worth: dict[str, Any] = {
        "metrics": scored.metrics,
        "intervals": {name: [v.lower, v.upper] for name, v in scored.intervals.items()},
    }
    manifest = read_manifest(models / kind)
    told = replace(manifest, training={**manifest.training, **worth})
    if kind == "encoder":
        write_card(models / FOLDER, model_card(told, use=_USE))
    amend_folder(models / kind, texts={FILE: model_card(told)}, training=worth)
