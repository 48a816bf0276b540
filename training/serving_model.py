"""The registered model as MLflow loads it (models from code): a thin cover over the one predict function."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel

from inference.predictor import Predictor


class RasdModel(PythonModel):
    """Serves the model folder that lies among the artifacts."""

    def load_context(self, context: Any) -> None:
        """Load the model folder."""
        self._predictor = Predictor(context.artifacts["model"])

    def predict(self, model_input: list[str]) -> list[dict[str, Any]]:
        """Give one prediction record of the contract per text."""
        return [p.to_json() for p in self._predictor.predict(list(model_input))]


mlflow.models.set_model(RasdModel())
