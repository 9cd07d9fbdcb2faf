// What stands where no run is: what to do next.

import { Button, Empty } from "../parts/controls";
import { setView, useView } from "../view";

const PROGRAM = `import time

import steplog as mlflow

with mlflow.start_run():
    for step in range(1_000):
        mlflow.log_metric("loss", 1 / (1 + step), step=step)
        time.sleep(0.01)`;

export function NoRuns() {
  const view = useView();
  if (view.filter || view.experiments.length || view.stage === "deleted")
    return (
      <Empty title={view.stage === "deleted" ? "No deleted run is here." : "No run is like this."}>
        <p>
          <Button onClick={() => setView({ filter: "", experiments: [], stage: "active" })}>
            Show all runs
          </Button>
        </p>
      </Empty>
    );
  return (
    <Empty title="No runs yet.">
      <p>
        Run this program in the directory in which <code>steplog ui</code> was started, and its curve
        appears here as it grows:
      </p>
      <pre>{PROGRAM}</pre>
      <p>
        A program that uses MLflow itself needs no change: set <code>MLFLOW_TRACKING_URI</code> to{" "}
        <code>{location.origin + location.pathname}</code>, and <code>MLFLOW_TRACKING_TOKEN</code> to
        the token that this page was opened with, if there is one.
      </p>
    </Empty>
  );
}
