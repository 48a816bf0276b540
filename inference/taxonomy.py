"""The watch list as the models know it: the topics, in a fixed order, and the three stances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inference.errors import InputError, nearest

FAVOR, AGAINST, NEUTRAL = "favor", "against", "neutral"
STANCES: tuple[str, ...] = (FAVOR, AGAINST, NEUTRAL)


@dataclass(frozen=True)
class Topic:
    """One topic of the watch list.

    Args:
        id: name in code and records, such as ``arms_deal``.
        name_ar: Arabic name, for people.
        name_en: English name, for people.
        target: Arabic phrase for what a stance is taken towards.
    """

    id: str
    name_ar: str
    name_en: str
    target: str


@dataclass(frozen=True)
class Taxonomy:
    """The topics in the order of the models' outputs."""

    topics: tuple[Topic, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The topics' ids, in order."""
        return tuple(topic.id for topic in self.topics)

    def __len__(self) -> int:
        return len(self.topics)

    def index(self, topic_id: str, *, where: str = "") -> int:
        """Give a topic's place in the order.

        Args:
            topic_id: the id.
            where: what to name in the error, such as ``gold.jsonl, line 3``.

        Raises:
            InputError: where the id is not on the watch list.
        """
        if topic_id in self.ids:
            return self.ids.index(topic_id)
        place = f"{where}: " if where else ""
        raise InputError(f"{place}unknown topic {topic_id!r}{nearest(topic_id, self.ids)}")

    def to_json(self) -> list[dict[str, str]]:
        """Give the taxonomy as the manifest stores it."""
        return [{"id": t.id, "name_ar": t.name_ar, "name_en": t.name_en, "target": t.target} for t in self.topics]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> Taxonomy:
        """Read what :meth:`to_json` wrote."""
        return cls(tuple(Topic(**{k: str(r[k]) for k in ("id", "name_ar", "name_en", "target")}) for r in rows))


def check_stance(stance: object, *, where: str = "") -> str:
    """Give the stance back where it is one of the three.

    Raises:
        InputError: where it is not.
    """
    if isinstance(stance, str) and stance in STANCES:
        return stance
    place = f"{where}: " if where else ""
    raise InputError(f"{place}unknown stance {stance!r}{nearest(str(stance), STANCES)}")
