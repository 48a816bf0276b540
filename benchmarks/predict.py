"""Measures predict against ``transformers.pipeline``, on the same checkpoint and the same paragraphs, in one run.

``python benchmarks/predict.py --corpus FILE.jsonl[.gz] [--rows N] [--shapes embedded arabert] [--tfidf FOLDER]
[--fast FOLDER] [--cascade FOLDER] [--rounds N] [--json FILE]`` prints a table and one JSON object.

The checkpoints are the embedded encoder, and one of AraBERT-base's shape with random weights. Those spread evenly, so
its first int8 reads all activations as they come; trained weights may ask for more, and are then slower, though not
than all of it in two steps. Rasd serves the joint model with its heads, votes and evidence; the pipeline
classifies with a plain head on the same encoder, once as its documentation shows it, once tuned: sorted by length,
batched, in bf16. The fast model and the cascade are what ``rasd distill`` made of a trained embedded encoder; how many
paragraphs a cascade passes on depends on what they are about, so bring them as they came. Start-up is measured on
processes: from their start to their end, with one answer between.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402
from tokenizers.trainers import WordPieceTrainer  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    pipeline,
)

from benchmarks.int8_rate import layer_products, measured_rate, operations  # noqa: E402
from benchmarks.machine import give, machine  # noqa: E402
from benchmarks.start_up import start_up  # noqa: E402
from inference.calibration import Calibration  # noqa: E402
from inference.folder import MANIFEST, SEAL, read_manifest, write_folder  # noqa: E402
from inference.predictor import Predictor  # noqa: E402
from inference.processor import adds_int8_exactly, usable_cores  # noqa: E402
from training.batches import tokenise_texts  # noqa: E402
from training.encoders import Encoder, load_encoder  # noqa: E402
from training.export import export_encoder  # noqa: E402
from training.model import JointModel  # noqa: E402
from training.quantise import MODEL_FILE, SCHEMES, quantise, round_for  # noqa: E402
from training.topics import load_watch_list  # noqa: E402

WINDOW = 256
PIPELINES = ("pipeline", "pipeline tuned")
_PACKAGES = ("torch", "transformers", "onnxruntime", "tokenizers", "numpy")
Contender = Callable[[list[str]], Any]


def read_texts(path: Path, rows: int) -> list[str]:
    """Read the texts of a JSON Lines file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in itertools.islice(lines, rows)]


def arabert_shape(texts: list[str]) -> Encoder:
    """Make an encoder of AraBERT-base's shape with random weights, and a WordPiece tokenizer trained on the texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts, WordPieceTrainer(vocab_size=64_000, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=64_000), add_pooling_layer=False).eval()
    return Encoder(model, tokenizer, "arabert-shape", "random weights of AraBERT-base's shape", "", 0)


def export_all(encoder: Encoder, texts: list[str], work: Path) -> dict[str, Path]:
    """Export a joint model with random heads in fp32 and in int8 as a training tries it, by the scheme's name."""
    watch_list = load_watch_list(ROOT / "configs" / "topics.yaml")
    joint = JointModel(encoder.model, topics=len(watch_list.taxonomy), functions=len(watch_list.functions))
    torch.nn.init.normal_(joint.query, std=0.05)
    plain = export_encoder(
        work / "fp32",
        joint,
        encoder,
        functions=watch_list.functions,
        taxonomy=watch_list.taxonomy,
        calibration=Calibration.identity(len(watch_list.taxonomy)),
        max_tokens=WINDOW,
        training={},
        data_sha256="",
    )
    manifest, reduce_range = read_manifest(plain), not adds_int8_exactly()
    engine = {**manifest.engine, "precision": "int8", "reduce_range": reduce_range}
    rounded, typical = work / "rounded.onnx", tokenise_texts(encoder, texts[:32], max_tokens=WINDOW)
    wide = round_for(typical, plain / MODEL_FILE, rounded, reduce_range=reduce_range)

    def fill(folder: Path, two_steps: bool) -> None:
        for path in plain.iterdir():
            if path.name not in (MODEL_FILE, MANIFEST, SEAL):
                shutil.copy(path, folder)
        quantise(rounded, folder / MODEL_FILE, reduce_range=reduce_range, wide=wide, two_steps=two_steps)

    folders = {"fp32": plain}
    for place, (name, two_steps) in enumerate(SCHEMES.items()):
        folders[name] = write_folder(
            work / f"int8-{place}", replace(manifest, engine=engine), functools.partial(fill, two_steps=two_steps)
        )
    return folders


def classifier(encoder: Encoder, folder: Path) -> Path:
    """Save a plain classifier on the same encoder, as transformers reads it."""
    config = encoder.model.config
    config.num_labels = 3
    model = BertForSequenceClassification(config)
    model.bert.load_state_dict(encoder.model.state_dict(), strict=False)
    model.save_pretrained(folder)
    special = {"pad_token": encoder.tokenizer.id_to_token(encoder.pad_id)}
    PreTrainedTokenizerFast(tokenizer_object=encoder.tokenizer, **special).save_pretrained(folder)
    return folder


def rate(run: Contender, texts: list[str]) -> float:
    """Give paragraphs a second, after a few to warm up."""
    run(texts[:4])
    start = time.perf_counter()
    run(texts)
    return len(texts) / (time.perf_counter() - start)


