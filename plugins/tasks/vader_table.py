"""The rated sentences of VADER as one table, and how it is made of the published package.

    python -m stillhouse.plugins.tasks.vader_table SOURCE vader-sentences.tsv.gz

SOURCE is the package's source archive: `pip download --no-binary :all: --no-deps
vaderSentiment==3.3.2`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from stillhouse.core.errors import DataError

DOMAINS: Final = ("amazon", "movie", "nyt", "tweets")
SDIST_SHA256: Final = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_INNER: Final = "additional_resources/hutto_ICWSM_2014.tar.gz"
_MEMBERS: Final = {
    "amazon": "amazonReviewSnippets",
    "movie": "movieReviewSnippets",
    "nyt": "nytEditorialSnippets",
    "tweets": "tweets",
}


class Rated(NamedTuple):
    """A sentence, its mean rating over people, -4 to 4, and where it is from (`DOMAINS`)."""

    text: str
    rating: float
    domain: str


def rows(table: bytes) -> list[Rated]:
    """The sentences of a table as `packed` writes it."""
    lines = gzip.decompress(table).decode("utf-8").rstrip("\n").split("\n")
    return [_rated(line.split("\t")) for line in lines]


def packed(sentences: Iterable[Rated]) -> bytes:
    """Lines of domain, rating and text, tab-separated, compressed; the same bytes each time."""
    lines = (f"{one.domain}\t{one.rating:.2f}\t{one.text}\n" for one in sentences)
    return gzip.compress("".join(lines).encode("utf-8"), 9, mtime=0)


def published(sdist: bytes) -> Iterator[Rated]:
    """The sentences in the package's source archive.

    Raises `DataError` for an archive other than that of vaderSentiment 3.3.2.
    """
    found = hashlib.sha256(sdist).hexdigest()
    if found != SDIST_SHA256:
        raise DataError(
            f"expected the source archive of vaderSentiment 3.3.2 (sha256 {SDIST_SHA256}), "
            f"got sha256 {found}; download it from PyPI again"
        )
    inner = _member(sdist, _INNER)
    for domain in DOMAINS:
        truth = _member(inner, f"{_MEMBERS[domain]}_GroundTruth.txt").decode("utf-8")
        for line in truth.replace("\r", "").rstrip("\n").split("\n"):
            _, rating, text = line.split("\t")
            yield Rated(text.strip(), float(rating), domain)


def _rated(cells: Sequence[str]) -> Rated:
    domain, rating, text = cells
    return Rated(text, float(rating), domain)


def _member(archive: bytes, ending: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        name = next(name for name in tar.getnames() if name.endswith(ending))
        file = tar.extractfile(name)
        return file.read() if file else b""


def main(arguments: Sequence[str]) -> int:
    """Write the table and say its hash."""
    source, out = map(Path, arguments)
    table = packed(published(source.read_bytes()))
    out.write_bytes(table)
    print(hashlib.sha256(table).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
