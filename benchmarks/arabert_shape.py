"""A checkpoint of AraBERT's exact layout and size goes through training, export and prediction.

    python benchmarks/arabert_shape.py [--rows 128] [--epochs 1] [--layers 12] [--folder FOLDER] [--json FILE]

The weights are random, so nothing is said of quality; with --folder a real one is taken (a download of
aubmindlab/bert-base-arabertv02). Reports fine-tuning throughput, export and prediction speed, and peak memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from transformers import BertConfig, BertModel

from benchmarks.machine import give, in_a_line, machine
from inference.calibration import Calibration
from inference.gold import read_gold
from inference.lexicon import Matcher
from inference.predictor import Predictor
from training.batches import build_dataset, use_bf16
from training.config import load_config
from training.encoders import load_encoder
from training.export import export_encoder
from training.finetune import finetune
from training.topics import load_watch_list
from training.weak import WeakLabels

VOCABULARY = 64_000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[رابط]", "[بريد]", "[مستخدم]"]
LETTERS = 'ابتثجحخدذرزسشصضطظعغفقكلمنهويىءآأؤإئةپچژگ0123456789.,،؛؟!«»"():-+%/[]abcdefghijklmnopqrstuvwxyz'


def vocabulary(texts: list[str]) -> list[str]:
    """Give 64,000 pieces: letters, words of the texts, and made-up fillers."""
    words = sorted({w for t in texts for w in t.split() if "#" not in w})
    pieces = list(dict.fromkeys([*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS), *words]))[:VOCABULARY]
    return [*pieces, *(f"[unused{i}]" for i in range(VOCABULARY - len(pieces)))]


def make_checkpoint(folder: Path, texts: list[str], *, layers: int, safetensors: bool = True) -> Path:
    """Write config.json, vocab.txt, tokenizer_config.json and the weights, as AraBERT's repository has them."""
    folder.mkdir(parents=True)
    config = BertConfig(vocab_size=VOCABULARY, num_hidden_layers=layers, max_position_embeddings=512)
    torch.manual_seed(0)
    model = BertModel(config)
    if safetensors:
        model.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(vocabulary(texts)) + "\n", "utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--folder", help="a real checkpoint instead of random weights")
    parser.add_argument("--older", action="store_true", help="weights as pytorch_model.bin")
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    config = load_config("configs/arabert.yaml", [f"training.epochs={options.epochs}", *options.set])
    watch_list = load_watch_list(config.topics)
    texts = [r.text for r in read_gold(config.corpus.gold, watch_list.taxonomy)]
    texts = (texts * (options.rows // len(texts) + 1))[: options.rows]
    found: dict[str, Any] = {
        "machine": machine("torch", "transformers", "onnxruntime"),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "bf16": use_bf16(config.training.precision),
    }
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = options.folder or make_checkpoint(
            place / "bert-base-arabertv02", texts, layers=options.layers, safetensors=not options.older
        )
        encoder = load_encoder(str(folder))
        found["parameters_m"] = sum(p.numel() for p in encoder.model.parameters()) / 1e6
        rng = np.random.default_rng(0)
        count = len(watch_list.taxonomy)
        labels = WeakLabels(rng.uniform(size=(len(texts), count)), rng.dirichlet([1, 1, 1], size=(len(texts), count)))
        data = build_dataset(encoder, texts, Matcher(watch_list.functions), weak=labels, max_tokens=256)
        found["tokens_a_text"] = float(np.mean(data["length"][:]))
        (place / "work").mkdir()
        started = time.perf_counter()
        tuned = finetune(
            encoder, data, data.select(range(min(16, len(data)))), labels=labels, config=config, work=place / "work"
        )
        found["finetuning_s"] = time.perf_counter() - started
        found["steps_texts_a_second"] = next(
            float(h["train_samples_per_second"]) for h in reversed(tuned.history) if "train_samples_per_second" in h
        )
        if torch.cuda.is_available():
            found["gpu_peak_gb"] = torch.cuda.max_memory_allocated() / 2**30
        started = time.perf_counter()
        target = export_encoder(
            place / "encoder",
            tuned.model.cpu(),
            encoder,
            functions=watch_list.functions,
            taxonomy=watch_list.taxonomy,
            calibration=Calibration.identity(count),
            max_tokens=256,
            training={},
            data_sha256="",
        )
        found["export_s"] = time.perf_counter() - started
        found["model_folder_mb"] = sum(p.stat().st_size for p in target.iterdir()) / 1e6
        predictor = Predictor(target)
        started = time.perf_counter()
        predictor.predict(texts[:64])
        found["predicted_a_second"] = len(texts[:64]) / (time.perf_counter() - started)
    found["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(in_a_line(found["machine"]))
    for key, value in itertools.islice(found.items(), 1, None):
        print(f"{key:<24}{value:.2f}" if isinstance(value, float) else f"{key:<24}{value}")
    give(found, options.json)


if __name__ == "__main__":
    main()
