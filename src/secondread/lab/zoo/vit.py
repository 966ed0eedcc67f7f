"""A tiny vision transformer (Dosovitskiy et al. 2021; Touvron et al. 2021): MONAI's blocks, an exact map.

patches of 16 pixels → 192 numbers each, with learned positions → 12 blocks of 3 heads → norm → mean of tokens → linear

The class comes from the mean of the tokens and not from a token of its own, so that each token's share of the
logit is known. What a token holds at the end has passed through attention: a share is not seen in its place alone.
"""

from monai.networks.nets.vit import ViT as Backbone
from torch import Tensor, nn

from secondread.errors import UsageError
from secondread.models.cam import CamNetwork, MapGeometry

PATCH = 16  # pixels
WIDTH, DEPTH, HEADS = 192, 12, 3


class VisionTransformer(CamNetwork):
    """5.5 M parameters. Takes the one size of input it was made with, a multiple of 16 pixels."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 3, input_size: int = 224, dropout: float = 0.0):
        super().__init__(dropout=dropout)
        if input_size < PATCH or input_size % PATCH:
            raise UsageError(f"vit needs an input size that is a multiple of {PATCH} pixels, not {input_size}")
        self.backbone = Backbone(
            in_channels=in_chans,
            img_size=input_size,
            patch_size=PATCH,
            hidden_size=WIDTH,
            mlp_dim=4 * WIDTH,
            num_layers=DEPTH,
            num_heads=HEADS,
            dropout_rate=dropout,
            spatial_dims=2,
            qkv_bias=True,
        )
        for block in self.backbone.blocks:
            block.norm_cross_attn = nn.Identity()  # MONAI makes it, never uses it
        self.cells = input_size // PATCH
        self.head = nn.Linear(WIDTH, num_classes)
        self.geometry = MapGeometry(first_centre=PATCH / 2, stride=float(PATCH))

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → the tokens in their places (B, 192, S/16, S/16)."""
        tokens, _ = self.backbone(x * 2 - 1)  # (B, cells², 192)
        return tokens.transpose(1, 2).unflatten(2, (self.cells, self.cells))

    def stages(self) -> list[nn.Module]:
        """Patches, twelve blocks (the last with the norm after it), head."""
        *blocks, last = self.backbone.blocks
        return [self.backbone.patch_embedding, *blocks, nn.Sequential(last, self.backbone.norm), self.head]
