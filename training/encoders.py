"""Which encoder is fine-tuned, where it comes from, and what to do where it cannot be had."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import transformers
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.models.auto.tokenization_auto import AutoTokenizer

from inference.encoder_text import ARABERT, CLEAN
from inference.errors import EncoderUnavailableError
from training.embedded import BASE as EMBEDDED_BASE
from training.embedded import LABEL as EMBEDDED_LABEL
from training.embedded import data_path, load_embedded

log = logging.getLogger(__name__)
# Every letter of the Arabic alphabet and its hamza forms.
_LETTERS = "ابتثجحخدذرزسشصضطظعغفقكلمنهويىءآأؤإئة"
_SEGMENTED = re.compile(r"arabert(v1|v2)?$")
_V02 = re.compile(r"arabertv02(-twitter)?$")


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder that Rasd knows by a short name.

    Args:
        name: the short name, for ``encoder.name``.
        hub_id: its name on the hub, or the package that carries it.
        parameters: millions of parameters.
        megabytes: size of the download.
        licence: licence of the weights.
        note: what it is good for.
    """

    name: str
    hub_id: str
    parameters: int
    megabytes: int
    licence: str
    note: str


_OWN = "its own; see its card on the hub"
KNOWN = (
    KnownEncoder("embedded", EMBEDDED_BASE, 30, 91, "MIT", "the default: no hub, no network; Arabic vocabulary only"),
    KnownEncoder("arabert", "aubmindlab/bert-base-arabertv02", 135, 543, _OWN, "news and Wikipedia, MSA"),
    KnownEncoder(
        "arabert-twitter", "aubmindlab/bert-base-arabertv02-twitter", 135, 543, _OWN, "the same, and 60 million tweets"
    ),
    KnownEncoder("camelbert-msa", "CAMeL-Lab/bert-base-arabic-camelbert-msa", 109, 439, "Apache-2.0", "MSA"),
    KnownEncoder("marbertv2", "UBC-NLP/MARBERTv2", 163, 654, _OWN, "tweets, dialects and MSA"),
)


@dataclass(frozen=True)
class Encoder:
    """A loaded encoder.

    Args:
        model: the transformer, in fp32.
        tokenizer: its tokenizer, without truncation or padding.
        name: what was asked for.
        base: what it really is: a hub id, a folder, or the embedded base.
        prefix: what is put before every text, as the base was pretrained with.
        pad_id: token id of padding.
        text: how it reads text; see ``inference.encoder_text``.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    name: str
    base: str
    prefix: str
    pad_id: int
    text: str = CLEAN

    @property
    def label(self) -> str:
        """The base in a few words, for tables: ``bert-base-arabertv02`` or ``embedded e5-small``."""
        if self.base == EMBEDDED_BASE:
            return EMBEDDED_LABEL
        return self.base.rsplit("/", 1)[-1].replace(" (folder ", ", folder ").removesuffix(")")


def load_encoder(name: str) -> Encoder:
    """Load an encoder by its short name, hub id or folder.

    The hub's cache is used where it has the encoder, the hub where not. Nothing is put in its place.

    Args:
        name: ``embedded``, another name of :data:`KNOWN`, a hub id, or a folder.

    Raises:
        EncoderUnavailableError: where it cannot be had, with how to get it.
    """
    if name == "embedded":
        model, tokenizer = load_embedded()
        return Encoder(model, tokenizer, name, EMBEDDED_BASE, "query: ", 1)
    source = next((k.hub_id for k in KNOWN if k.name == name), name)
    if any(_SEGMENTED.search(n) for n in _names(source)):
        raise EncoderUnavailableError(
            f"{source}: was pretrained on text cut into prefixes and suffixes by Farasa, which Rasd does not do; its "
            "sister aubmindlab/bert-base-arabertv02 reads words as they are: --set encoder.name=arabert"
        )
    # The report of unused pooler weights and a bar for every file would only alarm.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(source)
        fast = AutoTokenizer.from_pretrained(source, use_fast=True)
        model = AutoModel.from_pretrained(source, dtype="float32", **_without_pooler(config))
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise EncoderUnavailableError(_how_to_get(name, source, error)) from None
    tokenizer = fast.backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _check_arabic(tokenizer, source, unknown=fast.unk_token)
    base = source if not Path(source).is_dir() else f"{_name_in(Path(source))} (folder {Path(source).name})"
    pad_id = fast.pad_token_id if fast.pad_token_id is not None else 0
    text = ARABERT if any(_V02.search(n) for n in _names(source)) else CLEAN
    return Encoder(model.eval(), tokenizer, name, base, "", int(pad_id), text)


def _without_pooler(config: object) -> dict[str, bool]:
    return (
        {"add_pooling_layer": False} if getattr(config, "model_type", "") in ("bert", "roberta", "xlm-roberta") else {}
    )


def _names(source: str) -> list[str]:
    """Give the names that an encoder goes by: its own, its folder's, and what its configuration says."""
    path = Path(source)
    names = [path.name, *([_name_in(path)] if path.is_dir() else [])]
    return [n.lower().rsplit("/", 1)[-1] for n in names]


def _name_in(folder: Path) -> str:
    try:
        data = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return "unnamed encoder"
    return str(data.get("_name_or_path") or data.get("model_type") or "unnamed encoder")


def _how_to_get(name: str, source: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return (
        f"the encoder {name!r} ({source}) cannot be loaded: {reason}\n"
        f"To get it: on a machine with a network run `hf download {source} --local-dir {Path(source).name}`, "
        "copy the folder here and set encoder.name to its path; or use the one that is here: "
        "--set encoder.name=embedded"
    )


def _check_arabic(tokenizer: Tokenizer, source: str, *, unknown: str | None) -> None:
    # A tokenizer with lower-casing on strips the hamza, and the fine-tuned model would never see one.
    sample = "أحمد إلى آمن"
    if tokenizer.normalizer is not None and (seen := tokenizer.normalizer.normalize_str(sample)) != sample:
        raise EncoderUnavailableError(
            f"{source}: its tokenizer turns {sample!r} into {seen!r}; set do_lower_case and strip_accents to false "
            "in its tokenizer_config.json"
        )
    lost = [c for c in _LETTERS if unknown in tokenizer.encode(c, add_special_tokens=False).tokens]
    if lost:
        raise EncoderUnavailableError(
            f"{source}: its vocabulary does not know {'، '.join(lost)}; it is no encoder for Arabic, or its vocab.txt "
            "is incomplete"
        )


def licence_of(name: str) -> str:
    """Give the licence of an encoder's weights, by its short name or hub id."""
    return next((k.licence for k in KNOWN if name in (k.name, k.hub_id)), "see the base's own model card")


def is_available(known: KnownEncoder) -> bool:
    """Say whether an encoder can be loaded here without a network."""
    if known.name == "embedded":
        try:
            return data_path().exists()
        except EncoderUnavailableError:
            return False
    from huggingface_hub import try_to_load_from_cache

    # A download that was cut off has the configuration and not the weights.
    weights = ("model.safetensors", "pytorch_model.bin")
    found = [try_to_load_from_cache(known.hub_id, name) for name in ("config.json", *weights)]
    return isinstance(found[0], str) and any(isinstance(f, str) for f in found[1:])


def how_to_get(known: KnownEncoder) -> str:
    """Say in one line how an encoder comes here; empty where it is here."""
    if is_available(known):
        return ""
    if known.name == "embedded":
        return "pip install 'rasd[embedded]'"
    return f"hf download {known.hub_id} --local-dir {known.hub_id.rsplit('/', 1)[-1]}"
