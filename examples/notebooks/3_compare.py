# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Beside scikit-learn and MONAI
#
# One manifest, one test split, three ways to learn: a bundle of secondread, a classical learner of scikit-learn, and a
# network of MONAI trained by a plain loop. Needs `pip install 'secondread[lab]'`. The pictures are phantoms with small
# lesions, and there are few of them: read this for the calls, not for the figures. secondread assists a qualified
# reader and is no medical device.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from monai.networks.nets import DenseNet
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import RocCurveDisplay, get_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import secondread
from secondread.images import PrepareSpec, prepare
from secondread.stats.delong import delong_test
from secondread.testing.phantoms import write_phantom_data

folder = Path(tempfile.mkdtemp())
data = write_phantom_data(folder / "data", counts={"train": 96, "val": 32, "test": 64}, subtle=True)
manifest = secondread.load_data(data)
train, test = manifest.split("train"), manifest.split("test")
y_test = test.labels

# %% [markdown]
# ## secondread
#
# A reader is a classifier: `predict_proba` takes paths, and scikit-learn's scorers take the reader.

# %%
changes = {"epochs": 12, "batch_size": 8, "learning_rate": 0.003}
bundle = secondread.train("tuberculosis", manifest, out=folder / "mine", changes=changes, measure=False)
reader = secondread.Reader.load(bundle)
paths = [row.path for row in test.rows]
scores = {"secondread, lenet": reader.predict_proba(paths)[:, 1]}
get_scorer("roc_auc")(reader, paths, y_test)

# %% [markdown]
# ## scikit-learn
#
# Decoding and preprocessing may be taken from secondread, so that every learner sees the same pictures.


# %%
def pixels(part, size):
    """float32 (n, size, size) in 0–1."""
    spec = PrepareSpec(size=size)
    read = (secondread.decode(row.path.read_bytes()) for row in part.rows)
    return np.stack([prepare(image, spec).pixels[:, :, 0] for image in read]).astype(np.float32) / 255


flat = {name: pixels(part, 32).reshape(len(part), -1) for name, part in (("train", train), ("test", test))}
learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
learner.fit(flat["train"], train.labels)
scores["scikit-learn, logistic regression"] = learner.predict_proba(flat["test"])[:, 1]

# %% [markdown]
# ## MONAI
#
# A small DenseNet. Nothing of calibration, operating points or a gate comes with it.

# %%
torch.manual_seed(0)
network = DenseNet(2, 1, 1, init_features=16, growth_rate=8, block_config=(2, 2, 2))
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
x = torch.from_numpy(pixels(train, 64))[:, None]
y = torch.from_numpy(train.labels.astype(np.float32))
for _ in range(12):
    for batch in torch.randperm(len(y)).split(16):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(x[batch])[:, 0], y[batch]).backward()
        optimizer.step()
with torch.inference_mode():
    logits = network.eval()(torch.from_numpy(pixels(test, 64))[:, None])[:, 0]
scores["MONAI, DenseNet"] = torch.sigmoid(logits).numpy()

# %% [markdown]
# ## The three beside one another
#
# On the same images, so the differences are paired (DeLong et al. 1988). An interval that holds 0 says that so few
# images cannot tell the two apart.

# %%
figure, ax = plt.subplots(figsize=(5, 5))
for name, score in scores.items():
    RocCurveDisplay.from_predictions(y_test, score, name=name, ax=ax)
ax.plot([0, 1], [0, 1], ls=":", color="grey")
_ = ax.legend(fontsize=8)

# %%
ours = scores["secondread, lenet"]
for name, score in scores.items():
    if score is not ours:
        found = delong_test(y_test, ours, score, groups=test.groups)
        print(f"lenet − {name}: {found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p = {found.p:.2f}")
