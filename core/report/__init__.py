"""What people read of a finished run: the page, the model card, tables for people and programs."""

from stillhouse.core.report.card import model_card as model_card
from stillhouse.core.report.page import render as render
from stillhouse.core.report.tables import closing_table as closing_table
from stillhouse.core.report.tables import pareto_json as pareto_json
from stillhouse.core.report.tables import results_csv as results_csv
