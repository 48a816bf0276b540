"""Train: corpus, labelling functions, label model, TF-IDF, encoder, evaluation, registry."""
