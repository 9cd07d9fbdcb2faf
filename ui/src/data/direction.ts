// Which way a metric is better: a guess from its name. The server has the same list, in
// src/steplog/direction.py; a test compares the two.

const WORDS_OF_LESS =
  "bce bpb bpc bpd brier ce cer cost delay divergence drift duration eer elapsed energy " +
  "entropy err error errors fid forgetting gap kl latency logloss loss losses mae mape mse " +
  "nll nmae nrmse overfit penalty perplexity ppl regret residual rmse rmsle seconds smape " +
  "time wer";
const LOWER: ReadonlySet<string> = new Set(WORDS_OF_LESS.split(" "));
const WORDS = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g;

/** Tell whether less of a metric is better, as far as one of the words in its name says so. */
export function lowerIsBetter(key: string): boolean {
  return (key.match(WORDS) ?? []).some((word) => LOWER.has(word.toLowerCase()));
}
