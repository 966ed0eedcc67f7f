"""Training, export and evaluation. What needs torch is imported when it is asked for."""

from secondread.training.measure import evaluate, predictions_of
from secondread.training.recipe import Recipe, list_recipes, load_recipe

__all__ = ["Recipe", "evaluate", "list_recipes", "load_recipe", "predictions_of"]
