"""The two stages of a training that fit a model on weak labels and export it: TF-IDF and the encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.calibration import Calibration
from inference.gold import GoldRecord
from inference.lexicon import Matcher
from training import export, tracking
from training.batches import build_dataset, predict_logits
from training.calibrate import calibrate, shift_to_feed
from training.config import Config
from training.encoders import Encoder
from training.expert import topic_expert
from training.finetune import finetune
from training.quantise import GoldCheck
from training.tfidf import fit_tfidf
from training.topics import WatchList
from training.weak_stage import Labelled


@dataclass(frozen=True)
class Fitted:
    """What the fine-tuning leaves for the pictures: tokens of the training paragraphs, the Trainer's log."""

    lengths: np.ndarray
    history: list[dict[str, float]]


def _calibrate(config: Config, data: Labelled, topics: np.ndarray, stance: np.ndarray) -> Calibration:
    fitted = calibrate(topics, stance, data.labels(data.validation))
    return shift_to_feed(fitted, data.labels(data.train), config.feed.shares)


def tfidf_stage(config: Config, watch_list: WatchList, data: Labelled, target: Path, facts: Mapping[str, Any]) -> None:
    """Fit the baseline on the weak labels, calibrate it on the held-out part, and write its folder.

    Args:
        config: the resolved configuration.
        watch_list: the topics.
        data: the weakly labelled corpus.
        target: the model folder.
        facts: what the manifest says of the training.
    """
    model = fit_tfidf(data.texts(data.train), data.labels(data.train), seed=config.seed)
    topics, stance = model.logits(data.texts(data.validation))
    calibration = _calibrate(config, data, topics, stance)
    export.export_tfidf(
        target,
        model,
        taxonomy=watch_list.taxonomy,
        calibration=calibration,
        training=facts,
        data_sha256=data.corpus.digest,
    )


def encoder_stage(
    config: Config,
    watch_list: WatchList,
    encoder: Encoder,
    data: Labelled,
    models: Path,
    facts: Mapping[str, Any],
    *,
    gold: Sequence[GoldRecord],
    resume: bool,
) -> Fitted:
    """Fine-tune the encoder on the weak labels, calibrate it on the held-out part, and write its folder.

    Args:
        config: the resolved configuration.
        watch_list: the topics and lexical functions.
        encoder: the pretrained encoder; it is changed.
        data: the weakly labelled corpus.
        models: the models folder.
        facts: what the manifest says of the training.
        gold: what int8 must hold its accuracy on to be served; nothing is learnt from it.
        resume: go on from the newest whole checkpoint.
    """
    window = config.encoder.max_tokens
    matcher = Matcher(watch_list.functions)
    train_set, held_out = (
        build_dataset(encoder, data.texts(part), matcher, weak=data.labels(part), max_tokens=window)
        for part in (data.train, data.validation)
    )
    progress = tracking.MetricsCallback()
    model = finetune(
        encoder,
        train_set,
        held_out,
        labels=data.labels(data.train),
        config=config,
        work=models / ".checkpoints",
        callbacks=[progress],
        resume=resume,
    )
    model.consult(topic_expert(data.weak_model), share=config.training.expert_share)
    topics, stance = predict_logits(model, held_out, pad_id=encoder.pad_id)
    calibration = _calibrate(config, data, topics, stance)
    export.export_encoder(
        models / "encoder",
        model,
        encoder,
        functions=watch_list.functions,
        taxonomy=watch_list.taxonomy,
        calibration=calibration,
        max_tokens=window,
        training=facts,
        data_sha256=data.corpus.digest,
        check=GoldCheck.of(gold, watch_list.taxonomy),
        examples=data.texts(data.validation),
    )
    return Fitted(np.asarray(train_set["length"][:], dtype=np.int64), progress.history)
