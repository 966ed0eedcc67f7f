"""Networks: one architecture a file, made by name. Needs torch (the extra `train`)."""

from secondread.models.cam import Classifier, MapGeometry
from secondread.models.registry import create_model, has_pretrained, list_models

__all__ = ["Classifier", "MapGeometry", "create_model", "has_pretrained", "list_models"]
