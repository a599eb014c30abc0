"""Configuration and catalogue become a plan: ordered methods, one search space, no torch."""

from stillhouse.core.plan.plan import Plan as Plan
from stillhouse.core.plan.plan import Step as Step
from stillhouse.core.plan.plan import make_plan as make_plan
from stillhouse.core.plan.text import describe as describe
