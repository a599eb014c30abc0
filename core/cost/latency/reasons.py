"""Why a latency model was chosen, in words."""

from __future__ import annotations

from collections.abc import Mapping

from stillhouse.core.cost.latency.contract import LatencyModel
from stillhouse.core.cost.latency.fitted import LEAST_MEASURED
from stillhouse.core.cost.latency.judging import COVERED, guaranteed


def unmeasured(model: LatencyModel, refused: Mapping[str, str]) -> str:
    """One sentence: a model taken without a network measured."""
    return (
        f"{model.kind}: fewer than {LEAST_MEASURED} networks were measured to compare by; its "
        f"margin of {100 * model.margin:.1f} % comes from other measurements{excluded(refused)}."
    )


def compared(best: str, contestants: Mapping[str, LatencyModel], refused: Mapping[str, str]) -> str:
    """One sentence: the best of several models, given best first, and what became of the others."""
    model = contestants[best]
    error = f"errs by {_percent(model)} on {model.report.measured} networks it had not seen"
    others = [f"{name} {_percent(other)}" for name, other in contestants.items() if name != best]
    rest = f"; {', '.join(others)}" if others else ""
    return f"{best}: {error}{rest}{excluded(refused)}{unsure(model)}."


def _percent(model: LatencyModel) -> str:
    return f"{100 * model.report.mape:.1f} %"


def excluded(refused: Mapping[str, str]) -> str:
    """Models that could not take part, each with its reason."""
    return "".join(f"; {name} left out ({reason})" for name, reason in refused.items())


def unsure(model: LatencyModel) -> str:
    """What few measurements cannot promise."""
    sure = guaranteed(model.report.measured)
    if sure >= COVERED:
        return ""
    return (
        f"; {model.report.measured} measurements guarantee the margin only in "
        f"{100 * sure:.0f} of 100 cases"
    )


def none_predicts(refused: Mapping[str, str]) -> str:
    """The error where every model was refused."""
    tried = "".join(f"\n  {name}: {reason}" for name, reason in refused.items())
    return (
        f"no latency model can predict this space's networks{tried or ' (none is at hand)'}\n"
        f"Measure at least {LEAST_MEASURED} of them (target.profile), or the device's operators "
        f"with stillhouse profile"
    )
