"""A tokenizer.json of a few words, made by the library that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "very", "not", "the")


@pytest.fixture
def word_tokeniser(tmp_path: Path) -> Path:
    """Whole words in lower case between [CLS] and [SEP]; the padding is 0."""
    tokenizers = pytest.importorskip("tokenizers")
    known = {word: number for number, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token=WORDS[1]))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path
