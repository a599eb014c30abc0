"""Prepare and apply: states, methods, tasks, families, memoised artefacts, the evaluator."""

from stillhouse.core.evaluate.context import Context as Context
from stillhouse.core.evaluate.context import Progress as Progress
from stillhouse.core.evaluate.context import Silent as Silent
from stillhouse.core.evaluate.data import Batch as Batch
from stillhouse.core.evaluate.data import Split as Split
from stillhouse.core.evaluate.data import TaskData as TaskData
from stillhouse.core.evaluate.family import ElasticModule as ElasticModule
from stillhouse.core.evaluate.family import ModelFamily as ModelFamily
from stillhouse.core.evaluate.labelled import Classification as Classification
from stillhouse.core.evaluate.method import Artefact as Artefact
from stillhouse.core.evaluate.method import Choice as Choice
from stillhouse.core.evaluate.method import Method as Method
from stillhouse.core.evaluate.multi_label import MultiLabel as MultiLabel
from stillhouse.core.evaluate.padding import Padded as Padded
from stillhouse.core.evaluate.state import LAST as LAST
from stillhouse.core.evaluate.state import LossTerm as LossTerm
from stillhouse.core.evaluate.state import Policy as Policy
from stillhouse.core.evaluate.state import Rebuild as Rebuild
from stillhouse.core.evaluate.state import State as State
from stillhouse.core.evaluate.state import Student as Student
from stillhouse.core.evaluate.task import Task as Task
from stillhouse.core.evaluate.teacher import ModuleTeacher as ModuleTeacher
from stillhouse.core.evaluate.teacher import Observation as Observation
from stillhouse.core.evaluate.teacher import Teacher as Teacher
from stillhouse.core.plugin.metrics import Metric as Metric
