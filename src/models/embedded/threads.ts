/**
 * How many threads compute. Reading a prompt gains from every core. Writing does not: its steps are so short that
 * one thread which the system has just put aside stalls the others, and the main loop, which runs between steps,
 * needs a core too. Seen on two cores: reading 390 tokens/s with one thread, 830 with two; writing 130 and 60.
 */
export class ThreadShare {
  private readers = 0;

  constructor(
    /** The cores that may be used at all. */
    readonly most: number,
    private readonly apply: (threads: number) => void,
  ) {
    apply(this.writing);
  }

  /** Runs `work` with every core allowed. */
  async all<T>(work: () => Promise<T>): Promise<T> {
    const done = this.reading();
    try {
      return await work();
    } finally {
      done();
    }
  }

  /** Says that a prompt is being read. Call what it returns once reading is over; calling it again does nothing. */
  reading(): () => void {
    this.readers++;
    this.apply(this.most);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.readers--;
      if (this.readers === 0) this.apply(this.writing);
    };
  }

  private get writing(): number {
    return Math.max(1, this.most - 1);
  }
}
