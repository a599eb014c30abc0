"""The conformance kit: what stillhouse expects of a plugin, as checks that its author can run.

    from stillhouse.core.plugin.conformance import Setup, check_plugin

    def test_the_package_keeps_the_contract():
        check_plugin("stillhouse-thin", {"factored-feed-forward": Setup(params={"rank": 2})})

The built-in plugins are held to the same checks. With `checks` each is a test of its own:

    @pytest.mark.parametrize("check", checks("stillhouse-thin"), ids=str)
    def test_contract(check):
        check()

Importing this package imports neither torch nor a plugin; running a check does.
"""

from stillhouse.core.plugin.conformance.check import Check as Check
from stillhouse.core.plugin.conformance.check import ConformanceError as ConformanceError
from stillhouse.core.plugin.conformance.check import Setup as Setup
from stillhouse.core.plugin.conformance.every import check_loss as check_loss
from stillhouse.core.plugin.conformance.every import check_method as check_method
from stillhouse.core.plugin.conformance.every import check_model as check_model
from stillhouse.core.plugin.conformance.every import check_named as check_named
from stillhouse.core.plugin.conformance.every import check_plugin as check_plugin
from stillhouse.core.plugin.conformance.every import check_reporter as check_reporter
from stillhouse.core.plugin.conformance.every import check_sampler as check_sampler
from stillhouse.core.plugin.conformance.every import check_similarity as check_similarity
from stillhouse.core.plugin.conformance.every import check_space as check_space
from stillhouse.core.plugin.conformance.every import check_target as check_target
from stillhouse.core.plugin.conformance.every import check_task as check_task
from stillhouse.core.plugin.conformance.every import checks as checks
from stillhouse.core.plugin.conformance.every import checks_of as checks_of
from stillhouse.core.plugin.conformance.every import checks_of_file as checks_of_file
from stillhouse.core.plugin.conformance.setups import setups_in as setups_in
