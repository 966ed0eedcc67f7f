"""The table of networks that the entry point names: nothing of torch is imported until one is made."""

NETWORKS = {  # name → module, class or function, what it is
    "dots": ("secondread_example.dots", "Dots", "four convolutions and a mean: 20,000 parameters"),
}
