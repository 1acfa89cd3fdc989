/** Rows of a benchmark: what was measured, the figure, and what it should be. */
export interface Row {
  what: string;
  figure: string;
  goal?: string;
}

export function printTable(title: string, rows: readonly Row[]): void {
  const all = [
    { what: title, figure: 'measured', goal: 'goal' },
    ...rows.map((row) => ({ goal: '', ...row })),
  ];
  const width = (key: 'what' | 'figure' | 'goal') => Math.max(...all.map((row) => row[key].length));
  const widths = { what: width('what'), figure: width('figure'), goal: width('goal') };
  all.forEach(({ what, figure, goal }, index) => {
    console.log(
      `${what.padEnd(widths.what)}  ${figure.padStart(widths.figure)}  ${goal.padStart(widths.goal)}`,
    );
    if (index === 0) console.log('-'.repeat(widths.what + widths.figure + widths.goal + 4));
  });
  console.log('');
}

/** The value below which a part of `values` lies: 0.5 is the median. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

export const ms = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
export const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
