"""Predict the topics and stances of Arabic news paragraphs from a model folder."""

from inference.errors import RasdError
from inference.predictor import Predictor, load, predict, predict_article
from inference.results import ArticlePrediction, Evidence, Paragraph, Prediction, Stance, TopicPrediction

__all__ = [
    "ArticlePrediction",
    "Evidence",
    "Paragraph",
    "Prediction",
    "Predictor",
    "RasdError",
    "Stance",
    "TopicPrediction",
    "load",
    "predict",
    "predict_article",
]
