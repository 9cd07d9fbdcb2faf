"""Train a classifier on scikit-learn's bundled digits and record how it went.

Softmax regression by mini-batch SGD: some seven hundred steps, a validation pass after each epoch.
With ``--sweep`` it is trained 15 times, from 5 seeds at each of 3 learning rates.

The recording is what an MLflow user writes; with ``import mlflow`` in place of ``import steplog as
mlflow`` the training runs on MLflow, up to the line that says where steplog's own part begins.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import steplog as mlflow

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

EPOCHS = 30
BATCH_SIZE = 64
LEARNING_RATE = 0.5
MOMENTUM = 0.8
SEED = 0
SWEPT = [(rate, seed) for rate in (0.05, 0.5, 3.0) for seed in range(5)]


def probabilities(weights: Array, images: Array) -> Array:
    """Return the softmax of each image's class scores; rows are images, columns are digits."""
    scores = images @ weights
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    result: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def cross_entropy(predicted: Array, labels: Labels) -> float:
    """Return the mean of -log(probability given to the right digit), in nats."""
    return float(-np.log(predicted[np.arange(len(labels)), labels] + 1e-12).mean())


def load(seed: int) -> tuple[Array, Array, Labels, Labels]:
    """Return training images, validation images and their labels; pixels in 0..1, and a bias."""
    images, labels = load_digits(return_X_y=True)
    images = np.hstack([images / 16.0, np.ones((len(images), 1))])
    images, valid_images, labels, valid_labels = train_test_split(
        images, labels, test_size=0.2, random_state=seed
    )
    return images, valid_images, labels, valid_labels


def train(learning_rate: float, seed: int) -> None:
    """Train, and log every step and every validation pass to the active run."""
    images, valid_images, labels, valid_labels = load(seed)
    shuffle = np.random.default_rng(seed)
    weights = np.zeros((images.shape[1], 10))
    velocity = np.zeros_like(weights)
    step = 0
    for _ in range(EPOCHS):
        for batch in np.array_split(shuffle.permutation(len(images)), len(images) // BATCH_SIZE):
            predicted = probabilities(weights, images[batch])
            loss = cross_entropy(predicted, labels[batch])
            predicted[np.arange(len(batch)), labels[batch]] -= 1.0
            gradient = images[batch].T @ predicted / len(batch)
            velocity = MOMENTUM * velocity - learning_rate * gradient
            weights += velocity
            step += 1
            norm = float(np.linalg.norm(gradient))
            mlflow.log_metric("train/loss", loss, step=step, synchronous=False)
            mlflow.log_metric("train/gradient_norm", norm, step=step, synchronous=False)
        predicted = probabilities(weights, valid_images)
        mlflow.log_metrics(
            {
                "valid/loss": cross_entropy(predicted, valid_labels),
                "valid/accuracy": float(np.mean(predicted.argmax(axis=1) == valid_labels)),
            },
            step=step,
        )


mlflow.set_experiment("digits")
for learning_rate, seed in SWEPT if "--sweep" in sys.argv else [(LEARNING_RATE, SEED)]:
    with mlflow.start_run(run_name=f"softmax {learning_rate:g}, seed {seed}") as run:
        mlflow.log_params(
            {
                "epochs": EPOCHS,
                "batch_size": BATCH_SIZE,
                "learning_rate": learning_rate,
                "momentum": MOMENTUM,
                "seed": seed,
            }
        )
        train(learning_rate, seed)

# steplog's own part: where the data is, the run as a shell shows it, and what to do next.
store = mlflow.get_tracking_uri()
python = min(sys.executable, os.path.relpath(sys.executable), key=len)
steplog = [python, "-m", "steplog"]
print(f"The data is in {store}", flush=True)
subprocess.run([*steplog, "show", run.info.run_id], check=True)
print(f"\nTo see it in a browser:\n  {shlex.join([*steplog, 'ui', '--store', store])}")
