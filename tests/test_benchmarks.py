"""The benchmark scripts: each explains itself, and what they compute of their figures is right."""

from __future__ import annotations

import csv
import importlib
import json
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from benchmarks import learning_curve, mending, peer_runs, perturbations, processes, public_data, robustness, scaling
from benchmarks.machine import in_a_line, machine
from benchmarks.perturbations import PERTURBATIONS, perturb
from benchmarks.public_data import Pair
from inference.errors import InputError
from inference.text import clean, clean_view, fold
from tests import tiny
from tests.test_mending import mender

SCRIPTS = [
    "finetune_speed",
    "label_models",
    "labelling",
    "learning_curve",
    "mending",
    "peers",
    "predict",
    "public",
    "robustness",
    "scaling",
    "scaling_parts",
    "seed_diversity",
    "seed_spread",
]
TEXT = "وقّعت وزارة الدفاع عقداً لشراء 12 صاروخاً و١٥ مدرعة إلى المسؤولين، بلا شكوى."


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_how_it_is_used(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_a_script_that_is_imported_sets_nothing_for_the_process_or_its_children():
    imports = "; ".join(f"import benchmarks.{name}" for name in ("label_models", "labelling"))
    code = f"import os; before = dict(os.environ); {imports}; print(before == dict(os.environ))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tiny.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_the_machine_is_named_with_the_versions_that_are_installed():
    found = machine("numpy", "no-such-package")
    assert found["packages"] == {"numpy": np.__version__}
    assert found["cores"] >= 1
    assert in_a_line(found).endswith(f"numpy {np.__version__}")


def test_two_golds_of_one_file_name_are_told_apart():
    golds = ["seeds/gold.jsonl", "other/gold.jsonl", "news/dev.jsonl"]
    assert list(learning_curve.names_of(golds).values()) == ["seeds/gold.jsonl", "other/gold.jsonl", "dev.jsonl"]


# Perturbations


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_is_the_same_for_the_same_seed_and_place(name):
    long = TEXT * 20
    assert perturb(name, [long, long], seed=1) == perturb(name, [long, long], seed=1)
    assert perturb(name, [long], seed=1)[0] != long


@pytest.mark.parametrize("name", ["diacritics added", "tatweel", "presentation forms", "digits swapped"])
def test_marks_shapes_and_digits_are_gone_from_the_clean_view(name):
    assert clean(perturb(name, [TEXT], seed=3)[0]) == clean(TEXT)


def test_persian_letters_are_gone_from_the_folded_view():
    assert fold(perturb("Persian letters", [TEXT], seed=0)[0]) == fold(TEXT)


def test_presentation_forms_are_those_of_the_letters_places():
    assert perturbations.presentation_forms("سلاح", random.Random(0)) == "\ufeb3\ufefc\ufea1"
    assert unicodedata.normalize("NFKC", perturbations.presentation_forms(TEXT, random.Random(0))) == TEXT


def test_hamza_is_dropped_from_every_carrier():
    assert perturbations.drop_hamza("أإآ ؤ ئ ماء", random.Random(0)) == "ااا و ي ما"


def test_finals_change_at_the_end_of_words_only():
    assert perturbations.plain_finals("مدرعة إلى، مدرعتان", random.Random(0)) == "مدرعه إلي، مدرعتان"


def test_a_swapped_digit_keeps_its_value_and_changes_its_script():
    swapped = perturbations.swap_digits("0123456789", random.Random(0))
    assert [unicodedata.digit(c) for c in swapped] == list(range(10))
    assert not set(swapped) & set("0123456789")


def test_scanner_noise_stays_within_a_skeleton_and_a_few_per_cent():
    text = "بحث " * 2000
    noisy = perturbations.scanner_noise(text, random.Random(0))
    letters = noisy.replace(" ", "")
    assert set(letters) <= set("بتثنيجحخ")
    wrong = np.mean([a != b for a, b in zip(letters, "بحث" * 2000, strict=True)])
    assert 0.01 < wrong < 0.03


def test_a_fall_is_what_the_plain_text_had_more():
    plain = {"topics": 0.8, "stance": 0.6, "joint": 0.5}
    mean = robustness.mean_scores([{"topics": 0.7, "stance": 0.6, "joint": 0.6}, plain])
    assert robustness.falls(plain, mean) == pytest.approx({"topics": 0.05, "stance": 0.0, "joint": -0.05})


def test_mended_words_are_counted_by_what_they_were():
    views = [clean_view("المفاوضات الوزارة " * 300)]
    found = mending.measure(mender(), views, seed=1)
    assert found["misread"] > 20
    assert 0.5 < found["repaired"] <= 1 - found["wrong"]
    assert found["changed_in_1000"] == 0


# Peers


def test_lines_of_a_script_are_counted_without_blanks_comments_and_docstrings(tmp_path):
    script = tmp_path / "script.py"
    script.write_text('"""Two\nlines."""\n\nx = 1  # a remark\n\n# a comment\ndef f():\n    """Doc."""\n    return x\n')
    assert peer_runs.code_lines(script) == 3


def test_every_peer_is_a_script_that_python_can_read():
    for peer in peer_runs.PEERS:
        assert peer_runs.code_lines(peer_runs.FOLDER / f"{peer.script}.py") > 5


def test_a_process_is_measured_by_itself(tmp_path):
    grown = processes.run([sys.executable, "-c", "x = bytearray(150_000_000); print('done')"], work=tmp_path)
    small = processes.run([sys.executable, "-c", "import sys; sys.exit(3)"], work=tmp_path)
    assert (grown.code, small.code) == (0, 3)
    assert grown.peak_mb - small.peak_mb > 100
    assert "done" in grown.log


def test_a_failed_process_gives_its_reason(tmp_path):
    failed = processes.run([sys.executable, "-c", "raise ValueError('no encoder')"], work=tmp_path)
    assert failed.reason == "ValueError: no encoder"
    assert (
        processes.Used(
            1,
            1,
            1,
            -9,
            "",
        ).reason
        == "exit code -9"
    )


# Scaling


def test_a_slope_is_the_exponent_of_growth():
    assert scaling.slope([10, 100, 1000], [3, 30, 300]) == pytest.approx(1.0)
    assert scaling.slope([10, 100, 1000], [5, 5, 5]) == pytest.approx(0.0)
    assert scaling.slope([10, 20], [1, 4]) == pytest.approx(2.0)
    assert scaling.slope([10, 10], [1, 2]) is None


def test_sizes_are_cut_to_the_corpus_and_named_once():
    assert scaling.sizes_in(1500, 100, [1, 10, 100, 1000]) == [100, 1000, 1500]


# Public stance data


def test_hashtags_stay_as_words_or_go():
    tweet = "قرار #نرفض_القرار @someone https://t.co/x سيئ"
    assert public_data.tweet_text(tweet, hashtags=True) == "قرار نرفض القرار سيئ"
    assert public_data.tweet_text(tweet, hashtags=False) == "قرار سيئ"


def test_held_out_rows_keep_the_shares_of_labels_and_are_no_longer_in_train():
    rows = [Pair("t", str(i), int(i % 4 == 0)) for i in range(400)]
    train, dev = public_data.hold_out(rows, 0.1)
    assert sum(r.label for r in dev) == 10
    assert sorted(r.text for r in (*train, *dev)) == sorted(r.text for r in rows)


def _stancex(folder: Path) -> Path:
    tweets = {"Favor": tiny.TALKS, "Against": tiny.ARMS, "None": tiny.SPORT}
    for split, count in (("train", 60), ("test", 9)):
        target = folder / split / "economy" / "Neom.json"
        target.parent.mkdir(parents=True)
        labels = [list(tweets)[i % 3] for i in range(count)]
        data = {
            "text": {str(i): f"{tweets[s]} {i}" for i, s in enumerate(labels)},
            "stance": dict(zip(map(str, range(count)), labels, strict=True)),
        }
        target.write_text(json.dumps(data), "utf-8")
    return folder


def test_arabicstancex_is_read_with_its_official_split(tmp_path):
    task = public_data.read_stancex(str(_stancex(tmp_path)), hashtags=True)
    assert (len(task.train), len(task.dev), len(task.test)) == (54, 6, 9)
    assert task.test[1].target == "مشروع نيوم"
    assert task.labels[task.test[1].label] == "Against"


def test_ans_is_read_with_its_three_splits_and_unknown_stances_are_refused(tmp_path):
    for split, stance in (("train", "agree"), ("dev", "disagree"), ("test", "other")):
        with (tmp_path / f"{split}.csv").open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([["s1", "s2", "stance"], ["أ، ب", "ج", stance]])
    task = public_data.read_ans(str(tmp_path))
    assert [part[0].label for part in (task.train, task.dev, task.test)] == [0, 1, 2]
    assert task.train[0].target == "أ، ب"
    (tmp_path / "dev.csv").write_text("s1,s2,stance\nx,y,maybe\n", "utf-8")
    with pytest.raises(InputError, match="maybe"):
        public_data.read_ans(str(tmp_path))


def test_public_benchmark_fine_tunes_by_rasds_own_training_and_scores_beside_tfidf(tmp_path, capsys):
    from benchmarks import public

    encoder = tiny.bert_folder(tmp_path / "encoder")
    answer = tmp_path / "figures.json"
    options = ["--stancex", str(_stancex(tmp_path / "data")), "--hashtags", "kept", "--encoder", str(encoder)]
    public.main([*options, "--epochs", "1", "--json", str(answer)])
    models = json.loads(answer.read_text("utf-8"))["tasks"]["ArabicStanceX, hashtags kept"]["models"]
    assert list(models)[:2] == ["TF-IDF + LinearSVC", "TF-IDF, Rasd's"]
    assert models["TF-IDF, Rasd's"]["macro"] == 1.0
    assert any(name.startswith("encoder: ") and 0 <= row["macro"] <= 1 for name, row in models.items())
    assert "published: MARBERTv2" in capsys.readouterr().out


def test_scores_of_public_data_are_those_worked_out_by_hand():
    from benchmarks.public import score

    rows = [Pair("t", "", label, group) for label, group in ((0, "a"), (0, "a"), (1, "b"), (2, "b"))]
    found = score(rows, np.array([0, 1, 1, 1]), 3)
    # favor: precision 1, recall 1/2; against: precision 1/3, recall 1; none: never said.
    assert found["per_label"] == pytest.approx([2 / 3, 1 / 2, 0])
    assert found["two"] == pytest.approx(7 / 12)
    assert found["macro"] == pytest.approx(7 / 18)
    assert found["accuracy"] == 0.5


def test_rare_labels_weigh_more_and_the_mean_weight_is_one():
    from benchmarks.public_encoder import soft_labels

    rows = [Pair("t", "", label) for label in (0, 0, 0, 1)]
    weights = soft_labels(rows, 2, rare=1.0).stance.sum((1, 2))
    assert weights[3] == pytest.approx(3 * weights[0])
    assert weights.mean() == pytest.approx(1.0)
