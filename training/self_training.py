"""Self-training: a model that stands labels the paragraphs of which only word rules speak.

The encoder reads the word rules' votes beside the text. Weak labels that are nothing but such votes teach it to repeat
the label model, and no more; what a first model made of the others is worth more (Scudder, 1965; Karamanolakis et al.,
NAACL 2021). Paragraphs of which something else speaks too, such as the brief that they were written to, keep the
label model's labels.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.errors import ConfigError
from inference.folder import MANIFEST, link_or_copy, read_manifest
from inference.predictor import Predictor, resolve_model
from inference.taxonomy import Taxonomy
from training.labeling import LabelingFunction
from training.teacher import Teacher
from training.weak import WeakLabels
from training.workspace import Workspace

FOLDER = "teacher"
# Likeness to prototypes and what the rest of an article says are worked out of words, too.
_OF_WORDS = ("lexical", "semantic", "document")


@dataclass(frozen=True)
class Taught:
    """The corpus' labels after the teacher has spoken.

    Args:
        labels: what a model learns that has nothing but the text.
        reading: what an encoder learns that reads the votes, and will consult the label model, beside the text.
        rows: how many paragraphs the teacher labelled.
    """

    labels: WeakLabels
    reading: WeakLabels
    rows: int


def words_alone(votes: npt.NDArray[np.int8], functions: Sequence[LabelingFunction]) -> npt.NDArray[np.bool_]:
    """Say of which paragraphs nothing but word rules speak.

    Args:
        votes: shape ``(rows, functions)``; -1 is silence.
        functions: the columns.
    """
    others = [j for j, f in enumerate(functions) if f.kind not in _OF_WORDS]
    return np.asarray((votes[:, others] == -1).all(1))


def keep_teacher(asked: str, models: Path, space: Workspace, taxonomy: Taxonomy) -> Teacher | None:
    """Load the teacher, from a copy that the training keeps: the training may end up in the folder that taught it.

    Args:
        asked: which model, see :func:`inference.predictor.resolve_model`; empty for none.
        models: the models folder.
        space: the training's.
        taxonomy: the topics that it must know.

    Raises:
        ConfigError: where it is no encoder, or one for other topics.
        ModelFolderError: where there is none.
    """
    if not asked:
        return None
    kept = space.folder / FOLDER
    if not (space.resumed and (kept / MANIFEST).exists()):
        source = resolve_model(asked, models=models)
        read_manifest(source)
        half_made = space.folder / f".{FOLDER}"
        for folder in (kept, half_made):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, half_made, copy_function=link_or_copy)
        half_made.rename(kept)
    teacher = Teacher.of(Predictor(kept), asked=f"labels.teacher: {asked}")
    known = teacher.predictor.manifest.taxonomy.ids
    if known != taxonomy.ids:
        raise ConfigError(
            f"labels.teacher: {asked} knows the topics {', '.join(known)}, the watch list has "
            f"{', '.join(taxonomy.ids)}; name a model of these topics, or none"
        )
    return teacher


def teach(weak: WeakLabels, texts: Sequence[str], rows: npt.NDArray[np.bool_], teacher: Teacher) -> Taught:
    """Let a teacher label some paragraphs of a corpus.

    Args:
        weak: the label model's labels of the whole corpus.
        texts: the corpus.
        rows: shape ``(texts,)``; which ones the teacher labels.
        teacher: the teacher.
    """
    if not rows.any():
        return Taught(weak, weak, 0)
    own = [text for text, chosen in zip(texts, rows, strict=True) if chosen]
    said = teacher.answers(own)
    # The feed's shares are put in when the model that learns here is calibrated, not twice.
    stance = teacher.predictor.manifest.calibration.unshifted_stance(said.stance)
    labels, reading = (
        _replaced(weak, rows, WeakLabels(topics, stance)) for topics in (said.topics, teacher.reading(own, said).topics)
    )
    return Taught(labels, reading, int(rows.sum()))


def _replaced(weak: WeakLabels, rows: npt.NDArray[np.bool_], others: WeakLabels) -> WeakLabels:
    topics, stance = weak.topics.copy(), weak.stance.copy()
    topics[rows], stance[rows] = others.topics, others.stance
    return WeakLabels(topics, stance)
