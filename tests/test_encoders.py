"""Loading encoders: AraBERT's checkpoint layout, the embedded file format, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from inference.cli import main
from inference.errors import EncoderUnavailableError
from tests import tiny
from training.embedded import load_embedded
from training.encoders import load_encoder


@pytest.mark.parametrize("safetensors", [True, False], ids=["safetensors", "older .bin"])
def test_a_checkpoint_in_araberts_layout_loads(tmp_path: Path, safetensors: bool) -> None:
    encoder = load_encoder(str(tiny.bert_folder(tmp_path / "bert-base-arabertv02", safetensors=safetensors)))
    ids = torch.tensor([encoder.tokenizer.encode(tiny.ARMS).ids])
    with torch.no_grad():
        assert encoder.model(ids).last_hidden_state.shape == (1, ids.shape[1], 32)
    assert encoder.base.endswith("(folder bert-base-arabertv02)")


def test_both_layouts_hold_the_same_weights(tmp_path: Path) -> None:
    new = load_encoder(str(tiny.bert_folder(tmp_path / "a"))).model.state_dict()
    old = load_encoder(str(tiny.bert_folder(tmp_path / "b", safetensors=False))).model.state_dict()
    assert new.keys() == old.keys()
    assert all(torch.equal(new[k], old[k]) for k in new)


def test_no_arabic_letter_is_unknown_and_the_hamza_stays(tmp_path: Path) -> None:
    tokenizer = load_encoder(str(tiny.bert_folder(tmp_path / "bert"))).tokenizer
    tokens = tokenizer.encode("أحمد إلى آمن مؤمن رئيس ماء مدرسة مستشفى", add_special_tokens=False).tokens
    assert "[UNK]" not in tokens
    assert "أ" in "".join(tokens)


def test_a_tokenizer_that_strips_the_hamza_is_refused(tmp_path: Path) -> None:
    folder = tiny.bert_folder(tmp_path / "bert")
    text = (folder / "tokenizer.json").read_text("utf-8")
    (folder / "tokenizer.json").write_text(
        text.replace('"lowercase": false', '"lowercase": true').replace(
            '"strip_accents": false', '"strip_accents": true'
        ),
        "utf-8",
    )
    with pytest.raises(EncoderUnavailableError, match="do_lower_case"):
        load_encoder(str(folder))


def test_a_vocabulary_without_an_arabic_letter_is_refused(tmp_path: Path) -> None:
    folder = tiny.bert_folder(tmp_path / "bert")
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["[unused]"] = vocabulary.pop("ض")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")
    with pytest.raises(EncoderUnavailableError, match="does not know ض"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("name", "text"), [("bert-base-arabertv02", "arabert"), ("bert-base-arabertv02-twitter", "arabert"), ("x", "clean")]
)
def test_only_arabert_v02_reads_text_as_araberts_preprocessing_gives_it(tmp_path: Path, name: str, text: str) -> None:
    assert load_encoder(str(tiny.bert_folder(tmp_path / name))).text == text


@pytest.mark.parametrize("name", ["bert-base-arabertv2", "bert-base-arabert", "bert-large-arabertv2"])
def test_an_arabert_that_wants_segmented_words_is_refused_and_its_sister_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(EncoderUnavailableError, match=r"--set encoder\.name=arabert"):
        load_encoder(str(tiny.bert_folder(tmp_path / name)))


def test_the_list_of_encoders_tells_size_licence_and_how_to_get_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--json"]) == 0
    rows = {r["name"]: r for r in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"embedded", "arabert", "arabert-twitter", "camelbert-msa", "marbertv2"}
    assert rows["embedded"]["available"] is True
    assert rows["embedded"]["how_to_get"] == ""
    assert rows["marbertv2"]["how_to_get"] == "hf download UBC-NLP/MARBERTv2 --local-dir MARBERTv2"
    assert all(r["megabytes"] > 0 and r["licence"] for r in rows.values())
    assert main(["encoders"]) == 0
    assert "hf download aubmindlab/bert-base-arabertv02 --local-dir bert-base-arabertv02\n" in capsys.readouterr().out


def test_an_encoder_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(EncoderUnavailableError, match="hf download aubmindlab/bert-base-arabertv02"):
        load_encoder("arabert")


def test_the_embedded_encoder_knows_near_from_far() -> None:
    model, tokenizer = load_embedded()

    def vector(text: str) -> torch.Tensor:
        ids = torch.tensor([tokenizer.encode("query: " + text).ids])
        with torch.no_grad():
            mean = model(ids).last_hidden_state[0].mean(0)
        return mean / mean.norm()

    talks, truce, sport = (
        vector("محادثات السلام في جنيف"),
        vector("مفاوضات وقف إطلاق النار"),
        vector("فاز الهلال بالدوري"),
    )
    assert talks @ truce > talks @ sport + 0.03


def test_the_embedded_tokenizer_knows_every_arabic_letter() -> None:
    _, tokenizer = load_embedded()
    assert 3 not in tokenizer.encode("أحمد إلى آمن مؤمن رئيس ماء مدرسة مستشفى گچپژ ٢٠١٥", add_special_tokens=False).ids


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e5-small-q4.bin"
    path.write_bytes(b"nothing of the kind" * 10)
    with pytest.raises(EncoderUnavailableError, match="not an E5S1 file"):
        load_embedded(path)
