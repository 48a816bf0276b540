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
from training import export
from training.batches import build_dataset, predict_logits
from training.calibrate import calibrate, shift_to_feed
from training.clean import refine
from training.config import Config
from training.encoders import Encoder
from training.expert import topic_expert
from training.finetune import finetune
from training.pretrained import FOLDER as TRANSFORMERS
from training.pretrained import save_pretrained
from training.progress import MetricsCallback
from training.quantise import GoldCheck
from training.tfidf import fit_tfidf
from training.topics import WatchList
from training.weak_stage import Labelled
from training.workspace import Workspace, is_made_by

_FITTED = "fitted.json"


@dataclass(frozen=True)
class Fitted:
    """What the fine-tuning leaves for the pictures: tokens of the training paragraphs, the Trainer's log."""

    lengths: np.ndarray
    history: list[dict[str, float]]

    @classmethod
    def kept(cls, space: Workspace) -> Fitted | None:
        """Give what an interrupted training left of it."""
        data = space.read(_FITTED)
        return None if data is None else cls(np.asarray(data["lengths"], dtype=np.int64), data["history"])

    def keep(self, space: Workspace) -> None:
        """Keep it for a resumption."""
        space.write(_FITTED, {"lengths": self.lengths.tolist(), "history": self.history})


def _calibrate(config: Config, data: Labelled, topics: np.ndarray, stance: np.ndarray) -> Calibration:
    fitted = calibrate(topics, stance, data.labels(data.validation))
    return shift_to_feed(fitted, data.labels(data.train), config.feed.shares)


def tfidf_stage(config: Config, watch_list: WatchList, data: Labelled, target: Path, facts: Mapping[str, Any]) -> None:
    """Fit the baseline on the weak labels, calibrate it on the held-out part, and write its folder.

    Where this run has written the folder already, before it was killed, nothing is done.

    Args:
        config: the resolved configuration.
        watch_list: the topics.
        data: the weakly labelled corpus.
        target: the model folder.
        facts: what the manifest says of the training.
    """
    if is_made_by(target, str(facts["run_id"])):
        return
    model = fit_tfidf(data.texts(data.train), data.labels(data.train))
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
    space: Workspace,
    gold: Sequence[GoldRecord],
    clean: Sequence[GoldRecord] = (),
) -> Fitted:
    """Fine-tune the encoder on the weak labels, calibrate it on the held-out part, and write its folders.

    Where this run has written them already, before it was killed, nothing is done.

    Args:
        config: the resolved configuration.
        watch_list: the topics and lexical functions.
        encoder: the pretrained encoder; it is changed.
        data: the weakly labelled corpus.
        models: the models folder.
        facts: what the manifest says of the training.
        space: keeps the checkpoints.
        gold: what int8 must hold its accuracy on to be served; nothing is learned from it.
        clean: labelled by people, for the second stage; none leaves it out.
    """
    done = Fitted.kept(space) if is_made_by(models / "encoder", str(facts["run_id"])) else None
    if done is not None:
        return done
    window = config.encoder.max_tokens
    matcher = Matcher(watch_list.functions)
    train_set, held_out = (
        build_dataset(encoder, data.texts(part), matcher, weak=data.readings(part), max_tokens=window)
        for part in (data.train, data.validation)
    )
    tuned = finetune(
        encoder,
        train_set,
        held_out,
        labels=data.readings(data.train),
        config=config,
        work=space.folder,
        callbacks=[MetricsCallback()],
        resume=space.resumed,
    )
    model = tuned.model
    if clean:
        refine(model, encoder, clean, matcher=matcher, taxonomy=watch_list.taxonomy, config=config)
    model = model.cpu()
    model.consult(topic_expert(data.weak_model), share=config.training.expert_share)
    topics, stance = predict_logits(model, held_out, pad_id=encoder.pad_id)
    calibration = _calibrate(config, data, topics, stance)
    fitted = Fitted(np.asarray(train_set["length"][:], dtype=np.int64), tuned.history)
    fitted.keep(space)
    save_pretrained(
        models / TRANSFORMERS,
        model,
        encoder,
        topics=watch_list.taxonomy.ids,
        functions=watch_list.functions,
        max_tokens=window,
        run_id=str(facts["run_id"]),
    )
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
    return fitted
