from typing import final

from stillhouse.core.evaluate import Method


@final
class Broken(Method):
    def apply(self, state, choice, artefact, context):
        if choice.params.fails:
            raise ZeroDivisionError("this method cannot be applied")
        return state
