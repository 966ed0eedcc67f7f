"""Networks that are compared with the shipped ones; `models` finds them by the entry point `secondread.models`."""

NETWORKS = {  # name → module, class or function, what it is
    "lenet-overlap": (
        "secondread.lab.zoo.lenet_overlap",
        "LeNetOverlap",
        "the paper's network with overlapping pools, at equal parameters",
    ),
    "cbam": (
        "secondread.lab.zoo.residual",
        "CBAMNet",
        "a small residual network with channel and spatial attention",
    ),
    "multiscale": (
        "secondread.lab.zoo.residual",
        "MultiScaleNet",
        "a small residual network with three dilations in every block",
    ),
    "capsule": (
        "secondread.lab.zoo.capsule",
        "CapsuleNet",
        "a small capsule network with routing by agreement",
    ),
    "unet": (
        "secondread.lab.zoo.unet",
        "UNetClassifier",
        "a U-Net that outlines lesions, followed by a classifier",
    ),
    "resnet18": ("secondread.lab.zoo.backbones", "resnet18", "residual network of 18 layers, MONAI's"),
    "resnet50": ("secondread.lab.zoo.backbones", "resnet50", "residual network of 50 layers, MONAI's"),
    "densenet121": ("secondread.lab.zoo.backbones", "DenseNet", "densely connected network of 121 layers, MONAI's"),
    "vgg16": (
        "secondread.lab.zoo.backbones",
        "VGG16",
        "thirteen 3×3 convolutions and a mean in place of the wide head",
    ),
    "vit": (
        "secondread.lab.zoo.vit",
        "VisionTransformer",
        "tiny vision transformer, patches of 16 pixels, MONAI's blocks",
    ),
}
