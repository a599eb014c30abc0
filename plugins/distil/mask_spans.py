"""Masked spans: the student learns from what it is not shown."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from stillhouse.core.distill.masking import Masking, masking_point
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, State


@final
class MaskSpans(Method):
    """Hides spans of positions from a student that trains (LightHuBERT, arXiv:2203.15610).

    A learned vector stands in their place after the front end. Teachers see everything, and so
    does the student outside training.
    """

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Raises UserError where the model family names no place to hide positions."""
        masking_point(context.family, context.full)
        return replace(state, masking=Masking(choice.params.share, choice.params.length))
