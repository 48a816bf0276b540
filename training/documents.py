"""Document-level votes: what the rest of an article says of a paragraph's topics.

A paragraph of an article whose other paragraphs are about a topic is more often about it than one that stands alone,
and one whose neighbours never touch the topic less often. What that is worth differs from paper to paper, so it is one
more vote, whose accuracy the label model learns like any other's. It is off by default (``labels.document``): on the
short articles of the seeds it moves topic macro-F1 by a thousandth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from inference.lexicon import ABSTAIN
from inference.taxonomy import Taxonomy
from training.labeling import LabelingFunction

VoteArray = npt.NDArray[np.int8]
KIND = "document"
_YES_SHARE = 0.5
_LEAST_SILENT = 2
_ACCURACY = 0.7


def document_functions(taxonomy: Taxonomy) -> list[LabelingFunction]:
    """Make one function, ``TOPIC.article``, of each topic; :func:`document_votes` gives its votes."""
    return [
        LabelingFunction(f"{t}.article", t, KIND, False, (0, 1), _ACCURACY, call_all=partial(document_votes, topic=t))
        for t in taxonomy.ids
    ]


def document_votes(
    matrix: VoteArray, articles: Sequence[str], functions: Sequence[LabelingFunction], *, topic: str
) -> VoteArray:
    """Give each paragraph the vote of the rest of its article on a topic.

    Yes where at least half of the others speak of the topic, by the majority of their lexical votes; no where two
    others or more are there and none does; else, and where the article is not known, abstain.

    Args:
        matrix: shape ``(rows, functions)``; votes, of which the lexical ones count.
        articles: the rows' articles, ``""`` where not known.
        functions: what the columns are.
        topic: id of the topic.

    Returns:
        shape ``(rows,)``.
    """
    own = [j for j, f in enumerate(functions) if f.kind == "lexical" and f.topic == topic and not f.is_stance]
    speaks = ((matrix[:, own] == 1).sum(1) > (matrix[:, own] == 0).sum(1)).astype(np.int64)
    _, place = np.unique(np.asarray(articles, dtype=object).astype(str), return_inverse=True)
    others = np.bincount(place)[place] - 1
    speaking = np.bincount(place, weights=speaks)[place] - speaks
    votes = np.full(len(matrix), ABSTAIN, dtype=np.int8)
    votes[(others >= _LEAST_SILENT) & (speaking == 0)] = 0
    votes[(others >= 1) & (speaking >= np.maximum(1, _YES_SHARE * others))] = 1
    votes[[not a for a in articles]] = ABSTAIN
    return votes


def whole_articles(rows: Iterable[dict[str, str]], size: int, *, most: int) -> Iterator[list[dict[str, str]]]:
    """Cut a stream into batches without cutting an article whose paragraphs stand together.

    Args:
        rows: with ``article``.
        size: rows of a batch, from which on it ends with its article.
        most: rows at which it ends all the same.
    """
    batch: list[dict[str, str]] = []
    for row in rows:
        goes_on = bool(batch and row["article"] and row["article"] == batch[-1]["article"])
        if len(batch) >= size and (not goes_on or len(batch) >= most):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
