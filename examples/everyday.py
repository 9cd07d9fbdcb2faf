"""The four everyday uses, as one types them. Prints the id of each run.

``import mlflow`` in place of the first import gives the same runs in MLflow.
"""

import math

import steplog as mlflow

# One value in a run.
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.93)
print(run.info.run_id)

# A loop with steps.
with mlflow.start_run() as run:
    for step in range(20):
        mlflow.log_metric("loss", math.exp(-step / 5), step=step)
print(run.info.run_id)

# A dict of evaluation metrics.
with mlflow.start_run() as run:
    mlflow.log_metrics({"valid/accuracy": 0.91, "valid/f1": 0.88, "valid/loss": 0.31}, step=100)
print(run.info.run_id)

# A tight loop that waits for nothing. Leaving the run stores all of it: there is nothing to flush.
with mlflow.start_run() as run:
    for step in range(1_000):
        mlflow.log_metric("reward", math.sin(step / 50), step=step, synchronous=False)
print(run.info.run_id)
