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
# # Audit, train, evaluate
#
# The whole way from labelled images to a bundle with its evidence, with the functions that the commands call. Needs
# `pip install 'secondread[train]'`. The pictures are phantoms: put the path of your manifest, or of your folder of
# images, in place of `data`. secondread assists a qualified reader and is no medical device.

# %%
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import secondread
from secondread.testing.phantoms import write_phantom_data

folder = Path(tempfile.mkdtemp())
data = write_phantom_data(folder / "data")
print(data.read_text().splitlines()[:3])

# %% [markdown]
# ## Audit
#
# First what the images hold against any accuracy that will be measured on them. Here one training film is also put into
# the test split, under another patient's name.

# %%
shutil.copytree(folder / "data", folder / "leaking")
shutil.copy(folder / "data" / "images" / "0001.png", folder / "leaking" / "images" / "copy.png")
with (folder / "leaking" / "manifest.csv").open("a") as file:
    file.write("images/copy.png,1,site1,someone-else,test\n")

found = secondread.audit(folder / "leaking", task="tuberculosis")
assert found.found("leakage")
found

# %% [markdown]
# The phantoms are drawn from one template, so the audit finds many of them too much alike. Of patients' films that
# would be a leak; here it goes on with the data as they were. `out=` writes the same as a page to keep.

# %% [markdown]
# ## Train
#
# `changes` names fields of the recipe that are to be different. A progress callback is told of every step; what it
# raises ends the run, and the same call goes on where it stopped.

# %%
losses = []


def tell(event: secondread.ProgressEvent) -> None:
    if event.step == "epochs":
        losses.append((event.epoch, event.loss, event.val_auc))


def stop_early(event: secondread.ProgressEvent) -> None:
    tell(event)
    if event.epoch == 4:
        raise secondread.Cancelled("four epochs are enough for now")


changes = {"epochs": 12, "batch_size": 8, "learning_rate": 0.003}
asked = {"out": folder / "bundles" / "mine", "model": "lenet", "changes": changes}
try:
    secondread.train("tuberculosis", data, **asked, progress=stop_early)
except secondread.Cancelled as cancelled:
    print(cancelled)
bundle = secondread.train("tuberculosis", data, **asked, progress=tell)
bundle

# %%
epochs, loss, val_auc = np.array(losses).T
figure, ax = plt.subplots(figsize=(5, 3))
ax.plot(epochs, loss, label="loss")
ax.plot(epochs, val_auc, label="validation AUC")
ax.set(xlabel="epoch", ylim=(0, 1.05))
_ = ax.legend()

# %% [markdown]
# ## Evaluate
#
# The test split is read exactly as images are read in use. `train` has done so once; `evaluate` does it again, at any
# operating point, and `out=` writes evidence.json, plots and a page.

# %%
evidence = secondread.evaluate(bundle, data, splits="test", out=folder / "evaluation")
print(evidence.metric("roc_auc").format(), "page:", evidence.page.name)
evidence

# %% [markdown]
# ## Read with it
#
# And look at a film that it has not seen.

# %%
reader = secondread.Reader.load(bundle)
manifest = secondread.load_data(data)
reader.read(manifest.split("test").rows[1].path)

# %% [markdown]
# ## Fit it to a site
#
# Scores and outcomes of a site move the calibration and the operating points, never the weights. Columns of a data
# frame serve as well as a CSV file. Where the scores speak against it, nothing is written and the error says why.

# %%
rng = np.random.default_rng(0)
outcome = rng.random(200) < 0.3
score = np.clip(0.35 + 0.2 * outcome + rng.normal(0, 0.15, 200), 0.01, 0.99)
site = secondread.recalibrate(bundle, {"probability": score, "outcome": outcome}, out=folder / "bundles" / "ours")
for sentence in site.warnings:
    print("note:", sentence)
print(f"Brier score {site.before['brier']:.3f} → {site.after['brier']:.3f}")

# %% [markdown]
# ## Screen an archive
#
# A folder in, a table out; killed, it goes on where it was.

# %%
done = secondread.screen(folder / "data" / "images", out=folder / "scores.csv", bundle=bundle.folder)
print(done.n, done.decisions)
print("\n".join((folder / "scores.csv").read_text().splitlines()[:3]))
