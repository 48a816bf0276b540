"""Writes model folders: ONNX and tokenizer for the encoder, skops for TF-IDF, JSON for the labelling functions."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from inference.calibration import Calibration
from inference.encoder import FUNCTIONS_FILE, EncoderEngine
from inference.folder import Manifest
from inference.lexicon import LexicalFunction
from inference.taxonomy import Taxonomy
from inference.weak import FILE as WEAK_FILE
from training.batches import tokenise_texts
from training.card import write_with_card
from training.encoders import Encoder, licence_of
from training.fuse import fused_attention, tidy
from training.model import JointModel
from training.quantise import MODEL_FILE, GoldCheck, Precision, choose_precision, score_engine
from training.tfidf import TfidfModel
from training.weak import WeakModel, columns_of

log = logging.getLogger(__name__)
OPSET = 17
_EXAMPLES = 32


class _Served(nn.Module):
    """The joint model as it is served: one text a run, no padding, so no mask."""

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, votes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        output = self.model(input_ids, torch.ones_like(input_ids), votes)
        return output.topics, output.stance, output.contributions


def write_onnx(model: JointModel, path: Path) -> None:
    """Write the joint model as ONNX with a free number of tokens.

    Args:
        model: the fine-tuned model, in fp32.
        path: the file.
    """
    model = model.float().eval().cpu()
    example = torch.randint(5, 50, (1, 24))
    names = ["topics", "stance", "contributions"]
    with warnings.catch_warnings(), torch.no_grad(), fused_attention(model.encoder):
        # The tracer warns of every constant that it folds.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            # The tracer puts back the mode that it found, and with it that of the model inside.
            _Served(model).eval(),
            (example, torch.ones(1, model.topic_votes.shape[1])),
            str(path),
            input_names=["input_ids", "votes"],
            output_names=names,
            dynamic_axes={"input_ids": {1: "tokens"}, "contributions": {2: "tokens"}},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load(path)
    tidy(graph)
    onnx.save(graph, path)


def export_encoder(
    target: Path,
    model: JointModel,
    encoder: Encoder,
    *,
    name: str = "Rasd encoder",
    functions: Sequence[LexicalFunction],
    taxonomy: Taxonomy,
    calibration: Calibration,
    max_tokens: int,
    training: Mapping[str, Any],
    data_sha256: str,
    check: GoldCheck | None = None,
    examples: Sequence[str] = (),
    mends: bool = True,
    coarse: bool = False,
) -> Path:
    """Write the fine-tuned encoder's model folder, in int8 where that holds its accuracy.

    Args:
        target: the folder.
        model: the fine-tuned model.
        encoder: what it was made from.
        name: what the manifest and the card call it.
        functions: the lexical labelling functions that it reads beside the tokens.
        taxonomy: the topics.
        calibration: from its scores to decisions.
        max_tokens: its window.
        training: what the manifest says of the training.
        data_sha256: digest of the corpus.
        check: what int8 is checked on; where None, the model stays in fp32.
        examples: typical paragraphs, from which int8 learns which channels outlie.
        mends: whether it mends what looks scanned, where its tokenizer lets it; see :mod:`inference.mending`.
        coarse: whether int8 may be as coarse as holds its accuracy; see :func:`training.quantise.choose_precision`.
    """
    engine = {
        "prefix": encoder.prefix,
        "max_tokens": max_tokens,
        "asked_for": encoder.name,
        "text": encoder.text,
        "licence": licence_of(encoder.name),
        "mends": mends,
    }
    manifest = Manifest(
        kind="encoder",
        name=name,
        base=encoder.base,
        taxonomy=taxonomy,
        calibration=calibration,
        engine=engine,
        training=training,
        data_sha256=data_sha256,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, where the next training finds what a kill leaves.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        work = Path(temporary)
        _write_encoder(work, model, encoder, functions)
        precision = Precision("fp32", "no gold to check int8 on")
        if check is not None:
            precision = choose_precision(
                work,
                lambda: score_engine(EncoderEngine(work, manifest), check, taxonomy=taxonomy, calibration=calibration),
                typical=tokenise_texts(encoder, examples[:_EXAMPLES], max_tokens=max_tokens),
                coarse=coarse,
            )
        log.info("the encoder is served in %s: %s", precision.name, precision.reason)
        manifest = replace(manifest, engine=engine | precision.to_json())
        return write_with_card(target, manifest, lambda folder: _move_files(work, folder))


def _write_encoder(folder: Path, model: JointModel, encoder: Encoder, functions: Sequence[LexicalFunction]) -> None:
    write_onnx(model, folder / MODEL_FILE)
    encoder.tokenizer.no_truncation()
    encoder.tokenizer.no_padding()
    encoder.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    weights = model.vote_weights().detach().cpu().double().numpy().round(6).tolist()
    lexical = {"functions": [f.to_json() for f in functions], "topic_weights": weights}
    (folder / FUNCTIONS_FILE).write_text(json.dumps(lexical, ensure_ascii=False), "utf-8")


def _move_files(source: Path, target: Path) -> None:
    for path in source.iterdir():
        shutil.move(path, target / path.name)


def export_tfidf(
    target: Path,
    model: TfidfModel,
    *,
    taxonomy: Taxonomy,
    calibration: Calibration,
    training: Mapping[str, Any],
    data_sha256: str,
) -> Path:
    """Write the baseline's model folder."""
    manifest = Manifest(
        kind="tfidf",
        name="Rasd TF-IDF baseline",
        base="TF-IDF of words and characters, logistic regression",
        taxonomy=taxonomy,
        calibration=calibration,
        training=training,
        data_sha256=data_sha256,
    )
    return write_with_card(target, manifest, model.save)


def export_weak(
    target: Path,
    model: WeakModel,
    functions: tuple[LexicalFunction, ...],
    *,
    calibration: Calibration,
    training: Mapping[str, Any],
    data_sha256: str,
) -> Path:
    """Write the labelling functions and label model as a model folder; metadata and Python functions stay behind."""
    served = [j for j, f in enumerate(model.functions) if f.kind == "lexical"]
    place = {j: k for k, j in enumerate(served)}
    left = sorted(f.name for f in model.functions if f.kind != "lexical")
    manifest = Manifest(
        kind="weak",
        name="Rasd labelling functions",
        base=f"{len(served)} lexical labelling functions and their label model",
        taxonomy=model.taxonomy,
        calibration=calibration,
        engine={"not_served": left},
        training=training,
        data_sha256=data_sha256,
    )
    columns = columns_of(model.functions, model.taxonomy)
    data: dict[str, Any] = {"functions": [f.to_json() for f in functions], "topics": {}, "stance": {}}
    for topic in model.taxonomy.ids:
        for part, own, fitted in (
            ("topics", columns[topic].topic, model.topic_models[topic]),
            ("stance", columns[topic].stance, model.stance_models[topic]),
        ):
            kept = [c for c, j in enumerate(own) if j in place]
            numbers = fitted.to_json()
            numbers["rates"] = np.asarray(numbers["rates"])[kept].tolist()
            numbers["discount"] = np.asarray(numbers["discount"])[kept].tolist()
            data[part][topic] = {"columns": [place[own[c]] for c in kept], **numbers}

    def fill(folder: Path) -> None:
        (folder / WEAK_FILE).write_text(json.dumps(data, ensure_ascii=False), "utf-8")

    return write_with_card(target, manifest, fill)
