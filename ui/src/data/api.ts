// Requests to the server that this page came from. Addresses are relative, so that the page works
// below any path prefix; the browser sends the cookie that signs in.
//
// Not here: charts, whose answers are binary and come as changes (`data/feed.ts`).

/** What the server refuses, or that it cannot be reached (status 0). */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export type Status = "RUNNING" | "FINISHED" | "FAILED" | "KILLED" | "SCHEDULED" | "LOST";
export type Stage = "active" | "deleted";

/** A number, the name of one that JSON has no number for, or a text. */
export type Value = number | string;

/** One run, as the table shows it; times are in ms since 1970. */
export interface Row {
  run_id: string;
  run_name: string;
  experiment_id: string;
  experiment_name: string;
  status: Status;
  start_time: number;
  end_time?: number;
  user_id: string;
  stage: Stage;
  note?: string;
  parent?: string;
  children: number;
  values: Readonly<Record<string, Value>>;
}

export interface TableQuery {
  experiment_ids?: readonly string[];
  filter: string;
  order_by: readonly string[];
  stage: Stage;
  columns: readonly string[];
  offset: number;
  limit: number;
  snapshot?: string;
  parent?: string;
}

export interface TableAnswer {
  total: number;
  snapshot: string;
  rows: Row[];
  keys?: { metrics: string[]; params: string[]; tags: string[] };
}

/** What is known of one series of a run without reading its points. */
export interface Summary {
  key: string;
  model_id?: string;
  dataset_name?: string;
  dataset_digest?: string;
  attempt: number;
  rank: number;
  count: number;
  nan_count: number;
  first: Value;
  first_step: number;
  last: Value;
  last_step: number;
  last_timestamp: number;
  min?: Value;
  min_step?: number;
  max?: Value;
  max_step?: number;
  mean?: Value;
}

export interface DatasetUse {
  name: string;
  digest: string;
  source_type: string;
  source: string;
  context?: string;
  schema?: string;
  profile?: string;
}

export interface ModelUse {
  model_id: string;
  role: "input" | "output";
  step: number;
  name: string;
  status: string;
}

/** Everything about one run but its points. */
export interface Detail extends Omit<Row, "values"> {
  params: Readonly<Record<string, string>>;
  tags: Readonly<Record<string, string>>;
  datasets: DatasetUse[];
  models: ModelUse[];
  series: Summary[];
  artifact_uri: string;
}

export interface Key {
  key: string;
  runs: number;
  points: number;
}

export interface Experiment {
  experiment_id: string;
  name: string;
}

export interface Session {
  version: string;
  store: string;
  role: "read" | "write" | "admin";
  experiment_id?: string;
  mlflow_version: string;
}

const OURS = "api/steplog/1";
const MLFLOW = "ajax-api/2.0/mlflow";

export const getSession = () => get<Session>(`${OURS}/session`);

export const getTable = (query: TableQuery, signal?: AbortSignal) =>
  post<TableAnswer>(`${OURS}/runs/table`, query, signal);

export const getDetails = async (runIds: readonly string[], signal?: AbortSignal) =>
  (await post<{ runs: Detail[] }>(`${OURS}/runs/details`, { run_ids: runIds }, signal)).runs;

export const getKeys = async (runIds: readonly string[], signal?: AbortSignal) =>
  (await post<{ keys: Key[] }>(`${OURS}/keys`, { run_ids: runIds }, signal)).keys;

/** Return the binary answer of `charts`; each query may carry the cursor `since`. */
export const getCharts = async (charts: readonly object[], signal?: AbortSignal) =>
  (await send("POST", `${OURS}/charts`, { charts }, signal)).arrayBuffer();

/** Return every point of some metrics as CSV. */
export const getPoints = async (runIds: readonly string[], keys: readonly string[]) =>
  (await send("POST", `${OURS}/points`, { run_ids: runIds, keys })).blob();

/** Return all experiments that are not deleted, in pages of a thousand. */
export async function getExperiments(signal?: AbortSignal): Promise<Experiment[]> {
  const found: Experiment[] = [];
  let token: string | undefined;
  do {
    const answer: { experiments?: Experiment[]; next_page_token?: string } = await post(
      `${MLFLOW}/experiments/search`,
      { max_results: 1000, page_token: token },
      signal,
    );
    found.push(...(answer.experiments ?? []));
    token = answer.next_page_token;
  } while (token);
  return found;
}

export const renameRun = (run_id: string, run_name: string) =>
  post(`${MLFLOW}/runs/update`, { run_id, run_name });
export const setTag = (run_id: string, key: string, value: string) =>
  post(`${MLFLOW}/runs/set-tag`, { run_id, key, value });
export const deleteTag = (run_id: string, key: string) =>
  post(`${MLFLOW}/runs/delete-tag`, { run_id, key });
export const deleteRun = (run_id: string) => post(`${MLFLOW}/runs/delete`, { run_id });
export const restoreRun = (run_id: string) => post(`${MLFLOW}/runs/restore`, { run_id });

/** The tag in which MLflow keeps what a person wrote about a run. */
export const NOTE = "mlflow.note.content";

/** Return the number that a value is; NaN for a text that is none. */
export function toNumber(value: Value | undefined): number {
  return value === undefined || value === "" ? NaN : Number(value);
}

async function get<T>(path: string): Promise<T> {
  return (await send("GET", path)).json() as Promise<T>;
}

async function post<T>(path: string, body: object, signal?: AbortSignal): Promise<T> {
  return (await send("POST", path, body, signal)).json() as Promise<T>;
}

async function send(
  method: string,
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      signal: signal ?? null,
      ...(body && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server cannot be reached.", "UNREACHABLE", 0);
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  throw refusal(text, answer.status);
}

function refusal(text: string, status: number): ApiError {
  try {
    const { message, error_code } = JSON.parse(text) as { message: string; error_code: string };
    return new ApiError(message, error_code, status);
  } catch {
    return new ApiError(text.slice(0, 500) || `The server answered ${status}.`, "UNKNOWN", status);
  }
}
