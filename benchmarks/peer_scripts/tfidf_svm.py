"""TF-IDF and a linear SVM on the clean labels."""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.peer_scripts.exchange import STANCES, read_job, write_answers

job = read_job()
texts = [r["text"] for r in job.clean]
present = np.array([[int(t in r["topics"]) for t in job.topics] for r in job.clean])
letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))  # words alone find nothing in so few labels
topic_model = make_pipeline(letters, OneVsRestClassifier(LinearSVC(class_weight="balanced")))
topic_model.fit(texts, present)

pairs = [(f"{job.topics[t]} {r['text']}", STANCES.index(s)) for r in job.clean for t, s in r["topics"].items()]
stance_model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC(class_weight="balanced"))
stance_model.fit([text for text, _ in pairs], [stance for _, stance in pairs])

stance = [stance_model.predict([f"{target} {text}" for text in job.texts]) for target in job.topics.values()]
write_answers(job, topic_model.predict(job.texts), np.stack(stance, axis=1).tolist())
