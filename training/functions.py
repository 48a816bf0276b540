"""Which labelling functions a configuration asks for."""

from __future__ import annotations

from collections.abc import Iterable

from training.config import Config
from training.documents import document_functions
from training.embedding import Embed, Remembering
from training.exemplars import Readings, exemplar_functions, learn_from_examples
from training.labeling import Applier, LabelingFunction, Record, metadata_functions, python_functions
from training.semantic import semantic_functions
from training.topics import WatchList


def learn_readings(
    config: Config, watch_list: WatchList, records: Iterable[Record], *, embed: Embed
) -> Readings | None:
    """Learn from the corpus' examples what its semantic functions need; None where none are asked for.

    Args:
        config: says whether there are semantic functions, and whether metadata may be used.
        watch_list: which metadata there is.
        records: the corpus.
        embed: the embedding.
    """
    if not config.labels.semantic:
        return None
    functions = metadata_functions(watch_list) if config.labels.use_metadata else []
    return learn_from_examples(records, functions, watch_list.taxonomy, embed=embed)


def make_applier(
    config: Config,
    watch_list: WatchList,
    *,
    skip_broken: bool,
    readings: Readings | None = None,
    embed: Embed | None = None,
) -> Applier:
    """Give the applier that a configuration asks for.

    Args:
        config: which functions there are.
        watch_list: the lexical and metadata ones.
        skip_broken: leave out a function that raises.
        readings: from :func:`learn_readings`; topics that it lacks go by their prototypes.
        embed: the embedding that it had; where None, the embedded encoder's.
    """
    semantic = _semantic(watch_list, readings, embed or Remembering()) if config.labels.semantic else []
    document = document_functions(watch_list.taxonomy) if config.labels.document else []
    return Applier(
        watch_list,
        use_metadata=config.labels.use_metadata,
        extra=[*python_functions(config.labels.functions), *semantic, *document],
        skip_broken=skip_broken or config.labels.skip_broken,
    )


def _semantic(watch_list: WatchList, readings: Readings | None, embed: Embed) -> list[LabelingFunction]:
    learned = exemplar_functions(readings, embed=embed) if readings else []
    rest = set(watch_list.taxonomy.ids) - {f.topic for f in learned}
    return [*learned, *(semantic_functions(watch_list, topics=rest) if rest else [])]
