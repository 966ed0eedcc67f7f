"""Networks: one architecture a file, by name. Making one needs torch (the extra `train`); listing them does not."""

from secondread.models.contract import Classifier, MapGeometry
from secondread.models.registry import check_model, create_model, has_pretrained, known_models, list_models

__all__ = ["Classifier", "MapGeometry", "check_model", "create_model", "has_pretrained", "known_models", "list_models"]
