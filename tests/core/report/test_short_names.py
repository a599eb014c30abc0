from __future__ import annotations

from stillhouse.core.report.short_names import short_names, shortened


def test_names_that_fit_stay_as_they_are() -> None:
    assert short_names(["resnet-8", "resnet-14"], 9) == {
        "resnet-8": "resnet-8",
        "resnet-14": "resnet-14",
    }


def test_long_names_lose_the_words_they_share_and_stay_different() -> None:
    names = [f"transformer-of-the-supernet-at-width-{width}" for width in (96, 9, 16)]
    assert list(short_names(names, 20).values()) == ["…96", "…9", "…16"]


def test_a_name_that_is_the_start_of_another_is_not_lost() -> None:
    found = short_names(["assistant-from-the-supernet", "assistant-from-the-supernet-again"], 12)
    assert list(found.values()) == ["…supernet", "…super…again"]


def test_one_long_name_loses_its_middle_and_keeps_both_ends() -> None:
    assert shortened("a-very-long-name-of-an-assistant", 11) == "a-very…tant"
    assert short_names(["x" * 40], 11) == {"x" * 40: "xxxxxx…xxxx"}
