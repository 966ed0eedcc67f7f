"""Networks: one architecture a file, made by name. Needs torch (the extra `train`)."""

from secondread.models.cam import Classifier, MapGeometry
from secondread.models.registry import check_model, create_model, has_pretrained, known_models, list_models

__all__ = ["Classifier", "MapGeometry", "check_model", "create_model", "has_pretrained", "known_models", "list_models"]
