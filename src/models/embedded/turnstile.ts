/**
 * Answers pass it at each token; whoever must change the context's state in between holds it. Needed because
 * node-llama-cpp keeps its context locked for as long as any sequence has the next step ready: with two answers
 * under way there always is one, and a third, whose sequence must first forget its last conversation, would wait
 * until one of them ends.
 */
export class Turnstile {
  private holders = 0;
  private opened: Promise<void> = Promise.resolve();
  private open: () => void = () => undefined;

  /** Resolves when nobody holds the turnstile. */
  async pass(): Promise<void> {
    while (this.holders > 0) await this.opened;
  }

  /** Runs `work` while nobody passes. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    if (this.holders++ === 0) {
      this.opened = new Promise((resolve) => {
        this.open = resolve;
      });
    }
    try {
      return await work();
    } finally {
      if (--this.holders === 0) this.open();
    }
  }
}
