/** One place for a thing that is expensive to hold: users of the same share it, a user of another waits his turn. */

export class Slot<T> {
  private current: { key: string; value: T } | undefined;
  private users = 0;
  private admission: Promise<unknown> = Promise.resolve();
  private onIdle: (() => void) | undefined;

  constructor(private readonly dispose: (value: T) => Promise<void>) {}

  /**
   * Runs `run` with what `load` makes, loading only if something else (another `key`) is held now, and then not
   * before its users are done. First come, first served, so that nobody waits for ever.
   */
  async use<R>(key: string, load: () => Promise<T>, run: (value: T) => Promise<R>): Promise<R> {
    const admitted = this.admission.then(() => this.admit(key, load));
    this.admission = admitted.catch(() => undefined);
    const value = await admitted;
    try {
      return await run(value);
    } finally {
      this.users--;
      if (this.users === 0) this.onIdle?.();
    }
  }

  private async admit(key: string, load: () => Promise<T>): Promise<T> {
    if (this.current?.key !== key) {
      if (this.users > 0) await new Promise<void>((resolve) => (this.onIdle = resolve));
      this.onIdle = undefined;
      const old = this.current;
      this.current = undefined;
      if (old) await this.dispose(old.value);
      this.current = { key, value: await load() };
    }
    this.users++;
    return this.current.value;
  }
}
