"""Small real things for tests: a tiny BERT with its tokenizer, a small corpus, a project folder to run in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ARABIC = "ابتثجحخدذرزسشصضطظعغفقكلمنهويىءآأؤإئةپچژگکی"

ARMS = "وقّعت وزارة الدفاع عقداً لشراء صواريخ ومدرعات من الشركة، ويبدأ تسليم الأسلحة في الربيع المقبل."
TALKS = "رحّب الوسيط باستئناف مفاوضات السلام بين الطرفين، ودعا إلى تثبيت وقف إطلاق النار فورا."
VISIT = "استقبل وزير الخارجية نظيره الفرنسي، وبحث معه العلاقات الثنائية بين البلدين."
SPORT = "فاز النادي في المباراة بهدفين، وقال المدرب إن اللاعبين قدموا شوطا ممتازا في الدوري."

DISTILLING = ["--config", "tiny.yaml", "--set", "distill.layers=1", "--set", "distill.epochs=2"]


def tokenizer(texts: list[str]) -> Tokenizer:
    """A WordPiece tokenizer of AraBERT's kind: cased, accents kept, every Arabic letter known."""
    words = sorted({w for t in texts for w in t.split()})
    pieces = [*SPECIAL, *ARABIC, *("##" + c for c in ARABIC), *'0123456789.,،؛؟!«»"():-', *words]
    vocabulary = {p: i for i, p in enumerate(dict.fromkeys(pieces))}
    built = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return built


def bert_folder(folder: Path, *, safetensors: bool = True, hidden: int = 32) -> Path:
    """A checkpoint in AraBERT's layout: config.json, vocab.txt, tokenizer files, weights."""
    built = tokenizer([ARMS, TALKS, VISIT, SPORT])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=built.get_vocab_size(),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=128,
    )
    model = BertModel(config)
    folder.mkdir(parents=True, exist_ok=True)
    if safetensors:
        model.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    by_id = sorted(built.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(t for t, _ in by_id) + "\n", "utf-8")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=built, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    wrapped.save_pretrained(folder)
    return folder


def corpus(rows: int = 48) -> list[dict[str, object]]:
    """Paragraphs of four plain kinds, with briefs; numbers keep them from being duplicates."""
    kinds = [
        (ARMS, {"arms_deal": "neutral"}),
        (TALKS, {"peace_talks": "favor"}),
        (VISIT, {"diplomacy": "neutral"}),
        (SPORT, {}),
    ]
    cities = [
        "صنعاء",
        "بغداد",
        "طرابلس",
        "الخرطوم",
        "دمشق",
        "بيروت",
        "تونس",
        "عمّان",
        "مسقط",
        "الدوحة",
        "الرباط",
        "نواكشوط",
    ]
    result = []
    for i in range(rows):
        text, brief = kinds[i % len(kinds)]
        city, other = cities[i // 4 % len(cities)], cities[(i // 4 + 5) % len(cities)]
        full = (
            f"{city} - مراسلنا في {other}: {text} وجاء ذلك في اليوم {i} من الشهر وفق ما نقلته صحيفة {other} عن {city}."
        )
        result.append({"id": f"t{i}", "text": full, "article": f"a{i // 4}", "brief": brief})
    return result


def project(folder: Path, rows: int = 48) -> Path:
    """A project folder with the shipped watch list, a small corpus, gold and a tiny encoder."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "seeds" / "paragraphs").mkdir(parents=True)
    lines = [json.dumps(r, ensure_ascii=False) for r in corpus(rows)]
    (folder / "seeds" / "paragraphs" / "news.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    gold = [
        {
            "id": "g1",
            "text": "أبرمت الحكومة صفقة سلاح تشمل مقاتلات حديثة، وتتسلم الدفعة الأولى مطلع العام.",
            "topics": {"arms_deal": "neutral"},
        },
        {
            "id": "g2",
            "text": "أعلن الوسطاء انطلاق جولة جديدة من محادثات السلام ووقف إطلاق النار.",
            "topics": {"peace_talks": "neutral"},
        },
        {
            "id": "g3",
            "text": "وصل الرئيس التركي إلى الجزائر في زيارة رسمية يبحث فيها العلاقات الثنائية.",
            "topics": {"diplomacy": "neutral"},
        },
        {"id": "g4", "text": "هطلت أمطار غزيرة على المدينة، وأغلقت المدارس أبوابها أمام الطلاب.", "topics": {}},
    ]
    (folder / "seeds" / "gold.jsonl").write_text(
        "\n".join(json.dumps(g, ensure_ascii=False) for g in gold) + "\n", "utf-8"
    )
    bert_folder(folder / "tiny-bert")
    (folder / "tiny.yaml").write_text(
        "corpus: {sources: [seeds/paragraphs]}\n"
        "encoder: {name: tiny-bert, max_tokens: 48}\n"
        "training: {epochs: 3, batch_size: 8, freeze_layers: 1, precision: bf16, checkpoint_minutes: 0}\n",
        "utf-8",
    )
    return folder