def pipelines(folder: Path) -> dict[str, Contender]:
    """Give the pipeline as documented, and tuned."""
    cut = {"truncation": True, "max_length": WINDOW}
    plain = pipeline("text-classification", model=str(folder))
    tuned = pipeline("text-classification", model=str(folder), dtype=torch.bfloat16)
    return {
        PIPELINES[0]: lambda texts: plain(texts, **cut),
        PIPELINES[1]: lambda texts: tuned(sorted(texts, key=len), batch_size=16, **cut),
    }


def rates_in_turn(contenders: dict[str, Contender], texts: list[str], rounds: int) -> dict[str, float]:
    """Give each one's median rate over rounds in which all take turns: what else the machine does then hits all."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            found[name].append(rate(run, texts))
    return {name: statistics.median(own) for name, own in found.items()}


def measure(encoder: Encoder, texts: list[str], work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one checkpoint."""
    checkpoint = classifier(encoder, work / "checkpoint")
    folders = export_all(encoder, texts, work)
    contenders: dict[str, Contender] = {f"rasd {p}": Predictor(f).predict for p, f in folders.items()}
    contenders |= pipelines(checkpoint)
    if options.fast:
        contenders["rasd fast"] = Predictor(options.fast).predict
    # Its second encoder has this size only.
    cascaded = options.cascade and encoder.name == "embedded"
    if cascaded:
        contenders["rasd cascade"] = Predictor(options.cascade).predict
    rates = rates_in_turn(contenders, texts, options.rounds)
    config = encoder.model.config
    tokens = float(np.mean([min(len(e.ids), WINDOW) for e in encoder.tokenizer.encode_batch(texts)]))
    products = layer_products(config.hidden_size, config.intermediate_size) * config.num_hidden_layers
    per_text = operations(products, tokens)
    return {
        "base": encoder.base,
        "paragraphs_per_second": rates,
        "times_pipeline": rates["rasd int8"] / rates["pipeline"],
        "times_tuned": rates["rasd int8"] / rates["pipeline tuned"],
        **({"times_fast": rates["rasd fast"] / rates["pipeline"]} if options.fast else {}),
        **({"times_cascade": [rates["rasd cascade"] / rates[p] for p in PIPELINES]} if cascaded else {}),
        "tokens": tokens,
        "gops_per_paragraph": per_text,
        "gops": per_text * rates["rasd int8"],
        "measured_gops": measured_rate(config.hidden_size, config.intermediate_size, round(tokens)),
        "start_up": start_up(folders["int8"], checkpoint, options.runs),
    }


def print_table(result: dict[str, Any]) -> None:
    """Print what was measured for a person to read."""
    for shape, found in result["encoders"].items():
        print(f"{shape}: {found['base']}")
        for name, value in found["paragraphs_per_second"].items():
            print(f"  {name:<36}{value:10.1f} paragraphs/s")
        print(f"  int8 is {found['times_pipeline']:.1f} times the pipeline, {found['times_tuned']:.1f} times it tuned")
        share = found["gops"] / found["measured_gops"]
        print(
            f"  {found['gops']:.0f} billion int8 operations/s; the machine's rate on these products alone is "
            f"{found['measured_gops']:.0f} ({share:.0%})"
        )
        for name, used in found["start_up"].items():
            print(f"  start to answer, {name:<10}{used['seconds']:6.2f} s {used['peak_mb']:8.0f} MB")
        ours, theirs = found["start_up"]["rasd"], found["start_up"]["pipeline"]
        shares = [ours[k] / theirs[k] for k in ("seconds", "peak_mb")]
        print(f"  of the pipeline's time {shares[0]:.2f}, of its peak memory {shares[1]:.2f}")
        if "times_fast" in found:
            print(f"  the fast model is {found['times_fast']:.0f} times the pipeline on this checkpoint")
        if "times_cascade" in found:
            plain, tuned = found["times_cascade"]
            print(f"  the cascade is {plain:.1f} times the pipeline, {tuned:.1f} times it tuned")
    for name, value in result["tfidf"].items():
        print(f"tfidf, {name:<10}{value:10.0f} paragraphs/s")


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="a .jsonl or .jsonl.gz file with a field text")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--shapes", nargs="*", choices=("embedded", "arabert"), default=["embedded", "arabert"])
    parser.add_argument("--tfidf", type=Path, help="a model folder of kind tfidf")
    parser.add_argument("--fast", type=Path, help="a folder that rasd distill made")
    parser.add_argument("--cascade", type=Path, help="another, of kind cascade")
    parser.add_argument("--json", type=Path, help="where the figures go, else to standard output")
    parser.add_argument("--runs", type=int, default=3, help="processes for each start-up time")
    parser.add_argument("--rounds", type=int, default=3, help="times that all take their turn; medians are given")
    options = parser.parse_args()
    texts = read_texts(options.corpus, options.rows)
    torch.set_num_threads(usable_cores())
    result: dict[str, Any] = {
        "machine": machine(*_PACKAGES) | {"vnni": adds_int8_exactly()},
        "rows": len(texts),
        "encoders": {},
    }
    for shape in options.shapes:
        encoder = load_encoder("embedded") if shape == "embedded" else arabert_shape(texts)
        with tempfile.TemporaryDirectory() as work:
            result["encoders"][shape] = measure(encoder, texts, Path(work), options)
    result["tfidf"] = {}
    if options.tfidf:
        predictor, many = Predictor(options.tfidf), read_texts(options.corpus, 20 * options.rows)
        result["tfidf"] = {"first time": rate(predictor.predict, many), "warm": rate(predictor.predict, many)}
    print_table(result)
    give(result, options.json)


if __name__ == "__main__":
    main()
