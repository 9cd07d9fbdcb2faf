"""MLflow's second name for the client, for programs that say ``mlflow.tracking.MlflowClient``."""

from steplog.client import Client as MlflowClient

__all__ = ["MlflowClient"]
