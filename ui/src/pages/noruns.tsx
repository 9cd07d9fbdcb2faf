// What stands where no run is: what to do next.

import { Button, Empty } from "../parts/controls";
import { setView, useView } from "../view";

const PROGRAM = `import steplog as mlflow

with mlflow.start_run():
    for step in range(1_000):
        mlflow.log_metric("loss", 1.0 / (1 + step), step=step)`;

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
      <p>Log one where this page was started, and its curves appear here as they grow:</p>
      <pre>{PROGRAM}</pre>
      <p>
        A program that uses MLflow itself needs no change: set <code>MLFLOW_TRACKING_URI</code> to
        this page's address.
      </p>
    </Empty>
  );
}
