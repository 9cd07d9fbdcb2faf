// Which way a metric is better: a guess from its name. The server has the same list, in
// src/steplog/direction.py; a test compares the two.

const WORDS_OF_LESS =
  "bce bpb bpc bpd brier ce cer cost delay divergence drift duration eer elapsed energy " +
  "entropy err error errors fid forgetting gap kl latency logloss loss losses mae mape mse " +
  "nll nmae nrmse overfit penalty perplexity ppl regret residual rmse rmsle seconds smape " +
  "time wer";
const WORDS_OF_MORE =
  "acc accuracy ap auc auprc auroc bleu chrf cider coverage dice exact f1 fbeta fscore gain iou " +
  "kappa map mcc meteor miou mrr ndcg pass precision profit psnr r2 recall return returns reward " +
  "rewards rouge score sensitivity similarity specificity speed speedup ssim success throughput " +
  "top1 top5 win";
const LOWER: ReadonlySet<string> = new Set(WORDS_OF_LESS.split(" "));
const HIGHER: ReadonlySet<string> = new Set(WORDS_OF_MORE.split(" "));
const WORDS = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g;

/** Tell whether less of a metric is better, as far as one of the words in its name says so. */
export function lowerIsBetter(key: string): boolean {
  return (key.match(WORDS) ?? []).some((word) => LOWER.has(word.toLowerCase()));
}

/** Tell whether a change of a metric is for the better; null where its name does not say so. */
export function isBetter(key: string, change: number): boolean | null {
  if (!change) return null;
  if (lowerIsBetter(key)) return change < 0;
  const words = key.toLowerCase().match(/[a-z]+\d?/g) ?? [];
  return words.some((word) => HIGHER.has(word) || HIGHER.has(word.replace(/\d/, ""))) ? change > 0 : null;
}
