// The one clock of the page: it says when to ask the server for what is new.
//
// While a shown run is running it ticks about once a second. While nothing runs it ticks every few
// seconds for a minute after the last sign of the person, to notice new runs, and then not at all.
// While the tab is hidden it does not tick; when it is shown again it ticks at once.

export const LIVE_MS = 800;
export const IDLE_MS = 5_000;
export const ATTENTION_MS = 60_000;

type Listener = () => void | Promise<void>;

class Clock {
  private readonly listeners = new Set<Listener>();
  private readonly running = new Set<string>();
  /** Of the next tick; undefined where none is planned. */
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attention = 0;
  private busy = false;

  /** Begin; call once. */
  start(): void {
    this.attention = Date.now();
    for (const sign of ["pointermove", "pointerdown", "keydown", "wheel", "focus"])
      addEventListener(sign, () => this.attend(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => this.attend());
    this.plan();
  }

  /** Call a function at each tick, until the function that is returned is called. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Say whether something that is shown is running: `who` is whoever knows it. */
  setRunning(who: string, running: boolean): void {
    if (running === this.running.has(who)) return;
    if (running) this.running.add(who);
    else this.running.delete(who);
    this.plan();
  }

  isLive(): boolean {
    return this.running.size > 0;
  }

  /** Tick now: something was changed from here. */
  async tick(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      await Promise.allSettled([...this.listeners].map((listener) => listener()));
    } finally {
      this.busy = false;
      this.plan();
    }
  }

  private attend(): void {
    this.attention = Date.now();
    if (document.hidden) this.plan();
    else if (this.timer === undefined) void this.tick();
  }

  /** Return the time to the next tick in ms; null for none. */
  private interval(): number | null {
    if (document.hidden) return null;
    if (this.running.size) return LIVE_MS;
    return Date.now() - this.attention < ATTENTION_MS ? IDLE_MS : null;
  }

  private plan(): void {
    clearTimeout(this.timer);
    const interval = this.interval();
    this.timer = interval === null ? undefined : setTimeout(() => void this.tick(), interval);
  }
}

export const clock = new Clock();
