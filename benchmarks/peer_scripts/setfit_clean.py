"""SetFit on the clean labels: contrastive pairs, then a linear head; one model for topics and one for stance."""

import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found, import-untyped, unused-ignore]
from setfit import SetFitModel, Trainer, TrainingArguments  # type: ignore[import-not-found, import-untyped, unused-ignore]

from benchmarks.peer_scripts.exchange import STANCES, read_job, write_answers

job = read_job()
arguments = TrainingArguments(batch_size=16, num_epochs=1, num_iterations=max(1, round(job.effort)), seed=13)


def fit(texts: list[str], labels: list[list[int]] | list[int], strategy: str | None) -> SetFitModel:
    """Fit one SetFit model."""
    body = SentenceTransformer(job.encoder)
    body.max_seq_length = 256
    model = SetFitModel.from_pretrained(job.encoder, multi_target_strategy=strategy)
    model.model_body = body
    data = Dataset.from_dict({"text": [f"query: {t}" for t in texts], "label": labels})
    Trainer(model=model, args=arguments, train_dataset=data).train()
    return model


present = [[int(t in r["topics"]) for t in job.topics] for r in job.clean]
topics = fit([r["text"] for r in job.clean], present, "one-vs-rest")
pairs = [(f"{job.topics[t]}: {r['text']}", STANCES.index(s)) for r in job.clean for t, s in r["topics"].items()]
stances = fit([text for text, _ in pairs], [stance for _, stance in pairs], None)

found = np.asarray(topics.predict([f"query: {t}" for t in job.texts], show_progress_bar=False))
asked = [[f"query: {target}: {text}" for text in job.texts] for target in job.topics.values()]
stance = [np.asarray(stances.predict(texts, show_progress_bar=False)) for texts in asked]
write_answers(job, found.tolist(), np.stack(stance, axis=1).tolist())
