"""Snorkel and a stock Trainer: labelling functions, a LabelModel per topic and per stance, a multi-label classifier.

The functions are the watch list's own: each a Snorkel labelling function that asks Rasd's matcher for that one rule.
"""

from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]
import torch
from datasets import Dataset
from snorkel.labeling import LabelingFunction, PandasLFApplier  # type: ignore[import-not-found, import-untyped, unused-ignore]
from snorkel.labeling.model import LabelModel  # type: ignore[import-not-found, import-untyped, unused-ignore]
from snorkel.preprocess import preprocessor  # type: ignore[import-not-found, import-untyped, unused-ignore]
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from benchmarks.peer_scripts.exchange import STANCES, read_job, write_answers
from inference.lexicon import Matcher, tokenise
from training.labeling import Applier
from training.topics import load_watch_list

job = read_job()
watch_list = load_watch_list(job.watch_list)
rules = Applier(watch_list).functions
lexical = {f.name: f for f in watch_list.functions}


@preprocessor(memoize=True)  # type: ignore[untyped-decorator, unused-ignore]
def with_tokens(row: Any) -> Any:
    """Fold and split a row once for all functions."""
    row.tokens = tokenise(row.text)
    return row


def snorkel_function(rule: Any) -> LabelingFunction:
    """Wrap one rule: a lexical one asks the matcher, any other the record's fields."""
    if rule.name in lexical:
        match, vote = Matcher([lexical[rule.name]]).match, lexical[rule.name].vote_value
        return LabelingFunction(rule.name, f=lambda row: vote if match(row.tokens) else -1, pre=[with_tokens])
    names = STANCES if rule.is_stance else ("no", "yes")
    return LabelingFunction(
        rule.name, f=lambda row: names.index(said) if (said := rule.call(row.record)) is not None else -1
    )


frame = pd.DataFrame({"text": [r["text"] for r in job.train], "record": job.train})
votes = PandasLFApplier([snorkel_function(r) for r in rules]).apply(frame, progress_bar=False)
labels = []
for topic in job.topics:
    own = [j for j, r in enumerate(rules) if r.topic == topic and not r.is_stance]
    model = LabelModel(cardinality=2, verbose=False)
    model.fit(votes[:, own], seed=13, progress_bar=False)
    present = model.predict_proba(votes[:, own])[:, 1]
    own = [j for j, r in enumerate(rules) if r.topic == topic and r.is_stance]
    model = LabelModel(cardinality=3, verbose=False)
    model.fit(votes[present > 0.5][:, own], seed=13, progress_bar=False)
    labels += [present, *(present * model.predict_proba(votes[:, own]).T)]

tokenizer = AutoTokenizer.from_pretrained(job.encoder)


def tokenize(rows: dict[str, Any]) -> Any:
    """Give the tokens of a batch."""
    return tokenizer([f"query: {t}" for t in rows["text"]], truncation=True, max_length=256)


train = Dataset.from_dict({"text": list(frame.text), "labels": np.stack(labels, axis=1).astype(np.float32).tolist()})
classifier = AutoModelForSequenceClassification.from_pretrained(
    job.encoder, num_labels=len(labels), problem_type="multi_label_classification"
)
trainer = Trainer(
    model=classifier,
    args=TrainingArguments("trainer_output", num_train_epochs=job.effort, save_strategy="no", seed=13),
    train_dataset=train.map(tokenize, batched=True, remove_columns="text"),
    data_collator=DataCollatorWithPadding(tokenizer),
)
trainer.train()
test = Dataset.from_dict({"text": job.texts}).map(tokenize, batched=True, remove_columns="text")
logits = torch.tensor(trainer.predict(test).predictions).reshape(len(job.texts), len(job.topics), 4)
write_answers(job, (logits[:, :, 0] > 0).tolist(), logits[:, :, 1:].argmax(2).tolist())
