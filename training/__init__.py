"""Train: corpus, labelling functions, label model, TF-IDF, encoder, evaluation, registry."""

import os

# MLflow reads both when it is imported: it would send usage data to its makers, and break the progress bars.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
