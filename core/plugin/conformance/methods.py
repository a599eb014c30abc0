"""What is expected of a method, each as a check of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Final, final

from stillhouse.core.errors import nearest
from stillhouse.core.plugin.capabilities import FULL_PRECISION, PLAIN_LAYERS
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.code import final_subclass
from stillhouse.core.plugin.records import MethodInfo

if TYPE_CHECKING:
    from stillhouse.core.evaluate import Method, State
    from stillhouse.core.plugin.conformance.trial import Trial

_TERMS: Final = "loss terms"
_STUDENT: Final = "student"


@final
class MethodChecks:
    """The checks of one method; they share one trial of it, made by the first that needs it."""

    def __init__(self, info: MethodInfo, setup: Setup, catalogue: Catalogue) -> None:
        self.info, self._setup, self._catalogue = info, setup, catalogue

    def each(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "speed claims", self.check_claims
        yield "code", self.check_code
        yield "capabilities", self.check_capabilities
        yield "determinism", self.check_determinism
        yield "global generators", self.check_generators
        yield "given state", self.check_state
        yield "skeleton", self.check_skeleton
        yield "sheet", self.check_sheet
        yield "rebuild", self.check_rebuild
        yield "unsupported model", self.check_unsupported
        yield "export", self.check_export

    @cached_property
    def trial(self) -> Trial:
        from stillhouse.core.plugin.conformance.trial import Trial

        return Trial(self.info.name, self._setup, self._catalogue)

    def check_claims(self) -> None:
        """Speed-ups are claimed on the targets where one was measured, and only there."""
        known = self._catalogue.names("target")
        for target in sorted(self.info.speeds_up | {one.target for one in self.info.measured}):
            if target not in known:
                unmet(
                    f"speeds_up and measured to name targets ({', '.join(known)})", f"'{target}'",
                    f"name the target that the gain was measured on{nearest(target, known)}",
                )  # fmt: skip
        for gain in self.info.measured:
            if not (0 < gain.low <= gain.speed_up <= gain.high and gain.size > 0):
                unmet(
                    "0 < low <= speed_up <= high and a size above 0 in measured", gain,
                    "give the times of the whole network over those of the changed one",
                )  # fmt: skip
        faster = {gain.target for gain in self.info.measured if gain.faster}
        if self.info.speeds_up != faster:
            unmet(
                f"speeds_up={sorted(faster)}, the targets that measured is surely faster on",
                f"speeds_up={sorted(self.info.speeds_up)}",
                "measure it (measured=(Gain(...),)), and claim what was measured: no more, no less",
            )  # fmt: skip

    def check_code(self) -> None:
        """A final subclass of `Method`, built without arguments, whose halves are declared."""
        from stillhouse.core.evaluate import Method

        kind = final_subclass(self._catalogue.resolve(self.info), Method)  # type: ignore[type-abstract]
        kind()
        prepares = kind.prepare is not Method.prepare
        if prepares != self.info.prepares:
            unmet(
                f"prepares={prepares}, since the class has {'a' if prepares else 'no'} prepare",
                f"prepares={self.info.prepares}", "correct the record: the engine goes by it",
            )  # fmt: skip
        self._check_shapers(kind)

    def _check_shapers(self, kind: type[Method]) -> None:
        from stillhouse.core.evaluate import Method

        if kind.rebuild is not Method.rebuild and kind.skeleton is Method.skeleton:
            unmet(
                "a skeleton from a method that has a rebuild", "none",
                "write skeleton: costs are known by it before anything is trained",
            )  # fmt: skip

    def check_capabilities(self) -> None:
        """What the method leaves is what its record says that it leaves."""
        tried = self.trial.first
        self._check_left(_TERMS, len(tried.returned.terms) > len(tried.given.terms))
        appeared = tried.returned.student is not None and tried.given.student is None
        if appeared or _STUDENT in self.info.leaves:
            self._check_left(_STUDENT, tried.returned.student is not None)
        before, after = (s.student.rebuilds if s.student else () for s in (tried.given, tried.last))
        if len(after) > len(before) and self.info.changes not in ("form", "student"):
            unmet(
                "changes='form' of a method that changes the form", f"'{self.info.changes}'",
                "correct the record",
            )  # fmt: skip

        self._check_form_spent(tried.given, tried.returned)

    def _check_form_spent(self, given: State, returned: State) -> None:
        """Layers that loading must change again are not as the student's family builds them."""
        if given.student is None or returned.student is None:
            return
        more = len(returned.student.rebuilds) > len(given.student.rebuilds)
        if more and PLAIN_LAYERS not in self.info.spends:
            unmet(
                f"'{PLAIN_LAYERS}' in spends of a method that changes the form",
                f"spends={sorted(self.info.spends)}",
                f"add it, and '{FULL_PRECISION}' to needs if it reads weights: methods that work "
                "on plain layers then go before",
            )  # fmt: skip

    def _check_left(self, capability: str, left: bool) -> None:
        if left != (capability in self.info.leaves):
            unmet(
                f"'{capability}' in leaves if the method leaves one, and only then",
                f"leaves={sorted(self.info.leaves)} of a method that leaves "
                f"{'one' if left else 'none'}",
                "correct the record: recipes are ordered by it",
            )  # fmt: skip

    def check_determinism(self) -> None:
        """From one seed, the same tensors bit for bit, whatever the global generators are at."""
        from stillhouse.core.plugin.conformance.snapshots import digest, same_weights

        change = "take every draw from context.seed('label'), and sort what comes from sets"
        first, second = self.trial.first, self.trial.second
        for name, tensor in first.artefact.tensors.items():
            if digest(tensor) != digest(second.artefact.tensors[name]):
                unmet("prepare to give equal tensors from one seed", f"another {name}", change)
        for a, b in ((first.returned, second.returned), (first.last, second.last)):
            if a.student is not None and b.student is not None:
                expected = "equal weights of two applies from one seed"
                same_weights(a.student.module, b.student.module, expected, change)

    def check_generators(self) -> None:
        """The process's generators and switches are as they were."""
        self._raise_noted("the process")

    def check_state(self) -> None:
        """The given state, its networks and its data are as they were."""
        self._raise_noted("the given state")

    def _raise_noted(self, about: str) -> None:
        for noted in self.trial.first.broken:
            if ("the given state" in str(noted)) == (about == "the given state"):
                raise noted

    def check_skeleton(self) -> None:
        """What is measured beforehand has the shape and form of what is made."""
        from stillhouse.core.plugin.conformance.shapes import check_skeleton

        check_skeleton(self.trial)

    def check_sheet(self) -> None:
        """A written sheet says what counting the networks says."""
        from stillhouse.core.plugin.conformance.shapes import check_sheet

        check_sheet(self.trial)

    def check_rebuild(self) -> None:
        """A fresh process makes the same network of description and weights."""
        from stillhouse.core.plugin.conformance.rebuilding import check_rebuild

        check_rebuild(self.trial)

    def check_unsupported(self) -> None:
        """A model that the method cannot work on is refused in words."""
        from stillhouse.core.plugin.conformance.refusing import check_refusal

        check_refusal(self.trial)

    def check_export(self) -> None:
        """What is exported answers as the module does, and holds nothing for training."""
        from stillhouse.core.plugin.conformance.exporting import check_export

        check_export(self.trial)
