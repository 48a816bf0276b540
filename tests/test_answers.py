"""What an answer says beside its topics: that it would rather not, and in which language it was asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference import Predictor
from inference.calibration import Calibration
from inference.folder import MANIFEST, SEAL, read_manifest, write_folder
from tests import serving, tiny


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.weak_folder(tmp_path_factory.mktemp("models") / "weak")


def with_calibration(folder: Path, target: Path, calibration: Calibration) -> Predictor:
    def fill(new: Path) -> None:
        for path in folder.iterdir():
            if path.name not in (MANIFEST, SEAL):
                (new / path.name).write_bytes(path.read_bytes())

    return Predictor(write_folder(target, replace(read_manifest(folder), calibration=calibration), fill))


@pytest.mark.parametrize(
    ("off", "abstained"), [(0.01, True), (0.04, True), (-0.04, True), (0.06, False), (-0.06, False)]
)
def test_it_abstains_within_the_margin_of_the_threshold(
    weak: Path, tmp_path: Path, off: float, abstained: bool
) -> None:
    # So flat a scale that every probability is near one half.
    flat = replace(Calibration.identity(serving.TOPICS), topic_scale=np.full(serving.TOPICS, 1e-3), abstain_margin=0.05)
    certain = with_calibration(weak, tmp_path / "a", flat).predict(tiny.ARMS).topics["arms_deal"].probability
    threshold = np.full(serving.TOPICS, certain - off)
    found = with_calibration(weak, tmp_path / "b", replace(flat, thresholds=threshold)).predict(tiny.ARMS)
    topic = found.topics["arms_deal"]
    assert topic.abstained is abstained
    assert topic.present is (off >= 0), "to abstain is said beside the decision and does not take its place"
    assert found.to_json()["topics"]["arms_deal"]["abstained"] is abstained


def test_without_a_margin_it_never_abstains(weak: Path, tmp_path: Path) -> None:
    sure = with_calibration(weak, tmp_path / "a", replace(Calibration.identity(serving.TOPICS), abstain_margin=0.0))
    answers = sure.predict([tiny.ARMS, tiny.TALKS, tiny.SPORT])
    assert not any(t.abstained for p in answers for t in p.topics.values())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (tiny.ARMS, "ar"),
        ("ﻣﺠﻠﺲ ﺍﻷﻣﻦ", "ar"),
        (f"NATO: {tiny.ARMS}", "ar"),
        ("The ministry signed a contract for missiles.", "other"),
        ("Министр подписал договор في موسكو о поставках ракет и танков", "other"),
        ("12345 !!", "none"),
        ("", "none"),
    ],
)
def test_the_language_is_told(weak: Path, text: str, language: str) -> None:
    prediction = Predictor(weak).predict(text)
    assert prediction.language == language
    assert prediction.to_json()["language"] == language
    assert any("hardly any Arabic" in note for note in prediction.notes) is (language == "other")
