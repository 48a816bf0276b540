"""Serves the fine-tuned encoder with ONNX Runtime: no torch, no transformers.

Texts are scored one a run, without padding, on as many threads as there are cores: their scores depend on nothing but
the text, also where activations are int8, whose scale would otherwise be the batch's.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from inference.encoder_evidence import EncoderEvidence
from inference.encoder_text import CLEAN, encoder_view
from inference.engine import Scores, Span
from inference.errors import ModelFolderError, RasdError
from inference.folder import Manifest
from inference.lexicon import ABSTAIN, LexicalFunction, Matcher
from inference.mending import Mended, Mender
from inference.processor import adds_int8_exactly, onnx_providers, usable_cores
from inference.text import View

_CHUNK = 4000
_LONGEST_WORD = 100
_GROUP, _FEW = 32, 4
# Groups that each thread has at least: with fewer, one that ends early waits long for the other.
_TURNS = 4


@dataclass(frozen=True)
class _Read:
    """A text as tokens, and where its windows start."""

    mended: Mended
    ids: list[int]
    places: list[tuple[int, int]]
    starts: list[int]

    @property
    def view(self) -> View:
        return self.mended.view

    def length(self, start: int, room: int) -> int:
        return min(room, len(self.ids) - start)

    def window_text(self, start: int, room: int) -> str:
        own = self.places[start : start + room]
        return self.view.text[own[0][0] : own[-1][1]] if own else self.view.text


@dataclass(frozen=True)
class _Output:
    """What the model gave for one window: logits, and each token's part of the topics' logits."""

    topics: npt.NDArray[np.float64]
    stance: npt.NDArray[np.float64]
    contributions: npt.NDArray[np.float64]


FUNCTIONS_FILE = "functions.json"


class EncoderEngine:
    """Scores texts with a fine-tuned encoder.

    Args:
        folder: a checked model folder of kind ``encoder``.
        manifest: its manifest.
        mend: whether words that a scanner misread are read as they most likely were, where the model does so.

    Raises:
        ModelFolderError: where a file cannot be loaded.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, mend: bool = True) -> None:
        self._topics = len(manifest.taxonomy)
        self._calibration = manifest.calibration
        self._prefix = str(manifest.engine["prefix"])
        self._window = int(manifest.engine["max_tokens"])
        self._text = str(manifest.engine.get("text", CLEAN))
        try:
            tokenizer = (folder / "tokenizer.json").read_text("utf-8")
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # tokenizers raises plain Exception
            raise ModelFolderError(f"{folder / 'tokenizer.json'}: not a readable tokenizer ({error})") from None
        if manifest.engine.get("precision") == "int8" and not manifest.engine.get("reduce_range"):
            _warn_of_overflow(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            providers = onnx_providers(str(manifest.engine.get("precision", "fp32")))
            self._session = ort.InferenceSession(
                str(folder / "model.onnx"),
                options,
                providers=providers,
                # Its kernel takes seven times as long as the sum and the normalisation that it joins.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
        except Exception as error:  # onnxruntime has no public base for its errors
            raise ModelFolderError(f"{folder / 'model.onnx'}: not a readable ONNX model ({error})") from None
        try:
            lexical = json.loads((folder / FUNCTIONS_FILE).read_text("utf-8"))
            self._matcher = Matcher([LexicalFunction.from_json(f) for f in lexical["functions"]])
            self._words = EncoderEvidence(self._matcher, np.asarray(lexical["topic_weights"], dtype=np.float64))
        except (OSError, ValueError, KeyError, TypeError, RasdError) as error:
            raise ModelFolderError(f"{folder / FUNCTIONS_FILE}: not a readable set of functions ({error})") from None
        mends = mend and bool(manifest.engine.get("mends", True))
        self.mender = Mender.of(tokenizer, keep=self._matcher.knows) if mends else None
        self._threads = usable_cores()
        head = self._tokenizer.encode(self._prefix.strip(), add_special_tokens=True).ids if self._prefix else None
        pieces = head if head is not None else self._tokenizer.encode("", add_special_tokens=True).ids
        # Everything before the text's own tokens (start token, prefix), and the end token after them.
        self._before, self._after = pieces[:-1], pieces[-1:]
        self._room = self._window - len(pieces)

    def score(self, texts: Sequence[str], *, evidence: bool = True) -> list[Scores]:
        """Give the raw scores of each text, in order; without evidence where none is asked for."""
        # While one thread tokenises or gathers evidence others compute. The longest go first: none is left alone late.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        size = max(1, min(_GROUP, len(texts) // (_TURNS * self._threads)))
        groups = [[texts[i] for i in order[place : place + size]] for place in range(0, len(order), size)]
        if self._threads == 1 or len(groups) < 2:
            done = [self._score(group, threads=self._threads, evidence=evidence) for group in groups]
        else:
            with ThreadPoolExecutor(min(self._threads, len(groups))) as pool:
                done = list(pool.map(lambda group: self._score(group, threads=1, evidence=evidence), groups))
        scores = dict(zip(order, itertools.chain.from_iterable(done), strict=True))
        return [scores[i] for i in range(len(texts))]

    def _score(self, texts: Sequence[str], *, threads: int, evidence: bool) -> list[Scores]:
        read = [self._read(t) for t in texts]
        places = [(r, start) for r in read for start in r.starts]
        own = [r.window_text(start, self._room) for r, start in places]
        fired = self._matcher.votes(own, one_by_one=len(own) <= _FEW) != ABSTAIN
        windows = [(r, start, row) for (r, start), row in zip(places, fired.astype(np.float32), strict=True)]
        if threads > 1 and len(windows) > 1:
            with ThreadPoolExecutor(threads) as pool:
                ready = iter([*pool.map(self._run, windows)])
        else:
            ready = map(self._run, windows)
        return [self._merge(r, [next(ready) for _ in r.starts], evidence=evidence) for r in read]

    def _read(self, text: str) -> _Read:
        view = encoder_view(self._text, text)
        mended = self.mender.mend(view) if self.mender else Mended(view)
        ids, places = self._tokenise(mended.view)
        step = max(self._room * 3 // 4, 1)
        starts = [0] if len(ids) <= self._room else list(range(0, len(ids) - self._room + step, step))
        return _Read(mended, ids, places, starts)

    def _run(self, window: tuple[_Read, int, npt.NDArray[np.float32]]) -> _Output:
        read, start, fired = window
        ids = [*self._before, *read.ids[start : start + self._room], *self._after]
        outputs = self._session.run(None, {"input_ids": np.asarray([ids], dtype=np.int64), "votes": fired[None]})
        topics, stance, contributions = (np.asarray(o[0], dtype=np.float64) for o in outputs)
        return _Output(topics, stance, contributions[:, len(self._before) : len(ids) - len(self._after)])

    def _merge(self, read: _Read, outputs: Sequence[_Output], *, evidence: bool) -> Scores:
        topics = np.stack([o.topics for o in outputs])
        stance = np.stack([o.stance for o in outputs])
        # A topic is in the text if it is in a window; its stance is read where it is loudest.
        share = np.exp(topics - topics.max(0))
        share /= share.sum(0)
        found = topics.max(0), (stance * share[:, :, None]).sum(0)
        present = self._calibration.topic_probabilities(found[0]) >= self._calibration.thresholds
        # Evidence is gathered where a topic is present, and nowhere else.
        spans = self._evidence(read, outputs, present) if evidence and present.any() else ((),) * self._topics
        return Scores(*found, spans, windows=len(outputs), mended=read.mended.changes)

    def _evidence(
        self, read: _Read, outputs: Sequence[_Output], present: npt.NDArray[np.bool_]
    ) -> tuple[tuple[Span, ...], ...]:
        weights = np.zeros((self._topics, len(read.ids)))
        for start, output in zip(read.starts, outputs, strict=True):
            part = weights[:, start : start + output.contributions.shape[1]]
            np.copyto(part, output.contributions, where=np.abs(output.contributions) > np.abs(part))
        return self._words.spans(read.view, read.places, weights, present)

    def _tokenise(self, view: View) -> tuple[list[int], list[tuple[int, int]]]:
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        for start, piece in _chunks(view.text):
            encoded = self._tokenizer.encode(piece, add_special_tokens=False)
            ids.extend(encoded.ids)
            places.extend((a + start, b + start) for a, b in encoded.offsets)
        return ids, places


def _warn_of_overflow(folder: Path) -> None:
    if not adds_int8_exactly():
        warnings.warn(
            f"{folder}: int8 weights of 8 bits on a processor without VNNI, whose sums overflow; answers may be less "
            "accurate than measured. Train on such a processor, or keep fp32",
            RuntimeWarning,
            stacklevel=2,
        )


def _chunks(text: str) -> list[tuple[int, str]]:
    """Cut a long text at spaces, and a word without end anywhere: tokenising is not linear in a word's length."""
    if len(text) <= _CHUNK and max(map(len, text.split(" ")), default=0) <= _LONGEST_WORD:
        return [(0, text)]
    chunks: list[tuple[int, str]] = []
    start = 0
    while start < len(text):
        end = min(start + _CHUNK, len(text))
        if end < len(text) and (space := text.rfind(" ", start, end)) > start:
            end = space
        piece = text[start:end]
        if max(map(len, piece.split(" ")), default=0) > _LONGEST_WORD:
            chunks.extend((start + i, piece[i : i + _LONGEST_WORD]) for i in range(0, len(piece), _LONGEST_WORD))
        else:
            chunks.append((start, piece))
        start = end
    return chunks
