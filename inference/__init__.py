"""Predict the topics and stances of Arabic news paragraphs from a model folder."""

from inference.errors import RasdError
from inference.predictor import Predictor, load, predict
from inference.results import Evidence, Prediction, Stance, TopicPrediction

__all__ = ["Evidence", "Prediction", "Predictor", "RasdError", "Stance", "TopicPrediction", "load", "predict"]
