"""Run files: YAML to validated records, with the place of every mistake; torch-free."""

from stillhouse.core.config.records import Limit as Limit
from stillhouse.core.config.records import Plugins as Plugins
from stillhouse.core.config.records import PluginUse as PluginUse
from stillhouse.core.config.records import SearchRange as SearchRange
from stillhouse.core.config.records import SearchSection as SearchSection
from stillhouse.core.config.records import TargetSection as TargetSection
from stillhouse.core.config.records import TeacherSection as TeacherSection
from stillhouse.core.config.runfile import RunFile as RunFile
from stillhouse.core.config.runfile import load as load
from stillhouse.core.config.runfile import parse as parse
from stillhouse.core.config.schema import json_schema as json_schema
from stillhouse.core.config.settings import ExecuteSection as ExecuteSection
from stillhouse.core.config.settings import SearchSettings as SearchSettings
from stillhouse.core.config.settings import TargetSettings as TargetSettings
from stillhouse.core.config.settings import TrainSection as TrainSection
from stillhouse.core.config.teacher import TeacherTraining as TeacherTraining
