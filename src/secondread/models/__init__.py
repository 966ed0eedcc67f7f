"""Networks: one architecture a file, made by name. Needs torch (the extra `train`)."""

from secondread.models._registry import create_model, has_pretrained, list_models
from secondread.models._types import Classifier, MapGeometry

__all__ = ["Classifier", "MapGeometry", "create_model", "has_pretrained", "list_models"]
